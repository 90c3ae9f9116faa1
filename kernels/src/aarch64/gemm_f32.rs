//! f32 products. The 16 virtual lanes of one output are four registers.

use crate::bodies::{LANES, fold};
use crate::product::{Lanes, PANEL, PASS, fold_each, padded, products};
use crate::scalar::product_shape;
use std::arch::aarch64::{float32x4_t, vdupq_n_f32, vfmaq_f32, vld1q_f32, vst1q_f32};

// 2 * 2 sums of four registers each leave sixteen registers for operands.
products!("neon", 2, [2, 1]);

#[target_feature(enable = "neon")]
#[inline]
fn load(from: &Lanes) -> [float32x4_t; 4] {
    let mut v = [vdupq_n_f32(0.0); 4];
    for (v, from) in v.iter_mut().zip(from.as_chunks::<4>().0) {
        // SAFETY: the reference is to 4 floats; the instruction asks for no alignment.
        *v = unsafe { vld1q_f32(from.as_ptr()) };
    }
    v
}

#[target_feature(enable = "neon")]
#[inline]
fn store(to: &mut Lanes, v: [float32x4_t; 4]) {
    for (to, v) in to.as_chunks_mut::<4>().0.iter_mut().zip(v) {
        // SAFETY: the reference is to 4 floats; the instruction asks for no alignment.
        unsafe { vst1q_f32(to.as_mut_ptr(), v) };
    }
}

/// Adds the products of one tile to its lanes, or to fresh ones: `lanes[j][i] += x[i] · w[j]`. All rows have one length;
/// only the last pass of a row may be no multiple of 16, and is read as if padded with zeros.
#[target_feature(enable = "neon")]
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
    let mut sums = [[[vdupq_n_f32(0.0); 4]; X]; W];
    if !fresh {
        for j in 0..W {
            for i in 0..X {
                sums[j][i] = load(&lanes[j][i]);
            }
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
#[target_feature(enable = "neon")]
#[inline]
fn step<const X: usize, const W: usize>(x: [&Lanes; X], w: [&Lanes; W], sums: &mut [[[float32x4_t; 4]; X]; W]) {
    for j in 0..W {
        let w = load(w[j]);
        for i in 0..X {
            let x = load(x[i]);
            for q in 0..4 {
                sums[j][i][q] = vfmaq_f32(sums[j][i][q], x[q], w[q]);
            }
        }
    }
}

#[target_feature(enable = "neon")]
pub(super) fn weighted_sum_f32(p: &[f32], v: &[f32], out: &mut [f32]) {
    assert_eq!(v.len(), p.len() * out.len(), "weighted rows");
    out.fill(0.0);
    if out.is_empty() {
        return;
    }
    for (p, row) in p.iter().zip(v.chunks_exact(out.len())) {
        for (o, v) in out.iter_mut().zip(row) {
            *o = p.mul_add(*v, *o);
        }
    }
}
