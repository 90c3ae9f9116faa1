//! Causal attention with grouped queries and a cache.

use crate::norm::rms_norm;
use crate::rope::Rotation;
use crate::spare::{Buffer, take};
use crate::{Input, Linear, with_scratch};
use lfmq_core::ExecError;
use lfmq_kernels::{Kernels, multiversion};
use rayon::prelude::*;
use std::sync::Arc;

/// Query tokens that one task takes: bounds its scores to `BLOCK * heads / kv_heads * positions`. With 2 or 4 heads that
/// share keys these are rows by the dozen, as products like them.
const BLOCK: usize = 12;

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
    pub(crate) fn forward(
        &self,
        x: &Input<'_>,
        cache: &mut KvCache,
        rotation: &Rotation,
        eps: f32,
    ) -> Result<Buffer<f32>, ExecError> {
        let project = |w: &dyn Linear| {
            let mut out = take(x.n() * w.rows());
            w.apply(x, &mut out).map(|()| out)
        };
        let (mut q, k, v) = (project(&*self.q)?, project(&*self.k)?, project(&*self.v)?);
        let place = Place { width: self.head_dim, rotation, eps, kernels: x.kernels() };
        q.par_chunks_mut(self.heads * self.head_dim).enumerate().for_each(|(t, q)| place.apply(t, q, &self.q_norm));
        self.remember(cache, &k, &v, &place);
        drop((k, v));

        let mut mixed = take(q.len());
        attend(&q, cache, self.heads, self.head_dim, x.kernels(), &mut mixed);
        drop(q);
        let mut out = take(x.n() * self.out.rows());
        self.out.apply(&Input::new(&mixed, self.out.cols(), x.kernels()), &mut out)?;
        Ok(out)
    }

    fn remember(&self, cache: &mut KvCache, k: &[f32], v: &[f32], place: &Place<'_>) {
        let (width, all) = (self.head_dim, self.kv_heads * self.head_dim);
        cache.heads.par_iter_mut().enumerate().for_each(|(h, head)| {
            for (t, (k, v)) in k.chunks_exact(all).zip(v.chunks_exact(all)).enumerate() {
                let start = head.keys.len();
                head.keys.extend_from_slice(&k[h * width..][..width]);
                head.values.extend_from_slice(&v[h * width..][..width]);
                place.apply(t, &mut head.keys[start..], &self.k_norm);
            }
        });
    }
}

/// What becomes of the heads of queries and keys.
struct Place<'a> {
    width: usize,
    rotation: &'a Rotation,
    eps: f32,
    kernels: &'a Kernels,
}

impl Place<'_> {
    /// Normalises and turns the heads `[any, width]` of token `t`.
    fn apply(&self, t: usize, heads: &mut [f32], norm: &[f32]) {
        debug_assert_eq!(norm.len(), self.width, "the norm of a head");
        rms_norm(heads, norm, self.eps, self.kernels);
        self.rotation.apply(t, heads);
    }
}

/// Softmax attention of `q [n, heads * head_dim]`, the last n tokens of `cache`, over all tokens up to each one's own, into
/// `out` of the shape of `q`. Scores are dot products times `head_dim^(-1/2)`; softmax in f32; values added from the oldest on.
fn attend(q: &[f32], cache: &KvCache, heads: usize, head_dim: usize, kernels: &Kernels, out: &mut [f32]) {
    let (width, group) = (heads * head_dim, heads / cache.heads.len() * head_dim);
    let (n, seen) = (q.len() / width, cache.heads.first().map_or(0, |h| h.keys.len() / head_dim));
    if n == 1 {
        // One by one, so that threads finish together.
        let by_head = out.par_chunks_mut(group).zip(q.par_chunks(group)).zip(&cache.heads).with_max_len(1);
        by_head.for_each(|((out, q), head)| {
            with_scratch(group / head_dim * seen, |scores| {
                head.attend(q, (group, head_dim), seen - 1, kernels, scores, out)
            });
        });
        return;
    }
    let block = n.div_ceil(2 * rayon::current_num_threads()).min(BLOCK);
    let blocks = out.par_chunks_mut(block * width).zip(q.par_chunks(block * width)).enumerate().with_max_len(1);
    blocks.for_each(|(b, (out, q))| {
        let (tokens, before) = (q.len() / width, seen - n + b * block);
        let (rows, scores) = (tokens * group, tokens * group / head_dim * (before + tokens));
        with_scratch(2 * rows + scores, |scratch| {
            let (own, rest) = scratch.split_at_mut(rows);
            let (mixed, scores) = rest.split_at_mut(rows);
            for (h, head) in cache.heads.iter().enumerate() {
                copy(&q[h * group..], width, own, group);
                head.attend(own, (group, head_dim), before, kernels, scores, mixed);
                copy(mixed, group, &mut out[h * group..], width);
            }
        });
    });
}

/// Copies as much of each row as the narrower rows hold.
fn copy(from: &[f32], from_width: usize, to: &mut [f32], to_width: usize) {
    let len = from_width.min(to_width);
    for (from, to) in from.chunks(from_width).zip(to.chunks_mut(to_width)) {
        to[..len].copy_from_slice(&from[..len]);
    }
}

impl HeadCache {
    /// Attention of the query heads that read this one, `q [tokens, group]` with `group` a multiple of `head_dim`, over the
    /// tokens `before` the first of them and up to each one's own. `scores` is `[tokens * group / head_dim, before + tokens]`.
    fn attend(
        &self,
        q: &[f32],
        (group, head_dim): (usize, usize),
        before: usize,
        kernels: &Kernels,
        scores: &mut [f32],
        out: &mut [f32],
    ) {
        let reach = before + q.len() / group;
        (kernels.gemm_f32)(q, &self.keys[..reach * head_dim], head_dim, scores, reach);
        let counts: Vec<usize> = (0..q.len() / head_dim).map(|row| before + row * head_dim / group + 1).collect();
        let scale = 1.0 / (head_dim as f32).sqrt();
        for (scores, count) in scores.chunks_exact_mut(reach).zip(&counts) {
            scaled(&mut scores[..*count], scale);
            (kernels.softmax_f32)(&mut scores[..*count]);
        }
        (kernels.weighted_sums_f32)(scores, &counts, &self.values[..reach * head_dim], out);
    }
}

multiversion! {
    fn scaled['a](scores: &'a mut [f32], scale: f32) -> () {
        scores.iter_mut().for_each(|s| *s *= scale);
    }
}
