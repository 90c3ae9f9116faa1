//! Softmax attention of one head's queries over its keys.

use lfmq_kernels::Kernels;
use std::ops::Range;

/// How scores become weights.
#[derive(Clone, Copy)]
pub(super) struct Score {
    /// Factor of the dot products.
    pub scale: f32,
    /// `softcap * tanh(score / softcap)`; 0 for none.
    pub softcap: f32,
}

/// Attention of `queries [n, d]` over `keys [t, d]` and `values [t, dv]` into `out [n, dv]`. Query `i` sees the keys in
/// `visible(i)`, each with what `bias(i)` adds to its score (a slice over all keys). A query that sees nothing gets zeros.
/// Values are added from the oldest on.
#[allow(clippy::too_many_arguments, reason = "the operands of one head")]
pub(super) fn attend<'b>(
    score: Score,
    queries: &[f32],
    keys: &[f32],
    values: &[f32],
    (d, dv): (usize, usize),
    visible: impl Fn(usize) -> Range<usize>,
    bias: impl Fn(usize) -> Option<&'b [f32]>,
    kernels: &Kernels,
    out: &mut [f32],
) {
    if d == 0 || dv == 0 || keys.is_empty() {
        out.fill(0.0);
        return;
    }
    let mut scores = vec![0.0; keys.len() / d];
    for (i, (query, out)) in queries.chunks_exact(d).zip(out.chunks_exact_mut(dv)).enumerate() {
        let seen = visible(i);
        let scores = &mut scores[..seen.len()];
        out.fill(0.0);
        if seen.is_empty() {
            continue;
        }
        (kernels.gemm_f32)(query, &keys[seen.start * d..seen.end * d], d, scores, seen.len());
        scores.iter_mut().for_each(|s| *s *= score.scale);
        if score.softcap > 0.0 {
            for s in scores.iter_mut() {
                *s = score.softcap * libm::tanh(f64::from(*s / score.softcap)) as f32;
            }
        }
        if let Some(bias) = bias(i) {
            scores.iter_mut().zip(&bias[seen.clone()]).for_each(|(s, b)| *s += b);
        }
        // A row of nothing but -inf would become NaN.
        if scores.iter().all(|s| *s == f32::NEG_INFINITY) {
            continue;
        }
        (kernels.softmax_f32)(scores);
        (kernels.weighted_sum_f32)(scores, &values[seen.start * dv..seen.end * dv], out);
    }
}
