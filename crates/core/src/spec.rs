use crate::{TensorId, TensorRole};
use serde::Serialize;

/// Which checkpoint family a spec was read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// `Lfm2ForCausalLM`.
    Lfm2,
    /// `Lfm2MoeForCausalLM`.
    Lfm2Moe,
}

/// The sequence mixer of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mixer {
    /// Gated short convolution.
    Conv,
    /// Full causal attention with grouped queries.
    Attention,
}

/// The feed-forward of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ffn {
    /// SwiGLU of this inner width.
    Dense(usize),
    /// Routed experts, see [`MoeSpec`].
    Moe,
}

/// One layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct LayerSpec {
    /// Its sequence mixer.
    pub mixer: Mixer,
    /// Its feed-forward.
    pub ffn: Ffn,
}

/// The mixture-of-experts part of a model.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct MoeSpec {
    /// Number of experts E.
    pub experts: usize,
    /// Experts used per token K.
    pub top_k: usize,
    /// Inner width of one expert.
    pub width: usize,
    /// Whether a selection bias is added before top-k.
    pub use_bias: bool,
    /// Whether the K weights are divided by their sum + 1e-6.
    pub norm_top_k: bool,
    /// Factor on the weights after normalisation.
    pub scale: f32,
}

/// Special token ids as the configuration gives them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TokenIds {
    /// Beginning of sequence.
    pub bos: Option<u32>,
    /// End of generation; the first is the main one.
    pub eos: Vec<u32>,
    /// Padding.
    pub pad: Option<u32>,
}

/// The shape of a model, free of any file's spelling.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModelSpec {
    /// Where it came from.
    pub family: Family,
    /// Rows of the embedding, unused padding rows included.
    pub vocab: usize,
    /// Width of the residual stream.
    pub hidden: usize,
    /// The layers in order.
    pub layers: Vec<LayerSpec>,
    /// Query heads.
    pub heads: usize,
    /// Key/value heads; divides `heads`.
    pub kv_heads: usize,
    /// Width of one head, even.
    pub head_dim: usize,
    /// Whether the configuration spells `head_dim` out.
    pub explicit_head_dim: bool,
    /// Taps of the short convolution.
    pub conv_taps: usize,
    /// Whether the three convolution parts carry biases.
    pub conv_bias: bool,
    /// Epsilon of every RMS norm.
    pub norm_eps: f64,
    /// Base of the rotary angles.
    pub rope_theta: f64,
    /// Positions the model was made for; metadata only.
    pub max_positions: usize,
    /// Inner width of the dense feed-forwards.
    pub ffn_width: usize,
    /// Layers before this index are dense in a mixture model.
    pub dense_layers: usize,
    /// Mixture of experts, if any.
    pub moe: Option<MoeSpec>,
    /// Whether the head is the embedding.
    pub tied: bool,
    /// Special tokens.
    pub tokens: TokenIds,
}

impl ModelSpec {
    /// Every tensor the model has, with its shape as `(rows, cols)`; vectors are `(1, n)`, the convolution
    /// kernel is `(hidden, taps)`. The order is: globals, then layer by layer.
    #[must_use]
    pub fn tensors(&self) -> Vec<(TensorId, (usize, usize))> {
        use TensorRole as R;
        let h = self.hidden;
        let mut all = vec![(TensorId::global(R::Embedding), (self.vocab, h)), (TensorId::global(R::FinalNorm), (1, h))];
        if !self.tied {
            all.push((TensorId::global(R::Head), (self.vocab, h)));
        }
        for (index, layer) in (0u16..).zip(&self.layers) {
            let mut put = |role, shape| all.push((TensorId::layer(index, role), shape));
            put(R::MixerNorm, (1, h));
            put(R::FfnNorm, (1, h));
            match layer.mixer {
                Mixer::Conv => {
                    put(R::ConvInProj, (3 * h, h));
                    put(R::ConvKernel, (h, self.conv_taps));
                    put(R::ConvOutProj, (h, h));
                    if self.conv_bias {
                        put(R::ConvInBias, (1, 3 * h));
                        put(R::ConvKernelBias, (1, h));
                        put(R::ConvOutBias, (1, h));
                    }
                }
                Mixer::Attention => {
                    let (q, kv) = (self.heads * self.head_dim, self.kv_heads * self.head_dim);
                    put(R::AttnQ, (q, h));
                    put(R::AttnK, (kv, h));
                    put(R::AttnV, (kv, h));
                    put(R::AttnOut, (h, q));
                    put(R::AttnQNorm, (1, self.head_dim));
                    put(R::AttnKNorm, (1, self.head_dim));
                }
            }
            match (layer.ffn, &self.moe) {
                (Ffn::Moe, Some(moe)) => {
                    put(R::Router, (moe.experts, h));
                    if moe.use_bias {
                        put(R::RouterBias, (1, moe.experts));
                    }
                    for e in (0u16..).take(moe.experts) {
                        put(R::ExpertGate(e), (moe.width, h));
                        put(R::ExpertUp(e), (moe.width, h));
                        put(R::ExpertDown(e), (h, moe.width));
                    }
                }
                (Ffn::Dense(width), _) => {
                    put(R::FfnGate, (width, h));
                    put(R::FfnUp, (width, h));
                    put(R::FfnDown, (h, width));
                }
                (Ffn::Moe, None) => {}
            }
        }
        all
    }

    /// Number of weights, the router's selection biases included.
    #[must_use]
    pub fn parameters(&self) -> u64 {
        self.tensors().iter().map(|(_, (r, c))| (*r as u64) * (*c as u64)).sum()
    }
}
