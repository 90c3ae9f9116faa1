//! f32 products. One register holds the 16 virtual lanes of one output.

use super::fold::sums;
use crate::bodies::{LANES, fold};
use crate::product::{Lanes, PANEL, PASS, padded, products};
use crate::scalar::product_shape;
use std::arch::x86_64::{__m512, _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_setzero_ps, _mm512_storeu_ps};

// 6 * 4 sums leave eight registers for operands.
products!("avx512f,avx2,fma", 4, [6, 5, 4, 3, 2, 1]);

#[target_feature(enable = "avx512f,avx2,fma")]
#[inline]
pub(super) fn load(from: &Lanes) -> __m512 {
    // SAFETY: the reference is to 16 floats; the instruction asks for no alignment.
    unsafe { _mm512_loadu_ps(from.as_ptr()) }
}

#[target_feature(enable = "avx512f,avx2,fma")]
#[inline]
pub(super) fn store(to: &mut Lanes, v: __m512) {
    // SAFETY: the reference is to 16 floats; the instruction asks for no alignment.
    unsafe { _mm512_storeu_ps(to.as_mut_ptr(), v) }
}

/// Adds the products of one tile to its lanes, or to fresh ones: `lanes[j][i] += x[i] · w[j]`. All rows have one length;
/// only the last pass of a row may be no multiple of 16, and is read as if padded with zeros.
#[target_feature(enable = "avx512f,avx2,fma")]
#[inline]
fn accumulate<const X: usize, const W: usize>(
    fresh: bool,
    x: [&[f32]; X],
    w: [&[f32]; W],
    lanes: &mut [[Lanes; X]; W],
) {
    let len = x[0].len();
    let mut sums = [[_mm512_setzero_ps(); X]; W];
    if !fresh {
        for j in 0..W {
            for i in 0..X {
                sums[j][i] = load(&lanes[j][i]);
            }
        }
    }
    // Loops rather than `map`: a closure is not sure to be inlined across the features of this function.
    let (mut xs, mut ws) = ([&[][..]; X], [&[][..]; W]);
    for i in 0..X {
        xs[i] = &x[i].as_chunks::<LANES>().0[..len / LANES];
    }
    for j in 0..W {
        ws[j] = &w[j].as_chunks::<LANES>().0[..len / LANES];
    }
    for s in 0..len / LANES {
        let (mut x, mut w) = ([_mm512_setzero_ps(); X], [_mm512_setzero_ps(); W]);
        for i in 0..X {
            x[i] = load(&xs[i][s]);
        }
        for j in 0..W {
            w[j] = load(&ws[j][s]);
        }
        step(x, w, &mut sums);
    }
    if !len.is_multiple_of(LANES) {
        let (mut xs, mut ws) = ([_mm512_setzero_ps(); X], [_mm512_setzero_ps(); W]);
        for i in 0..X {
            xs[i] = load(&padded(&x[i][len - len % LANES..]));
        }
        for j in 0..W {
            ws[j] = load(&padded(&w[j][len - len % LANES..]));
        }
        step(xs, ws, &mut sums);
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
fn step<const X: usize, const W: usize>(x: [__m512; X], w: [__m512; W], sums: &mut [[__m512; X]; W]) {
    for i in 0..X {
        for j in 0..W {
            sums[j][i] = _mm512_fmadd_ps(x[i], w[j], sums[j][i]);
        }
    }
}

/// Folds every `step`th of `lanes`, sixteen side by side.
#[target_feature(enable = "avx512f,avx2,fma")]
#[inline]
fn fold_each(lanes: &[Lanes], step: usize, out: &mut [f32]) {
    let (sixteens, rest) = out.as_chunks_mut::<LANES>();
    let done = sixteens.len() * LANES;
    for (o, out) in sixteens.iter_mut().enumerate() {
        let lanes = &lanes[o * LANES * step..];
        let mut v = [_mm512_setzero_ps(); LANES];
        for (j, v) in v.iter_mut().enumerate() {
            *v = load(&lanes[j * step]);
        }
        store(out, sums(&v));
    }
    for (j, out) in rest.iter_mut().enumerate() {
        *out = fold(lanes[(done + j) * step]);
    }
}
