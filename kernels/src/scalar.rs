//! The oracle: each kernel as the contract says it, on every target.

use crate::bodies::{self, LANES, fold};
use crate::table::Kernels;
use crate::views::{Acts32, Acts256, Rows32, Rows256, whole};

pub(crate) static TABLE: Kernels = Kernels {
    name: "scalar",
    dot_f32,
    gemm_f32,
    gemm_b32,
    gemm_b256,
    weighted_sum_f32,
    exp_f32: bodies::exp_f32,
    sigmoid_f32: bodies::sigmoid_f32,
    softmax_f32: bodies::softmax_f32,
    silu_mul_f32: bodies::silu_mul_f32,
    quantize_b32: bodies::quantize_b32,
    quantize_b256: bodies::quantize_b256,
    widen_b32: bodies::widen_b32,
    widen_b256: bodies::widen_b256,
    widen_bf16: bodies::widen_bf16,
    widen_f16: bodies::widen_f16,
};

fn dot_f32(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len(), "operands of a dot product");
    let mut lanes = [0.0_f32; LANES];
    for (a, b) in a.chunks(LANES).zip(b.chunks(LANES)) {
        for (j, lane) in lanes.iter_mut().enumerate() {
            let at = |s: &[f32]| s.get(j).copied().unwrap_or(0.0);
            *lane = at(a).mul_add(at(b), *lane);
        }
    }
    fold(lanes)
}

/// Checks the shapes of a product `[n, k] x [m, k]` and gives `(n, m)`.
pub(crate) fn product_shape(x: usize, w: usize, k: usize, out: usize, ldo: usize) -> (usize, usize) {
    let (n, m) = (whole(x, k, 1), whole(w, k, 1));
    output_shape(n, m, out, ldo);
    (n, m)
}

/// Checks that `[n, m]` with row stride `ldo` fits an output of `out` elements.
pub(crate) fn output_shape(n: usize, m: usize, out: usize, ldo: usize) {
    assert!(ldo >= m, "row stride {ldo} below {m} outputs");
    assert!(n == 0 || out >= (n - 1) * ldo + m, "output of {out} for [{n}, {m}] at stride {ldo}");
}

fn gemm_f32(x: &[f32], w: &[f32], k: usize, out: &mut [f32], ldo: usize) {
    let (n, m) = product_shape(x.len(), w.len(), k, out.len(), ldo);
    for i in 0..n {
        for j in 0..m {
            out[i * ldo + j] = dot_f32(&x[i * k..][..k], &w[j * k..][..k]);
        }
    }
}

fn weighted_sum_f32(p: &[f32], v: &[f32], out: &mut [f32]) {
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

/// Exact sum of products of codes.
fn dot_i8(a: &[i8], b: &[i8]) -> i32 {
    a.iter().zip(b).map(|(a, b)| i32::from(*a) * i32::from(*b)).sum()
}

fn gemm_b32(x: &Acts32<'_>, w: &Rows32<'_>, out: &mut [f32], ldo: usize) {
    let (n, m, cols) = (x.count(w.cols), w.rows(), w.cols);
    output_shape(n, m, out.len(), ldo);
    for i in 0..n {
        for j in 0..m {
            let mut sum = 0.0_f32;
            for b in 0..cols / 32 {
                let (at_x, at_w) = (i * cols + 32 * b, j * cols + 32 * b);
                let isum = dot_i8(&x.codes[at_x..][..32], &w.codes[at_w..][..32]);
                sum = (w.scales[at_w / 32] * x.scales[at_x / 32]).mul_add(isum as f32, sum);
                if let Some(min) = w.mins.get(at_w / 32) {
                    sum = min.mul_add(x.sums[at_x / 32], sum);
                }
            }
            out[i * ldo + j] = sum;
        }
    }
}

fn gemm_b256(x: &Acts256<'_>, w: &Rows256<'_>, out: &mut [f32], ldo: usize) {
    let (n, m, cols) = (x.count(w.cols), w.rows(), w.cols);
    output_shape(n, m, out.len(), ldo);
    for i in 0..n {
        for j in 0..m {
            let mut sum = 0.0_f32;
            for b in 0..cols / 256 {
                let (at_x, at_w) = (i * cols + 256 * b, j * cols + 256 * b);
                let mut isum = 0_i32;
                for (s, scale) in w.sub_scales[at_w / 16..][..16].iter().enumerate() {
                    let dot = dot_i8(&x.codes[at_x + 16 * s..][..16], &w.codes[at_w + 16 * s..][..16]);
                    isum += i32::from(*scale) * dot;
                }
                let d = x.scales[at_x / 256];
                sum = (w.scales[at_w / 256] * d).mul_add(isum as f32, sum);
                if let Some(min) = w.mins.get(at_w / 256) {
                    let mins = &w.sub_mins[at_w / 16..][..16];
                    let low: i32 =
                        mins.iter().zip(&x.sums[at_x / 16..][..16]).map(|(m, s)| i32::from(*m) * i32::from(*s)).sum();
                    sum = (-(min * d)).mul_add(low as f32, sum);
                }
            }
            out[i * ldo + j] = sum;
        }
    }
}
