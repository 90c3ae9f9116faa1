//! From a file's bytes to a decoder: every weight decoded once into the layout its kernels read.

use crate::RunError;
use crate::bank::Expert;
use crate::decode;
use crate::gguf::File;
use crate::half_linear::{Half, HalfLinear};
use lfmq_core::{Ffn, Mixer, MoeSpec, TensorId, TensorRole as R};
use lfmq_gguf_wire::{GgmlType, names};
use lfmq_kernels::Arena;
use lfmq_ops::attention::Attention;
use lfmq_ops::conv::ShortConv;
use lfmq_ops::{
    BlockLinear, Decoder, DecoderConfig, DenseFfn, Embedding, F32Linear, Form, Gate, Layer, Linear, Moe, OpsError,
    Routing, Run,
};
use rayon::prelude::*;
use std::ops::Range;
use std::sync::Arc;

/// Rows decoded as one task.
const ROWS: usize = 64;

/// A matrix in whichever form its type asks for.
pub(crate) enum Matrix {
    F32(Arc<F32Linear>),
    Half(Arc<HalfLinear>),
    Blocks(Arc<BlockLinear>),
}

impl Matrix {
    pub(crate) fn linear(&self) -> Arc<dyn Linear> {
        match self {
            Self::F32(m) => m.clone(),
            Self::Half(m) => m.clone(),
            Self::Blocks(m) => m.clone(),
        }
    }

    fn embedding(&self) -> Arc<dyn Embedding> {
        match self {
            Self::F32(m) => m.clone(),
            Self::Half(m) => m.clone(),
            Self::Blocks(m) => m.clone(),
        }
    }
}

impl File {
    /// Decodes the whole model, or all of it but its experts.
    pub(crate) fn load(self: &Arc<Self>) -> Result<Decoder<'static>, RunError> {
        let spec = &self.table.spec;
        let config = DecoderConfig {
            vocab: spec.vocab,
            hidden: spec.hidden,
            heads: spec.heads,
            kv_heads: spec.kv_heads,
            head_dim: spec.head_dim,
            taps: spec.conv_taps,
            norm_eps: spec.norm_eps as f32,
            rope_theta: spec.rope_theta,
        };
        let ends = || {
            let embedding = self.matrix(TensorId::global(R::Embedding))?;
            let head = if spec.tied { embedding.linear() } else { self.matrix(TensorId::global(R::Head))?.linear() };
            Ok((embedding, head))
        };
        // Side by side, as what waits for the end of one matrix waits for pages that another thread clears.
        let (ends, layers) = rayon::join(ends, || {
            let layers = 0..u16::try_from(spec.layers.len()).unwrap_or(u16::MAX);
            layers.into_par_iter().map(|l| self.layer(l)).collect::<Vec<_>>()
        });
        // In order, so that the error is the first one on any number of threads.
        let (embedding, head) = ends?;
        let layers = layers.into_iter().collect::<Result<_, _>>()?;
        let norm = self.vector(TensorId::global(R::FinalNorm))?;
        Decoder::new(config, embedding.embedding(), layers, norm, head, self.options.kernels).map_err(|e| self.parts(e))
    }

    fn layer(self: &Arc<Self>, layer: u16) -> Result<Layer<'static>, RunError> {
        let spec = &self.table.spec;
        let id = |role| TensorId::layer(layer, role);
        let linear = |role| self.matrix(id(role)).map(|m| m.linear());
        let kinds = spec.layers.get(usize::from(layer));
        let mixer = match kinds.map(|k| k.mixer) {
            Some(Mixer::Attention) => lfmq_ops::Mixer::Attention(Attention {
                heads: spec.heads,
                kv_heads: spec.kv_heads,
                head_dim: spec.head_dim,
                q: linear(R::AttnQ)?,
                k: linear(R::AttnK)?,
                v: linear(R::AttnV)?,
                out: linear(R::AttnOut)?,
                q_norm: self.vector(id(R::AttnQNorm))?,
                k_norm: self.vector(id(R::AttnKNorm))?,
            }),
            _ => lfmq_ops::Mixer::Conv(ShortConv {
                in_proj: linear(R::ConvInProj)?,
                in_bias: None,
                kernel: self.vector(id(R::ConvKernel))?,
                kernel_bias: None,
                out_proj: linear(R::ConvOutProj)?,
                out_bias: None,
            }),
        };
        let ffn = match (kinds.map(|k| k.ffn), &spec.moe) {
            (Some(Ffn::Moe), Some(moe)) => lfmq_ops::Ffn::Moe(self.mixture(layer, moe)?),
            _ => lfmq_ops::Ffn::Dense(DenseFfn {
                gate: linear(R::FfnGate)?,
                up: linear(R::FfnUp)?,
                down: linear(R::FfnDown)?,
            }),
        };
        let (mixer_norm, ffn_norm) = (self.vector(id(R::MixerNorm))?, self.vector(id(R::FfnNorm))?);
        Ok(Layer { mixer_norm, mixer, ffn_norm, ffn })
    }

    /// llama.cpp divides the K weights by `max(sum, 6.1e-5)`, [`Routing`] by `sum + 1e-6` as the checkpoint's own code does.
    /// A trained router's best K sigmoids sum to one or more, so the weights differ by a millionth at most: nothing that
    /// drift could show.
    fn mixture(self: &Arc<Self>, layer: u16, moe: &MoeSpec) -> Result<Moe<'static>, RunError> {
        let id = |role| TensorId::layer(layer, role);
        let linear = |role| self.matrix(id(role)).map(|m| m.linear());
        let experts = self.table.stored.iter().filter(|t| t.id.is_some_and(|id| id.role.expert().is_some()));
        let bytes = experts.map(|t| t.bytes).sum();
        let (later, stays) = (self.bank.later(bytes), self.bank.keeps(bytes));
        let part = |role| if later { self.expert(id(role), stays) } else { linear(role) };
        let expert = |e| {
            let (gate, up, down) = (R::ExpertGate(e), R::ExpertUp(e), R::ExpertDown(e));
            Ok(DenseFfn { gate: part(gate)?, up: part(up)?, down: part(down)? })
        };
        Ok(Moe {
            router: linear(R::Router)?,
            routing: Routing {
                gate: Gate::Sigmoid,
                top_k: moe.top_k,
                bias: Some(self.vector(id(R::RouterBias))?),
                norm_top_k: moe.norm_top_k,
                scale: moe.scale,
            },
            experts: (0u16..).take(moe.experts).map(expert).collect::<Result<_, RunError>>()?,
        })
    }

    /// A small float tensor, flattened.
    fn vector(&self, id: TensorId) -> Result<Vec<f32>, RunError> {
        let (index, rows, cols) = self.shape(id)?;
        let (ty, bytes) = self.row_bytes(index, 0..rows, rows * cols)?;
        let values = decode::values(ty, bytes);
        if values.iter().all(|v| v.is_finite()) { Ok(values) } else { Err(self.not_finite(index, 0)) }
    }

    /// A matrix that stays in the file until it is needed.
    fn expert(self: &Arc<Self>, id: TensorId, stays: bool) -> Result<Arc<dyn Linear>, RunError> {
        let (index, rows, cols) = self.shape(id)?;
        Ok(Arc::new(Expert { file: self.clone(), index, rows, cols, stays }))
    }

    fn matrix(&self, id: TensorId) -> Result<Matrix, RunError> {
        let (index, rows, cols) = self.shape(id)?;
        self.matrix_at(index, (rows, cols), &self.memory)
    }

    /// Tensor `index`, `[rows, cols]`, laid out for its kernels in some of `memory`.
    pub(crate) fn matrix_at(
        &self,
        index: usize,
        (rows, cols): (usize, usize),
        memory: &Arena,
    ) -> Result<Matrix, RunError> {
        let place = self.table.places.get(index);
        let matrix = match place.map(|p| p.ty) {
            Some(GgmlType::F16) => self.half(index, (rows, cols), Half::F16),
            Some(GgmlType::BF16) => self.half(index, (rows, cols), Half::BF16),
            ty => self.decoded(index, (rows, cols), ty.and_then(decode::form), memory),
        };
        // Laid out in memory, it is not read from the file again: no second copy of the model.
        if let Some(place) = place {
            self.shards.release(place.shard, place.bytes.clone());
        }
        matrix
    }

    fn half(&self, index: usize, (rows, cols): (usize, usize), half: Half) -> Result<Matrix, RunError> {
        let mut patterns = Vec::with_capacity(rows * cols);
        for part in self.in_parallel(index, rows, cols, |_, bytes| {
            let all = bytes.as_chunks().0.iter().map(|b| u16::from_le_bytes(*b));
            let patterns: Vec<u16> = all.collect();
            patterns.iter().all(|p| half.finite(*p)).then_some(patterns)
        })? {
            patterns.extend_from_slice(&part);
        }
        let (activation, kernels) = (self.options.activation, self.options.kernels);
        Ok(Matrix::Half(Arc::new(HalfLinear { rows, cols, half, patterns, activation, kernels })))
    }

    fn decoded(
        &self,
        index: usize,
        (rows, cols): (usize, usize),
        form: Option<Form>,
        memory: &Arena,
    ) -> Result<Matrix, RunError> {
        let Some(form) = form else {
            let parts = self.in_parallel(index, rows, cols, |ty, bytes| {
                let values = decode::values(ty, bytes);
                values.iter().all(|v| v.is_finite()).then_some(values)
            })?;
            let linear = F32Linear::new(rows, cols, parts.concat());
            return linear.map(|m| Matrix::F32(Arc::new(m))).map_err(|e| self.parts(e));
        };
        let fill = |rows: Range<usize>, run: &mut Run<'_>| {
            let (start, room) = (rows.start, rows.len() * cols);
            let (ty, bytes) = self.row_bytes(index, rows, room)?;
            decode::fill(ty, bytes, run).map_err(|e| match e {
                OpsError::NotFinite { row, .. } => self.not_finite(index, start + row).into(),
                other => LoadError::Ops(other),
            })
        };
        let linear = BlockLinear::read((rows, cols), form, self.options.activation, self.options.kernels, memory, fill);
        linear.map(|m| Matrix::Blocks(Arc::new(m))).map_err(|e: LoadError| match e {
            LoadError::Run(e) => *e,
            LoadError::Ops(e) => self.parts(e),
        })
    }

    /// Applies `read` to runs of rows on the current pool; `None` of it means a value that is not finite.
    fn in_parallel<T: Send>(
        &self,
        index: usize,
        rows: usize,
        cols: usize,
        read: impl Fn(GgmlType, &[u8]) -> Option<T> + Sync,
    ) -> Result<Vec<T>, RunError> {
        let one = |start: usize| {
            let run: Range<usize> = start..rows.min(start + ROWS);
            let (ty, bytes) = self.row_bytes(index, run.clone(), run.len() * cols)?;
            read(ty, bytes).ok_or_else(|| self.not_finite(index, start))
        };
        let parts: Vec<Result<T, RunError>> =
            (0..rows.div_ceil(ROWS)).into_par_iter().map(|part| one(part * ROWS)).collect();
        // Collected in order, so that the error is the first one of the tensor on any number of threads.
        parts.into_iter().collect()
    }

    fn shape(&self, id: TensorId) -> Result<(usize, usize, usize), RunError> {
        let found = self.table.find(id).and_then(|i| self.table.stored.get(i).map(|t| (i, t.rows, t.cols)));
        found.ok_or_else(|| RunError::MissingTensor {
            path: self.shards.path(0).to_owned(),
            tensor: names::tensor_name(id),
        })
    }

    fn not_finite(&self, index: usize, row: usize) -> RunError {
        let tensor = self.table.stored.get(index).map(|t| t.name.clone()).unwrap_or_default();
        let shard = self.table.places.get(index).map_or(0, |p| p.shard);
        RunError::NotFinite { path: self.shards.path(shard).to_owned(), tensor, row }
    }

    fn parts(&self, source: OpsError) -> RunError {
        RunError::Parts { path: self.shards.path(0).to_owned(), source }
    }
}

/// What can go wrong while a matrix is laid out.
enum LoadError {
    Run(Box<RunError>),
    Ops(OpsError),
}

impl From<RunError> for LoadError {
    fn from(e: RunError) -> Self {
        Self::Run(Box::new(e))
    }
}

impl From<OpsError> for LoadError {
    fn from(e: OpsError) -> Self {
        Self::Ops(e)
    }
}
