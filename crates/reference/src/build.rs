//! From roles to the parts of a decoder.

use crate::{ReferenceError, Streamed};
use lfmq_core::{Ffn as FfnKind, Mixer as MixerKind, ModelSpec, MoeSpec, TensorId, TensorRole as R, TensorSource};
use lfmq_kernels::Kernels;
use lfmq_ops::attention::Attention;
use lfmq_ops::conv::ShortConv;
use lfmq_ops::{Decoder, DecoderConfig, DenseFfn, Ffn, Gate, Layer, Linear, Mixer, Moe, Routing};
use std::collections::HashMap;
use std::sync::Arc;

/// The forward pass over `source`, every router's rule passed through `rule`.
pub(crate) fn decoder<'a>(
    source: &'a dyn TensorSource,
    kernels: &'static Kernels,
    rule: fn(Routing) -> Routing,
) -> Result<Decoder<'a>, ReferenceError> {
    let (parts, spec) = (Parts::new(source), source.spec());
    parts.check()?;
    let embedding = Arc::new(parts.streamed(TensorId::global(R::Embedding))?);
    let head: Arc<dyn Linear + 'a> =
        if spec.tied { embedding.clone() } else { parts.matrix(TensorId::global(R::Head))? };
    let layers = (0u16..).zip(&spec.layers);
    let layers: Result<Vec<_>, _> =
        layers.map(|(index, layer)| Part { parts: &parts, index, rule }.layer(layer)).collect();
    let norm = parts.vector(TensorId::global(R::FinalNorm))?;
    Decoder::new(config(spec), embedding, layers?, norm, head, kernels)
        .map_err(|source| ReferenceError::Unfit { model: parts.model(), source })
}

fn config(spec: &ModelSpec) -> DecoderConfig {
    DecoderConfig {
        vocab: spec.vocab,
        hidden: spec.hidden,
        heads: spec.heads,
        kv_heads: spec.kv_heads,
        head_dim: spec.head_dim,
        taps: spec.conv_taps,
        norm_eps: spec.norm_eps as f32,
        rope_theta: spec.rope_theta,
    }
}

/// A checkpoint's tensors by what they are.
struct Parts<'a> {
    source: &'a dyn TensorSource,
    index: HashMap<TensorId, usize>,
}

impl<'a> Parts<'a> {
    fn new(source: &'a dyn TensorSource) -> Self {
        Self { source, index: source.tensors().iter().enumerate().map(|(i, t)| (t.id, i)).collect() }
    }

    fn model(&self) -> String {
        self.source.name().to_owned()
    }

    /// Every tensor the model calls for must be there in its shape.
    fn check(&self) -> Result<(), ReferenceError> {
        for (id, (rows, cols)) in self.source.spec().tensors() {
            let index = self.find(id)?;
            if let Some(tensor) = self.source.tensors().get(index).filter(|t| (t.rows, t.cols) != (rows, cols)) {
                return Err(ReferenceError::Shape {
                    model: self.model(),
                    tensor: tensor.name.clone(),
                    expected: format!("[{rows}, {cols}]"),
                    found: format!("[{}, {}]", tensor.rows, tensor.cols),
                });
            }
        }
        Ok(())
    }

    fn find(&self, id: TensorId) -> Result<usize, ReferenceError> {
        self.index.get(&id).copied().ok_or_else(|| self.missing(id))
    }

    fn missing(&self, id: TensorId) -> ReferenceError {
        ReferenceError::Missing { model: self.model(), tensor: id.to_string() }
    }

    fn streamed(&self, id: TensorId) -> Result<Streamed<'a>, ReferenceError> {
        Streamed::new(self.source, self.find(id)?).ok_or_else(|| self.missing(id))
    }

    fn matrix(&self, id: TensorId) -> Result<Arc<dyn Linear + 'a>, ReferenceError> {
        Ok(Arc::new(self.streamed(id)?))
    }

    /// A small tensor, all of it.
    fn vector(&self, id: TensorId) -> Result<Vec<f32>, ReferenceError> {
        let index = self.find(id)?;
        let tensor = self.source.tensors().get(index).ok_or_else(|| self.missing(id))?;
        let mut values = vec![0.0; tensor.rows * tensor.cols];
        self.source.read_rows(index, 0..tensor.rows, &mut values)?;
        Ok(values)
    }
}

/// The tensors of one layer.
struct Part<'p, 'a> {
    parts: &'p Parts<'a>,
    index: u16,
    rule: fn(Routing) -> Routing,
}

impl<'a> Part<'_, 'a> {
    fn matrix(&self, role: R) -> Result<Arc<dyn Linear + 'a>, ReferenceError> {
        self.parts.matrix(TensorId::layer(self.index, role))
    }

    fn vector(&self, role: R) -> Result<Vec<f32>, ReferenceError> {
        self.parts.vector(TensorId::layer(self.index, role))
    }

    fn layer(&self, kind: &lfmq_core::LayerSpec) -> Result<Layer<'a>, ReferenceError> {
        let spec = self.parts.source.spec();
        Ok(Layer {
            mixer_norm: self.vector(R::MixerNorm)?,
            mixer: match kind.mixer {
                MixerKind::Conv => Mixer::Conv(self.conv(spec.conv_bias)?),
                MixerKind::Attention => Mixer::Attention(self.attention(spec)?),
            },
            ffn_norm: self.vector(R::FfnNorm)?,
            ffn: match (kind.ffn, &spec.moe) {
                (FfnKind::Moe, Some(moe)) => Ffn::Moe(self.mixture(moe)?),
                _ => Ffn::Dense(self.ffn(R::FfnGate, R::FfnUp, R::FfnDown)?),
            },
        })
    }

    fn conv(&self, biased: bool) -> Result<ShortConv<'a>, ReferenceError> {
        let bias = |role| biased.then(|| self.vector(role)).transpose();
        Ok(ShortConv {
            in_proj: self.matrix(R::ConvInProj)?,
            in_bias: bias(R::ConvInBias)?,
            kernel: self.vector(R::ConvKernel)?,
            kernel_bias: bias(R::ConvKernelBias)?,
            out_proj: self.matrix(R::ConvOutProj)?,
            out_bias: bias(R::ConvOutBias)?,
        })
    }

    fn attention(&self, spec: &ModelSpec) -> Result<Attention<'a>, ReferenceError> {
        Ok(Attention {
            heads: spec.heads,
            kv_heads: spec.kv_heads,
            head_dim: spec.head_dim,
            q: self.matrix(R::AttnQ)?,
            k: self.matrix(R::AttnK)?,
            v: self.matrix(R::AttnV)?,
            out: self.matrix(R::AttnOut)?,
            q_norm: self.vector(R::AttnQNorm)?,
            k_norm: self.vector(R::AttnKNorm)?,
        })
    }

    fn ffn(&self, gate: R, up: R, down: R) -> Result<DenseFfn<'a>, ReferenceError> {
        Ok(DenseFfn { gate: self.matrix(gate)?, up: self.matrix(up)?, down: self.matrix(down)? })
    }

    fn mixture(&self, moe: &MoeSpec) -> Result<Moe<'a>, ReferenceError> {
        let expert = |e| self.ffn(R::ExpertGate(e), R::ExpertUp(e), R::ExpertDown(e));
        let routing = Routing {
            gate: Gate::Sigmoid,
            top_k: moe.top_k,
            bias: moe.use_bias.then(|| self.vector(R::RouterBias)).transpose()?,
            norm_top_k: moe.norm_top_k,
            scale: moe.scale,
        };
        Ok(Moe {
            router: self.matrix(R::Router)?,
            routing: (self.rule)(routing),
            experts: (0u16..).take(moe.experts).map(expert).collect::<Result<_, _>>()?,
        })
    }
}
