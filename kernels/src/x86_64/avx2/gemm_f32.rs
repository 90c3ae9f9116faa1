//! f32 products. A virtual lane pair of the contract is two registers: lanes 0..8 and lanes 8..16.

use crate::bodies::{LANES, fold};
use crate::product::{Lanes, PANEL, PASS, fold_each, padded, products};
use crate::scalar::product_shape;
use std::arch::x86_64::{
    __m256, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_set1_ps, _mm256_setzero_ps, _mm256_storeu_ps,
};

// 3 * 2 sums of two registers each leave four registers for operands.
products!("avx2,fma,f16c", 2, [3, 2, 1]);

#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn load(from: &[f32; 8]) -> __m256 {
    // SAFETY: the reference is to 8 floats; the instruction asks for no alignment.
    unsafe { _mm256_loadu_ps(from.as_ptr()) }
}

#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn store(to: &mut [f32; 8], v: __m256) {
    // SAFETY: the reference is to 8 floats; the instruction asks for no alignment.
    unsafe { _mm256_storeu_ps(to.as_mut_ptr(), v) }
}

/// Adds the products of one tile to its lanes, or to fresh ones: `lanes[j][i] += x[i] · w[j]`. All rows have one length;
/// only the last pass of a row may be no multiple of 16, and is read as if padded with zeros.
#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn accumulate<const X: usize, const W: usize>(
    fresh: bool,
    x: [&[f32]; X],
    w: [&[f32]; W],
    lanes: &mut [[Lanes; X]; W],
) {
    let x = x.map(<[f32]>::as_chunks::<LANES>);
    let w = w.map(<[f32]>::as_chunks::<LANES>);
    let steps = x.iter().map(|s| s.0.len()).chain(w.iter().map(|s| s.0.len())).min().unwrap_or(0);
    let mut low = [[_mm256_setzero_ps(); X]; W];
    let mut high = [[_mm256_setzero_ps(); X]; W];
    if !fresh {
        for j in 0..W {
            for i in 0..X {
                let [a, b] = halves(&lanes[j][i]);
                (low[j][i], high[j][i]) = (load(a), load(b));
            }
        }
    }
    for s in 0..steps {
        step(std::array::from_fn(|i| &x[i].0[s]), std::array::from_fn(|j| &w[j].0[s]), &mut low, &mut high);
    }
    if x.iter().any(|s| !s.1.is_empty()) {
        let x = x.map(|s| padded(s.1));
        let w = w.map(|s| padded(s.1));
        step(x.each_ref(), w.each_ref(), &mut low, &mut high);
    }
    for j in 0..W {
        for i in 0..X {
            let (halves, _) = lanes[j][i].as_chunks_mut::<8>();
            store(&mut halves[0], low[j][i]);
            store(&mut halves[1], high[j][i]);
        }
    }
}

/// Sixteen columns of a tile.
#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn step<const X: usize, const W: usize>(
    x: [&Lanes; X],
    w: [&Lanes; W],
    low: &mut [[__m256; X]; W],
    high: &mut [[__m256; X]; W],
) {
    // Loops rather than `map`: a closure is not sure to be inlined across the features of this function.
    for (half, sums) in [(0, low), (1, high)] {
        let mut weights = [_mm256_setzero_ps(); W];
        for j in 0..W {
            weights[j] = load(halves(w[j])[half]);
        }
        for i in 0..X {
            let x = load(halves(x[i])[half]);
            for j in 0..W {
                sums[j][i] = _mm256_fmadd_ps(x, weights[j], sums[j][i]);
            }
        }
    }
}

#[inline(always)]
fn halves(lanes: &Lanes) -> [&[f32; 8]; 2] {
    let (halves, _) = lanes.as_chunks::<8>();
    [&halves[0], &halves[1]]
}

/// Columns that one pass of a weighted sum keeps in registers.
const WIDE: usize = 64;

#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn weighted_sum_f32(p: &[f32], v: &[f32], out: &mut [f32]) {
    let width = out.len();
    assert_eq!(v.len(), p.len() * width, "weighted rows");
    let whole = width - width % 8;
    let mut column = 0;
    while column + WIDE <= whole {
        columns::<{ WIDE / 8 }>(p, v, width, column, out);
        column += WIDE;
    }
    while column < whole {
        columns::<1>(p, v, width, column, out);
        column += 8;
    }
    for (j, o) in out.iter_mut().enumerate().skip(whole) {
        *o = p.iter().enumerate().fold(0.0, |sum, (i, p)| p.mul_add(v[i * width + j], sum));
    }
}

/// `R` registers of columns from `first` on.
#[target_feature(enable = "avx2,fma,f16c")]
fn columns<const R: usize>(p: &[f32], v: &[f32], width: usize, first: usize, out: &mut [f32]) {
    let mut sums = [_mm256_setzero_ps(); R];
    for (i, p) in p.iter().enumerate() {
        let (row, _) = v[i * width + first..][..8 * R].as_chunks::<8>();
        let p = _mm256_set1_ps(*p);
        for (sum, v) in sums.iter_mut().zip(row) {
            *sum = _mm256_fmadd_ps(p, load(v), *sum);
        }
    }
    let (out, _) = out[first..][..8 * R].as_chunks_mut::<8>();
    for (o, sum) in out.iter_mut().zip(sums) {
        store(o, sum);
    }
}
