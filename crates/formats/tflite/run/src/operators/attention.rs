//! A product, a mask, a softmax and another product as one: the scores of one group of rows stay in the cache, and what the
//! mask hides from all of them is not computed. No bit changes: hidden scores become exact zeros, which add nothing.

use super::node::{Inputs, Run, f32_out};
use super::product::Batch;
use crate::tensor::{Buffer, Why};
use lfmq_kernels::Kernels;
use lfmq_ops::with_scratch;
use rayon::prelude::*;
use std::ops::Range;
use std::sync::Arc;

/// A score below this beside any other becomes 0 in the softmax, and nothing that is added to it is seen.
const HIDDEN: f32 = -1e32;

/// Rows of a group.
const TASK: usize = 32;

/// The running operator: left and right of the first product, mask (one matrix), right of the second product.
pub(crate) fn attend(scores: Arc<Batch>, mix: Arc<Batch>, kernels: &'static Kernels) -> Run {
    Box::new(move |x: &Inputs<'_>, outputs: &mut [Buffer]| {
        let (q, k, mask, v) = (x.f32(0)?, x.f32(1)?, x.f32(2)?, x.f32(3)?);
        let one = mix.one;
        let (rows, all, inner) = (one.rows, one.inner, scores.one.inner);
        let out = f32_out(outputs, 0, mix.starts.len() * rows * one.cols)?;
        let runs = visible(mask, all);
        let reach = runs.iter().map(|(_, reach)| *reach).max().unwrap_or(0);
        let matrices = out.par_chunks_mut(rows * one.cols).zip(scores.starts.par_iter().zip(&mix.starts));
        matrices.try_for_each(|(out, (first, second))| {
            let q = &q[first[0] * rows * inner..][..rows * inner];
            let k = &k[first[1] * all * inner..][..all * inner];
            let v = &v[second[1] * one.cols * all..][..one.cols * all];
            // The seen part of each row of the right side, one after another.
            with_scratch(one.cols * reach, |seen| {
                seen.chunks_exact_mut(reach)
                    .zip(v.chunks_exact(all))
                    .for_each(|(to, v)| to.copy_from_slice(&v[..reach]));
                let width = one.cols;
                for (run, reach_of_run) in &runs {
                    let part = Part { q: &q[run.start * inner..run.end * inner], k, mask: &mask[run.start * all..] };
                    let out = &mut out[run.start * width..run.end * width];
                    part.attend(inner, all, (*reach_of_run, reach), seen, out, kernels);
                }
            });
            Ok::<(), Why>(())
        })
    })
}

/// Groups of rows with the number of columns that any of them sees. A row that sees nothing weighs all columns alike.
fn visible(mask: &[f32], all: usize) -> Vec<(Range<usize>, usize)> {
    let reach = |row: &[f32]| match row.iter().rposition(|m| *m > HIDDEN) {
        Some(last) => (last + 1).next_multiple_of(16).min(all),
        None => all,
    };
    let mut runs: Vec<(Range<usize>, usize)> = Vec::new();
    for (i, row) in mask.chunks_exact(all).enumerate() {
        let reach = reach(row);
        match runs.last_mut() {
            Some((run, most)) if run.len() < TASK && (reach < all || *most == all) && (*most < all || reach == all) => {
                run.end = i + 1;
                *most = reach.max(*most);
            }
            _ => runs.push((i..i + 1, reach)),
        }
    }
    runs
}

/// Some rows that meet one matrix.
struct Part<'a> {
    q: &'a [f32],
    k: &'a [f32],
    mask: &'a [f32],
}

impl Part<'_> {
    /// Fills `out` for rows that see `reach` columns; rows of `seen` have `width`.
    fn attend(
        &self,
        inner: usize,
        all: usize,
        (reach, width): (usize, usize),
        seen: &[f32],
        out: &mut [f32],
        kernels: &Kernels,
    ) {
        let rows = self.q.len() / inner;
        with_scratch(rows * width, |scores| {
            (kernels.gemm_f32)(self.q, &self.k[..reach * inner], inner, scores, width);
            for (scores, mask) in scores.chunks_exact_mut(width).zip(self.mask.chunks_exact(all)) {
                let (scores, rest) = scores.split_at_mut(reach);
                scores.iter_mut().zip(mask).for_each(|(s, m)| *s += m);
                (kernels.softmax_f32)(scores);
                rest.fill(0.0);
            }
            (kernels.gemm_f32)(scores, seen, width, out, out.len() / rows);
        });
    }
}
