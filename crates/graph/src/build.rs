use crate::{Graph, Node, Op, Rope, State, StateKind, ValueId};
use lfmq_core::{Ffn, Mixer, ModelSpec, TensorId, TensorRole as R};

/// The graph of `spec`.
#[must_use]
pub fn build(spec: &ModelSpec) -> Graph {
    let mut b = Builder { spec, nodes: Vec::new(), states: Vec::new(), layer: None };
    let mut x = b.push(Op::Embed { table: TensorId::global(R::Embedding) }, &[]);
    for (index, layer) in (0u16..).zip(&spec.layers) {
        b.layer = Some(index);
        let n = b.norm(R::MixerNorm, x, spec.hidden, 1);
        let y = match layer.mixer {
            Mixer::Conv => b.conv(n),
            Mixer::Attention => b.attention(n),
        };
        x = b.push(Op::Add, &[x, y]);
        let n = b.norm(R::FfnNorm, x, spec.hidden, 1);
        let y = match (layer.ffn, spec.moe) {
            (Ffn::Moe, Some(moe)) => b.push(Op::Experts { layer: index, moe, hidden: spec.hidden }, &[n]),
            (Ffn::Moe, None) => b.dense(n, spec.ffn_width),
            (Ffn::Dense(width), _) => b.dense(n, width),
        };
        x = b.push(Op::Add, &[x, y]);
    }
    b.layer = None;
    let n = b.norm(R::FinalNorm, x, spec.hidden, 1);
    let head = if spec.tied { R::Embedding } else { R::Head };
    b.linear(head, None, n, spec.vocab, spec.hidden);
    let rope = Rope { theta: spec.rope_theta, head_dim: spec.head_dim, positions: spec.max_positions };
    Graph { nodes: b.nodes, states: b.states, rope, norm_eps: spec.norm_eps, vocab: spec.vocab }
}

struct Builder<'a> {
    spec: &'a ModelSpec,
    nodes: Vec<Node>,
    states: Vec<State>,
    layer: Option<u16>,
}

impl Builder<'_> {
    fn push(&mut self, op: Op, inputs: &[ValueId]) -> ValueId {
        self.nodes.push(Node { op, inputs: inputs.to_vec(), layer: self.layer });
        ValueId(self.nodes.len() - 1)
    }

    /// A tensor of the layer at hand.
    fn tensor(&self, role: R) -> TensorId {
        TensorId { layer: self.layer, role }
    }

    fn state(&mut self, kind: StateKind) -> usize {
        self.states.push(State { layer: self.layer.unwrap_or_default(), kind });
        self.states.len() - 1
    }

    fn norm(&mut self, role: R, x: ValueId, width: usize, heads: usize) -> ValueId {
        let weight = self.tensor(role);
        self.push(Op::Norm { weight, width, heads }, &[x])
    }

    fn linear(&mut self, role: R, bias: Option<R>, x: ValueId, rows: usize, cols: usize) -> ValueId {
        let (weight, bias) = (self.tensor(role), bias.map(|role| self.tensor(role)));
        self.push(Op::Linear { weight, rows, cols, bias }, &[x])
    }

    fn conv(&mut self, n: ValueId) -> ValueId {
        let (spec, hidden) = (self.spec, self.spec.hidden);
        let biased = |role| spec.conv_bias.then_some(role);
        let parts = self.linear(R::ConvInProj, biased(R::ConvInBias), n, 3 * hidden, hidden);
        let state = self.state(StateKind::Conv { hidden, taps: spec.conv_taps });
        let bias = biased(R::ConvKernelBias).map(|role| self.tensor(role));
        let y = self.push(Op::ShortConv { kernel: self.tensor(R::ConvKernel), bias, state }, &[parts]);
        self.linear(R::ConvOutProj, biased(R::ConvOutBias), y, hidden, hidden)
    }

    fn attention(&mut self, n: ValueId) -> ValueId {
        let ModelSpec { hidden, heads, kv_heads, head_dim, .. } = *self.spec;
        let (wide, narrow) = (heads * head_dim, kv_heads * head_dim);
        let q = self.linear(R::AttnQ, None, n, wide, hidden);
        let k = self.linear(R::AttnK, None, n, narrow, hidden);
        let v = self.linear(R::AttnV, None, n, narrow, hidden);
        let q = self.norm(R::AttnQNorm, q, head_dim, heads);
        let k = self.norm(R::AttnKNorm, k, head_dim, kv_heads);
        let state = self.state(StateKind::KeyValue { heads, kv_heads, head_dim });
        let y = self.push(Op::Attention { state }, &[q, k, v]);
        self.linear(R::AttnOut, None, y, hidden, wide)
    }

    fn dense(&mut self, n: ValueId, width: usize) -> ValueId {
        let hidden = self.spec.hidden;
        let gate = self.linear(R::FfnGate, None, n, width, hidden);
        let up = self.linear(R::FfnUp, None, n, width, hidden);
        let y = self.push(Op::SwiGlu, &[gate, up]);
        self.linear(R::FfnDown, None, y, hidden, width)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lfmq_core::{Family, LayerSpec, MoeSpec, TokenIds};
    use std::collections::BTreeSet;

    fn spec(tied: bool) -> ModelSpec {
        let layer = |mixer, ffn| LayerSpec { mixer, ffn };
        ModelSpec {
            family: Family::Lfm2Moe,
            vocab: 320,
            hidden: 64,
            layers: vec![layer(Mixer::Conv, Ffn::Dense(96)), layer(Mixer::Attention, Ffn::Moe)],
            heads: 4,
            kv_heads: 2,
            head_dim: 16,
            explicit_head_dim: false,
            conv_taps: 3,
            conv_bias: true,
            norm_eps: 1e-5,
            rope_theta: 1e6,
            max_positions: 128,
            ffn_width: 96,
            dense_layers: 1,
            moe: Some(MoeSpec { experts: 3, top_k: 2, width: 32, use_bias: true, norm_top_k: true, scale: 1.0 }),
            tied,
            tokens: TokenIds::default(),
        }
    }

    /// Tensors a node reads, those of experts included.
    fn weights(op: &Op) -> Vec<TensorId> {
        match *op {
            Op::Embed { table } => vec![table],
            Op::Norm { weight, .. } => vec![weight],
            Op::Linear { weight, bias, .. } => std::iter::once(weight).chain(bias).collect(),
            Op::ShortConv { kernel, bias, .. } => std::iter::once(kernel).chain(bias).collect(),
            Op::Attention { .. } | Op::SwiGlu | Op::Add => Vec::new(),
            Op::Experts { layer, moe, .. } => (0..moe.experts as u16)
                .flat_map(|e| [R::ExpertGate(e), R::ExpertUp(e), R::ExpertDown(e)])
                .chain([R::Router, R::RouterBias])
                .map(|role| TensorId::layer(layer, role))
                .collect(),
        }
    }

    #[test]
    fn every_tensor_is_read_and_every_node_reads_what_came_before() {
        for tied in [true, false] {
            let spec = spec(tied);
            let graph = build(&spec);
            let read: BTreeSet<_> = graph.nodes.iter().flat_map(|n| weights(&n.op)).collect();
            assert_eq!(read, spec.tensors().into_iter().map(|(id, _)| id).collect());
            for (i, node) in graph.nodes.iter().enumerate() {
                assert!(node.inputs.iter().all(|v| v.0 < i), "{node:?}");
            }
            // But for the logits every value has a reader.
            let used: BTreeSet<_> = graph.nodes.iter().flat_map(|n| &n.inputs).map(|v| v.0).collect();
            assert_eq!(used, (0..graph.nodes.len() - 1).collect());
        }
    }

    #[test]
    fn frequencies_fall_from_one() {
        let rope = Rope { theta: 1e4, head_dim: 4, positions: 8 };
        assert_eq!(rope.inverse_frequencies(), [1.0, 0.01]);
    }
}
