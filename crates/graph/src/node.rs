use lfmq_core::{MoeSpec, TensorId};

/// One value of a graph: the output of the node of this index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ValueId(pub usize);

/// What a node computes. Activations are `[tokens, width]`; weights are named by [`TensorId`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Op {
    /// Rows of the table `[vocab, hidden]` by token id; reads the tokens, no other node.
    Embed {
        /// The table.
        table: TensorId,
    },
    /// `x rsqrt(mean(x^2) + eps) w` over the last `width` elements: the whole row, or each head alone.
    Norm {
        /// The weight `[width]`.
        weight: TensorId,
        /// Elements a mean is taken over.
        width: usize,
        /// Heads side by side in a row; 1 for a norm of the whole row.
        heads: usize,
    },
    /// `x W^T + b`.
    Linear {
        /// `[rows, cols]`.
        weight: TensorId,
        /// Outputs.
        rows: usize,
        /// Inputs.
        cols: usize,
        /// `[rows]`, if any.
        bias: Option<TensorId>,
    },
    /// Gated short convolution without its projections: `[B C x]` of width 3H to `C * conv(B * x)` of width H.
    ShortConv {
        /// Taps `[hidden, taps]`, newest last.
        kernel: TensorId,
        /// `[hidden]`, if any.
        bias: Option<TensorId>,
        /// Index in [`Graph::states`].
        state: usize,
    },
    /// Causal attention of (q, k, v), rotary embedding included; keys are kept rotated.
    Attention {
        /// Index in [`Graph::states`].
        state: usize,
    },
    /// `silu(gate) * up` of (gate, up).
    SwiGlu,
    /// Routed experts of one layer, router included.
    Experts {
        /// The layer.
        layer: u16,
        /// Their numbers.
        moe: MoeSpec,
        /// Width of the residual stream.
        hidden: usize,
    },
    /// Sum of two values: a residual connection.
    Add,
}

/// One step.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// What.
    pub op: Op,
    /// Of what.
    pub inputs: Vec<ValueId>,
    /// Layer it belongs to; `None` before the first and after the last.
    pub layer: Option<u16>,
}

/// What a sequence keeps between steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateKind {
    /// The last inputs `[hidden, taps - 1]` of a short convolution.
    Conv {
        /// Width of the residual stream.
        hidden: usize,
        /// Taps of the kernel.
        taps: usize,
    },
    /// Keys and values, `[kv_heads, positions, head_dim]` each.
    KeyValue {
        /// Query heads.
        heads: usize,
        /// Key/value heads.
        kv_heads: usize,
        /// Width of one head.
        head_dim: usize,
    },
}

/// The state of one layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    /// The layer.
    pub layer: u16,
    /// What it keeps.
    pub kind: StateKind,
}

/// The rotary embedding all attention layers share.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rope {
    /// Base of the angles.
    pub theta: f64,
    /// Width of one head.
    pub head_dim: usize,
    /// Positions the model was made for.
    pub positions: usize,
}

impl Rope {
    /// `theta^(-2i / head_dim)`, `[head_dim / 2]`, in the roundings of the transformers library: the exponent and the
    /// power are f32, and so is the quotient.
    #[must_use]
    pub fn inverse_frequencies(&self) -> Vec<f32> {
        let exponent = |i: usize| f64::from((2 * i) as f32 / self.head_dim as f32);
        (0..self.head_dim / 2).map(|i| 1.0 / libm::pow(self.theta, exponent(i)) as f32).collect()
    }
}

/// A model as nodes in an order in which they can be computed. The last node makes the logits.
#[derive(Clone, Debug, PartialEq)]
pub struct Graph {
    /// The nodes; node `i` makes [`ValueId`] `i`.
    pub nodes: Vec<Node>,
    /// What is kept between steps, by layer.
    pub states: Vec<State>,
    /// The rotary embedding.
    pub rope: Rope,
    /// Epsilon of every norm.
    pub norm_eps: f64,
    /// Columns of the logits.
    pub vocab: usize,
}
