//! Weighted row sums. A register holds 16 columns; the rows of `v` are read once for several rows of weights.

use super::gemm_f32::{load, store};
use crate::bodies::LANES;
use crate::scalar::weighted_shape;
use std::arch::x86_64::{__m512, _mm512_fmadd_ps, _mm512_set1_ps, _mm512_setzero_ps};

/// Columns of a pass, in registers of 16.
const WIDE: usize = 4;

/// Rows of weights of a pass: 6 * 4 sums leave registers for the columns of `v`.
const TALL: usize = 6;

#[target_feature(enable = "avx512f,avx2,fma")]
pub(super) fn weighted_sum_f32(p: &[f32], v: &[f32], out: &mut [f32]) {
    assert_eq!(v.len(), p.len() * out.len(), "weighted rows");
    weighted_sums_f32(p, &[p.len()], v, out);
}

#[target_feature(enable = "avx512f,avx2,fma")]
pub(super) fn weighted_sums_f32(p: &[f32], counts: &[usize], v: &[f32], out: &mut [f32]) {
    let (ldp, width) = weighted_shape(p.len(), counts, v.len(), out.len());
    out.fill(0.0);
    if ldp == 0 || width == 0 {
        return;
    }
    let blocks = p.chunks(TALL * ldp).zip(counts.chunks(TALL)).zip(out.chunks_mut(TALL * width));
    for ((p, counts), out) in blocks {
        let mut done = 0;
        if counts.len() == TALL {
            // Together as far as all go, then each alone.
            done = counts.iter().copied().min().unwrap_or(0);
            add_rows::<TALL>(p, ldp, 0, done, v, width, out);
        }
        for ((p, count), out) in p.chunks(ldp).zip(counts).zip(out.chunks_mut(width)) {
            add_rows::<1>(p, ldp, done, *count, v, width, out);
        }
    }
}

/// Adds the rows `from..to` of `v`, weighted, to `P` rows of `out`.
#[target_feature(enable = "avx512f,avx2,fma")]
fn add_rows<const P: usize>(p: &[f32], ldp: usize, from: usize, to: usize, v: &[f32], width: usize, out: &mut [f32]) {
    if from >= to {
        return;
    }
    let (v, whole) = (&v[from * width..to * width], width - width % LANES);
    let mut weights = [&[][..]; P];
    for i in 0..P {
        weights[i] = &p[i * ldp..][from..to];
    }
    let mut column = 0;
    while column + WIDE * LANES <= whole {
        columns::<P, WIDE>(&weights, v, width, column, out);
        column += WIDE * LANES;
    }
    while column < whole {
        columns::<P, 1>(&weights, v, width, column, out);
        column += LANES;
    }
    for (weights, out) in weights.iter().zip(out.chunks_mut(width)) {
        for (j, o) in out.iter_mut().enumerate().skip(whole) {
            *o = weights.iter().enumerate().fold(*o, |sum, (i, p)| p.mul_add(v[i * width + j], sum));
        }
    }
}

/// `R` registers of columns from `first` on, in `P` rows of `out`.
#[target_feature(enable = "avx512f,avx2,fma")]
#[inline]
fn columns<const P: usize, const R: usize>(
    weights: &[&[f32]; P],
    v: &[f32],
    width: usize,
    first: usize,
    out: &mut [f32],
) {
    let mut sums = [[_mm512_setzero_ps(); R]; P];
    for i in 0..P {
        let out = out[i * width + first..][..R * LANES].as_chunks().0;
        for r in 0..R {
            sums[i][r] = load(&out[r]);
        }
    }
    for (row, v) in v.chunks_exact(width).enumerate() {
        let v = v[first..][..R * LANES].as_chunks().0;
        let mut columns: [__m512; R] = [_mm512_setzero_ps(); R];
        for r in 0..R {
            columns[r] = load(&v[r]);
        }
        for i in 0..P {
            let p = _mm512_set1_ps(weights[i][row]);
            for r in 0..R {
                sums[i][r] = _mm512_fmadd_ps(p, columns[r], sums[i][r]);
            }
        }
    }
    for i in 0..P {
        let out = out[i * width + first..][..R * LANES].as_chunks_mut().0;
        for r in 0..R {
            store(&mut out[r], sums[i][r]);
        }
    }
}
