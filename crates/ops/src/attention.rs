//! Causal attention with grouped queries and a cache.

use crate::norm::rms_norm;
use crate::rope::Rotation;
use crate::spare::{give, take};
use crate::{Input, Linear};
use lfmq_core::ExecError;
use lfmq_kernels::Kernels;
use rayon::prelude::*;
use std::sync::Arc;

/// Query tokens that one task takes: bounds its scores to `BLOCK * heads / kv_heads * positions`.
const BLOCK: usize = 16;

/// The weights and numbers of one attention layer.
pub struct Attention<'w> {
    /// Query heads.
    pub heads: usize,
    /// Key/value heads; query head `h` reads head `h / (heads / kv_heads)`.
    pub kv_heads: usize,
    /// Width of a head, even.
    pub head_dim: usize,
    /// Query projection `[heads * head_dim, hidden]`.
    pub q: Arc<dyn Linear + 'w>,
    /// Key projection `[kv_heads * head_dim, hidden]`.
    pub k: Arc<dyn Linear + 'w>,
    /// Value projection `[kv_heads * head_dim, hidden]`.
    pub v: Arc<dyn Linear + 'w>,
    /// Output projection `[hidden, heads * head_dim]`.
    pub out: Arc<dyn Linear + 'w>,
    /// Norm of each query head `[head_dim]`.
    pub q_norm: Vec<f32>,
    /// Norm of each key head `[head_dim]`.
    pub k_norm: Vec<f32>,
}

/// Keys after norm and rotation, and values, of one kv head: both `[positions, head_dim]`.
#[derive(Clone, Debug, Default, PartialEq)]
struct HeadCache {
    keys: Vec<f32>,
    values: Vec<f32>,
}

/// The cache of one attention layer; grows as tokens come.
#[derive(Clone, Debug, PartialEq)]
pub struct KvCache {
    heads: Vec<HeadCache>,
}

impl KvCache {
    /// An empty cache.
    #[must_use]
    pub fn new(kv_heads: usize) -> Self {
        Self { heads: vec![HeadCache::default(); kv_heads] }
    }

    /// Forgets all tokens.
    pub fn reset(&mut self) {
        for head in &mut self.heads {
            head.keys.clear();
            head.values.clear();
        }
    }
}

impl Attention<'_> {
    /// Runs normalised activations `x [n, hidden]` at the positions of `rotation`; gives `[n, hidden]`.
    ///
    /// # Errors
    /// When a weight cannot be read.
    pub fn forward(
        &self,
        x: &[f32],
        cache: &mut KvCache,
        rotation: &Rotation,
        eps: f32,
        kernels: &'static Kernels,
    ) -> Result<Vec<f32>, ExecError> {
        let input = Input::new(x, self.q.cols(), kernels);
        let project = |w: &dyn Linear| {
            let mut out = take(input.n() * w.rows());
            w.apply(&input, &mut out).map(|()| out)
        };
        let (mut q, mut k, v) = (project(&*self.q)?, project(&*self.k)?, project(&*self.v)?);
        self.place(&mut q, self.heads, &self.q_norm, rotation, eps, kernels);
        self.place(&mut k, self.kv_heads, &self.k_norm, rotation, eps, kernels);
        self.remember(cache, &k, &v);

        [k, v].into_iter().for_each(give);
        let mixed = attend(&q, cache, self.heads, self.head_dim, kernels);
        let mut out = take(input.n() * self.out.rows());
        self.out.apply(&Input::new(&mixed, self.out.cols(), kernels), &mut out)?;
        [q, mixed].into_iter().for_each(give);
        Ok(out)
    }

    /// Normalises and rotates every head of `x [n, heads * head_dim]`.
    fn place(&self, x: &mut [f32], heads: usize, norm: &[f32], rotation: &Rotation, eps: f32, kernels: &Kernels) {
        for (t, token) in x.chunks_exact_mut(heads * self.head_dim).enumerate() {
            rms_norm(token, norm, eps, kernels);
            for head in token.chunks_exact_mut(self.head_dim) {
                rotation.apply(t, head);
            }
        }
    }

    fn remember(&self, cache: &mut KvCache, k: &[f32], v: &[f32]) {
        let width = self.kv_heads * self.head_dim;
        for (k, v) in k.chunks_exact(width).zip(v.chunks_exact(width)) {
            let heads = k.chunks_exact(self.head_dim).zip(v.chunks_exact(self.head_dim));
            for (head, (k, v)) in cache.heads.iter_mut().zip(heads) {
                head.keys.extend_from_slice(k);
                head.values.extend_from_slice(v);
            }
        }
    }
}

/// Softmax attention of `q [n, heads * head_dim]`, the last n tokens of `cache`, over all tokens up to each one's own.
/// Scores are dot products times `head_dim^(-1/2)`; softmax in f32; values added from the oldest on.
#[must_use]
pub fn attend(q: &[f32], cache: &KvCache, heads: usize, head_dim: usize, kernels: &Kernels) -> Vec<f32> {
    let width = heads * head_dim;
    let (n, kv_heads) = (q.len() / width, cache.heads.len());
    let seen = cache.heads.first().map_or(0, |h| h.keys.len() / head_dim);
    let group = heads / kv_heads;
    let blocks = n.div_ceil(BLOCK);

    // One task per (kv head, block of tokens); its part of the result is [tokens, group * head_dim].
    let task = |index: usize| {
        let (head, first) = (index / blocks, index % blocks * BLOCK);
        let tokens = first..n.min(first + BLOCK);
        let HeadCache { keys, values } = &cache.heads[head];
        let gathered: Vec<f32> = tokens
            .clone()
            .flat_map(|t| &q[t * width + head * group * head_dim..][..group * head_dim])
            .copied()
            .collect();
        let reach = seen - n + tokens.end;
        let mut scores = vec![0.0; tokens.len() * group * reach];
        (kernels.gemm_f32)(&gathered, &keys[..reach * head_dim], head_dim, &mut scores, reach);

        let scale = 1.0 / (head_dim as f32).sqrt();
        let mut part = vec![0.0; gathered.len()];
        for (row, (scores, out)) in scores.chunks_exact_mut(reach).zip(part.chunks_exact_mut(head_dim)).enumerate() {
            let own = seen - n + tokens.start + row / group + 1;
            let scores = &mut scores[..own];
            scores.iter_mut().for_each(|s| *s *= scale);
            (kernels.softmax_f32)(scores);
            (kernels.weighted_sum_f32)(scores, &values[..own * head_dim], out);
        }
        part
    };
    let parts: Vec<Vec<f32>> = (0..kv_heads * blocks).into_par_iter().map(task).collect();

    let mut out = take(q.len());
    for (index, part) in parts.iter().enumerate() {
        let (head, first) = (index / blocks, index % blocks * BLOCK);
        for (t, piece) in part.chunks_exact(group * head_dim).enumerate() {
            out[(first + t) * width + head * group * head_dim..][..group * head_dim].copy_from_slice(piece);
        }
    }
    out
}
