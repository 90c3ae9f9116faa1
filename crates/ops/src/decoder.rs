//! The LFM2 forward pass.

use crate::attention::{Attention, KvCache};
use crate::conv::{ConvState, ShortConv};
use crate::moe::Routes;
use crate::norm::rms_norm;
use crate::rope::{Rotation, inverse_frequencies};
use crate::spare::take;
use crate::{DecoderSession, Embedding, Ffn, Input, Linear, OpsError};
use lfmq_core::ExecError;
use lfmq_kernels::{Kernels, multiversion};
use rayon::prelude::*;
use std::ops::Range;
use std::sync::Arc;

/// Logits are made for this many positions at a time; bounds what lies between the head's panels and its output.
const HEAD_ROWS: usize = 64;

/// The plain numbers of a decoder that its weights do not tell.
#[derive(Clone, Debug, PartialEq)]
pub struct DecoderConfig {
    /// Rows of the embedding and of the logits.
    pub vocab: usize,
    /// Width of the residual stream.
    pub hidden: usize,
    /// Query heads.
    pub heads: usize,
    /// Key/value heads; divides `heads`.
    pub kv_heads: usize,
    /// Width of one head, even.
    pub head_dim: usize,
    /// Taps of the short convolution.
    pub taps: usize,
    /// Epsilon of every norm.
    pub norm_eps: f32,
    /// Base of the rotary angles.
    pub rope_theta: f64,
}

/// The sequence mixer of a layer.
pub enum Mixer<'w> {
    /// Gated short convolution.
    Conv(ShortConv<'w>),
    /// Causal attention.
    Attention(Attention<'w>),
}

/// One layer: `x += mixer(norm(x))`, then `x += ffn(norm(x))`.
pub struct Layer<'w> {
    /// Norm before the mixer `[hidden]`.
    pub mixer_norm: Vec<f32>,
    /// The mixer.
    pub mixer: Mixer<'w>,
    /// Norm before the feed-forward `[hidden]`.
    pub ffn_norm: Vec<f32>,
    /// The feed-forward.
    pub ffn: Ffn<'w>,
}

/// What one layer remembers of a sequence.
#[derive(Clone, Debug, PartialEq)]
pub enum LayerState {
    /// Of a short convolution.
    Conv(ConvState),
    /// Of attention.
    Attention(KvCache),
}

/// A run of consecutive tokens on their way through the layers: what is common to all layers.
pub struct Step {
    rotation: Rotation,
    eps: f32,
    kernels: &'static Kernels,
}

impl Step {
    /// A run of `n` tokens of which the first has position `start`.
    #[must_use]
    pub fn new(config: &DecoderConfig, kernels: &'static Kernels, start: usize, n: usize) -> Self {
        let frequencies = inverse_frequencies(config.rope_theta, config.head_dim);
        Self { rotation: Rotation::new(&frequencies, start, n), eps: config.norm_eps, kernels }
    }

    /// Token `t` of the residual stream `x [n, hidden]` after a norm.
    fn normed(&self, x: &[f32], t: usize, weight: &[f32], out: &mut [f32]) {
        out.copy_from_slice(&x[t * out.len()..][..out.len()]);
        rms_norm(out, weight, self.eps, self.kernels);
    }
}

impl LayerState {
    /// Back to the beginning of a sequence.
    pub fn reset(&mut self) {
        match self {
            Self::Conv(state) => state.reset(),
            Self::Attention(cache) => cache.reset(),
        }
    }
}

impl Layer<'_> {
    /// The state before the first token.
    #[must_use]
    pub fn state(&self, config: &DecoderConfig) -> LayerState {
        match &self.mixer {
            Mixer::Conv(_) => LayerState::Conv(ConvState::new(config.hidden, config.taps)),
            Mixer::Attention(attention) => LayerState::Attention(KvCache::new(attention.kv_heads)),
        }
    }

    /// Runs the residual stream `x [n, hidden]` of the tokens of `step` through the layer, in place. Gives the experts
    /// chosen for each token; empty for a dense layer. `state` must be of this layer.
    ///
    /// # Errors
    /// When a weight cannot be read; `x` and `state` are unspecified then.
    pub fn forward(&self, step: &Step, x: &mut [f32], state: &mut LayerState) -> Result<Routes, ExecError> {
        let hidden = self.mixer_norm.len();
        let n = x.len().checked_div(hidden).unwrap_or(0);
        let mixed = {
            let normed = |t: Range<usize>, row: &mut [f32]| step.normed(x, t.start, &self.mixer_norm, row);
            let input = Input::made(n, hidden, 1, &normed, step.kernels);
            match (&self.mixer, state) {
                (Mixer::Conv(conv), LayerState::Conv(state)) => conv.forward(&input, state)?,
                (Mixer::Attention(attention), LayerState::Attention(cache)) => {
                    attention.forward(&input, cache, &step.rotation, step.eps)?
                }
                _ => {
                    debug_assert!(false, "a state of another kind of layer");
                    take(0)
                }
            }
        };
        add(x, &mixed);
        drop(mixed);

        let normed = |t: Range<usize>, row: &mut [f32]| step.normed(x, t.start, &self.ffn_norm, row);
        let input = Input::made(n, hidden, 1, &normed, step.kernels);
        let (out, routes) = match &self.ffn {
            Ffn::Dense(ffn) => (ffn.forward(&input)?, Routes::new()),
            Ffn::Moe(moe) => moe.forward(&input)?,
        };
        add(x, &out);
        Ok(routes)
    }
}

/// `x += y`, in pieces on the current pool.
fn add(x: &mut [f32], y: &[f32]) {
    const PIECE: usize = 1 << 14;
    x.par_chunks_mut(PIECE).zip(y.par_chunks(PIECE)).for_each(|(x, y)| plus(x, y));
}

multiversion! {
    fn plus['a](x: &'a mut [f32], y: &'a [f32]) -> () {
        for (x, y) in x.iter_mut().zip(y) {
            *x += y;
        }
    }
}

/// A whole model. `'w` is the life of whatever its weights are read from.
pub struct Decoder<'w> {
    config: DecoderConfig,
    embedding: Arc<dyn Embedding + 'w>,
    layers: Vec<Layer<'w>>,
    final_norm: Vec<f32>,
    head: Arc<dyn Linear + 'w>,
    kernels: &'static Kernels,
}

impl<'w> Decoder<'w> {
    /// Puts a model together; `final_norm` is applied after the last layer, and `head` is the embedding in tied models.
    ///
    /// # Errors
    /// When a part has another shape than `config` asks for.
    pub fn new(
        config: DecoderConfig,
        embedding: Arc<dyn Embedding + 'w>,
        layers: Vec<Layer<'w>>,
        final_norm: Vec<f32>,
        head: Arc<dyn Linear + 'w>,
        kernels: &'static Kernels,
    ) -> Result<Self, OpsError> {
        let decoder = Self { config, embedding, layers, final_norm, head, kernels };
        crate::fit::check(&decoder)?;
        Ok(decoder)
    }

    /// The numbers.
    #[must_use]
    pub fn config(&self) -> &DecoderConfig {
        &self.config
    }

    /// The token embedding.
    #[must_use]
    pub fn embedding(&self) -> &(dyn Embedding + 'w) {
        &*self.embedding
    }

    /// The layers in order.
    #[must_use]
    pub fn layers(&self) -> &[Layer<'w>] {
        &self.layers
    }

    /// The norm after the last layer `[hidden]`.
    #[must_use]
    pub fn final_norm(&self) -> &[f32] {
        &self.final_norm
    }

    /// The head `[vocab, hidden]`.
    #[must_use]
    pub fn head(&self) -> &(dyn Linear + 'w) {
        &*self.head
    }

    /// The kernels in use.
    #[must_use]
    pub fn kernels(&self) -> &'static Kernels {
        self.kernels
    }

    /// A fresh sequence of at most `positions` tokens.
    #[must_use]
    pub fn session(&self, positions: usize) -> DecoderSession<'_> {
        DecoderSession::new(self, positions)
    }

    /// The embedded tokens `[n, hidden]`.
    ///
    /// # Errors
    /// When a token is outside the vocabulary, or a weight cannot be read.
    pub fn embed(&self, tokens: &[u32]) -> Result<Vec<f32>, ExecError> {
        let hidden = self.config.hidden;
        let mut x = vec![0.0; tokens.len() * hidden];
        let rows = tokens.iter().map(|token| self.row(*token)).collect::<Result<Vec<_>, _>>()?;
        let looked_up = rows.par_iter().zip(x.par_chunks_mut(hidden)).map(|(row, x)| self.embedding.lookup(*row, x));
        // In order, so that the error is the first one on any number of threads.
        looked_up.collect::<Vec<_>>().into_iter().collect::<Result<(), _>>()?;
        Ok(x)
    }

    /// Runs `tokens` as a fresh sequence and shows the residual stream `[tokens, hidden]` after the embedding and after
    /// each layer, with what it is called.
    ///
    /// # Errors
    /// As [`Self::embed`].
    pub fn trace(&self, tokens: &[u32], seen: &mut dyn FnMut(&str, &[f32])) -> Result<(), ExecError> {
        let step = Step::new(&self.config, self.kernels, 0, tokens.len());
        let mut x = self.embed(tokens)?;
        seen("the embedding", &x);
        for (index, layer) in self.layers.iter().enumerate() {
            layer.forward(&step, &mut x, &mut layer.state(&self.config))?;
            let kind = match layer.mixer {
                Mixer::Conv(_) => "short convolution",
                Mixer::Attention(_) => "attention",
            };
            seen(&format!("layer {index} ({kind})"), &x);
        }
        Ok(())
    }

    /// The embedding row of a token.
    pub(crate) fn row(&self, token: u32) -> Result<usize, ExecError> {
        let vocab = self.config.vocab;
        usize::try_from(token).ok().filter(|t| *t < vocab).ok_or(ExecError::Token { token, vocab })
    }

    /// Appends the logits `[n, vocab]` of the residual stream `x [n, hidden]` after the last layer.
    ///
    /// # Errors
    /// When a weight cannot be read.
    pub fn logits(&self, x: &[f32], out: &mut Vec<f32>) -> Result<(), ExecError> {
        let DecoderConfig { hidden, vocab, norm_eps, .. } = self.config;
        for rows in x.chunks(HEAD_ROWS * hidden) {
            let mut normed = rows.to_vec();
            rms_norm(&mut normed, &self.final_norm, norm_eps, self.kernels);
            let start = out.len();
            out.resize(start + rows.len() / hidden * vocab, 0.0);
            self.head.apply(&Input::new(&normed, hidden, self.kernels), &mut out[start..])?;
        }
        Ok(())
    }
}
