//! f32 products. One register holds the 16 virtual lanes of one output.

use crate::bodies::{LANES, fold};
use crate::product::{Lanes, PANEL, PASS, padded, products};
use crate::scalar::product_shape;
use std::arch::x86_64::{__m512, _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_setzero_ps, _mm512_storeu_ps};

// 6 * 4 sums leave eight registers for operands.
products!("avx512f,avx2,fma", 4, [6, 5, 4, 3, 2, 1]);

#[target_feature(enable = "avx512f,avx2,fma")]
#[inline]
fn load(from: &Lanes) -> __m512 {
    // SAFETY: the reference is to 16 floats; the instruction asks for no alignment.
    unsafe { _mm512_loadu_ps(from.as_ptr()) }
}

#[target_feature(enable = "avx512f,avx2,fma")]
#[inline]
fn store(to: &mut Lanes, v: __m512) {
    // SAFETY: the reference is to 16 floats; the instruction asks for no alignment.
    unsafe { _mm512_storeu_ps(to.as_mut_ptr(), v) }
}

/// Adds the products of one tile to its lanes: `lanes[j][i] += x[i] · w[j]`. All rows have one length; only the last
/// pass of a row may be no multiple of 16, and is read as if padded with zeros.
#[target_feature(enable = "avx512f,avx2,fma")]
#[inline]
fn accumulate<const X: usize, const W: usize>(x: [&[f32]; X], w: [&[f32]; W], lanes: &mut [[Lanes; X]; W]) {
    let x = x.map(<[f32]>::as_chunks::<LANES>);
    let w = w.map(<[f32]>::as_chunks::<LANES>);
    let steps = x.iter().map(|s| s.0.len()).chain(w.iter().map(|s| s.0.len())).min().unwrap_or(0);
    let mut sums = [[_mm512_setzero_ps(); X]; W];
    for j in 0..W {
        for i in 0..X {
            sums[j][i] = load(&lanes[j][i]);
        }
    }
    for s in 0..steps {
        step(std::array::from_fn(|i| &x[i].0[s]), std::array::from_fn(|j| &w[j].0[s]), &mut sums);
    }
    if x.iter().any(|s| !s.1.is_empty()) {
        let x = x.map(|s| padded(s.1));
        let w = w.map(|s| padded(s.1));
        step(x.each_ref(), w.each_ref(), &mut sums);
    }
    for j in 0..W {
        for i in 0..X {
            store(&mut lanes[j][i], sums[j][i]);
        }
    }
}

/// Sixteen columns of a tile.
#[target_feature(enable = "avx512f,avx2,fma")]
#[inline]
fn step<const X: usize, const W: usize>(x: [&Lanes; X], w: [&Lanes; W], sums: &mut [[__m512; X]; W]) {
    // Loops rather than `map`: a closure is not sure to be inlined across the features of this function.
    let mut weights = [_mm512_setzero_ps(); W];
    for j in 0..W {
        weights[j] = load(w[j]);
    }
    for i in 0..X {
        let x = load(x[i]);
        for j in 0..W {
            sums[j][i] = _mm512_fmadd_ps(x, weights[j], sums[j][i]);
        }
    }
}
