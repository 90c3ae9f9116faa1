//! The oracle: each kernel as the contract says it, on every target.

use crate::bodies::{self, LANES, fold};
use crate::pack::{Groups, unpack_chunk};
use crate::table::Kernels;
use crate::views::{Acts32, Acts256, ActsRow, RowSums, STRIP, Strips32, Strips256, StripsRow, whole};

pub(crate) static TABLE: Kernels = KERNELS;

pub(crate) const KERNELS: Kernels = Kernels {
    name: "scalar",
    dot_f32,
    gemm_f32,
    gemm_b32,
    gemm_b256,
    gemm_row,
    single_b32: crate::single::single_b32,
    single_b256: crate::single::single_b256,
    weighted_sum_f32,
    weighted_sums_f32,
    exp_f32: bodies::exp_f32,
    sigmoid_f32: bodies::sigmoid_f32,
    softmax_f32: bodies::softmax_f32,
    silu_mul_f32: bodies::silu_mul_f32,
    quantize_b32: bodies::quantize_b32,
    quantize_b256: bodies::quantize_b256,
    quantize_row: bodies::quantize_row,
    widen_row: bodies::widen_row,
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

fn weighted_sums_f32(p: &[f32], counts: &[usize], v: &[f32], out: &mut [f32]) {
    sum_each(weighted_sum_f32, p, counts, v, out);
}

/// Weighted row sums one by one, for rungs without a better way.
pub(crate) fn sum_each(
    single: fn(&[f32], &[f32], &mut [f32]),
    p: &[f32],
    counts: &[usize],
    v: &[f32],
    out: &mut [f32],
) {
    let (ldp, width) = weighted_shape(p.len(), counts, v.len(), out.len());
    for (i, count) in counts.iter().enumerate() {
        single(&p[i * ldp..][..*count], &v[..count * width], &mut out[i * width..][..width]);
    }
}

/// Checks the shapes of weighted row sums and gives the widths of the rows of `p` and of `v` and `out`.
pub(crate) fn weighted_shape(p: usize, counts: &[usize], v: usize, out: usize) -> (usize, usize) {
    let n = counts.len().max(1);
    assert!(p.is_multiple_of(n) && out.is_multiple_of(n), "rows of weighted sums");
    let (ldp, width) = (p / n, out / n);
    let most = counts.iter().copied().max().unwrap_or(0);
    assert!(most <= ldp && most * width <= v, "{most} weighted rows of {v} values, {ldp} weights");
    (ldp, width)
}

/// Exact sum of products of the 32 codes of one row of a chunk, groups `from..to` of 8.
fn dot_chunk(chunk: &Groups, row: usize, x: &[i8], groups: std::ops::Range<usize>) -> i32 {
    let fours = chunk[groups.clone()].iter().zip(&x.as_chunks::<4>().0[groups]);
    let products = fours.flat_map(|(w, x)| w[row].iter().zip(x)).map(|(w, x)| i32::from(*w) * i32::from(*x));
    products.sum()
}

fn gemm_b32(x: &Acts32<'_>, w: &Strips32<'_>, out: &mut [f32], ldo: usize) {
    let (n, m, cols) = (x.count(w.cols), w.rows, w.cols);
    w.check();
    output_shape(n, m, out.len(), ldo);
    let (blocks, bytes) = (cols / 32, w.coding.chunk_bytes());
    for (i, out) in out.chunks_mut(ldo.max(1)).take(n).enumerate() {
        out[..m].fill(0.0);
        for (strip, sums) in out[..m].chunks_mut(STRIP).enumerate() {
            for b in 0..blocks {
                let (at_x, at) = (i * blocks + b, strip * blocks + b);
                let chunk = unpack_chunk(w.coding, &w.codes[at * bytes..][..bytes]);
                for (r, sum) in sums.iter_mut().enumerate() {
                    let isum = dot_chunk(&chunk, r, &x.codes[32 * at_x..][..32], 0..8);
                    *sum = (w.scales.at(at * STRIP + r) * x.scales[at_x]).mul_add(isum as f32, *sum);
                    if !w.mins.is_empty() {
                        *sum = w.mins.at(at * STRIP + r).mul_add(x.sums[at_x], *sum);
                    }
                }
            }
        }
    }
}

fn gemm_b256(x: &Acts256<'_>, w: &Strips256<'_>, out: &mut [f32], ldo: usize) {
    let (n, m, cols) = (x.count(w.cols), w.rows, w.cols);
    w.check();
    output_shape(n, m, out.len(), ldo);
    let (blocks, bytes) = (cols / 256, w.coding.chunk_bytes());
    for (i, out) in out.chunks_mut(ldo.max(1)).take(n).enumerate() {
        out[..m].fill(0.0);
        for (strip, sums) in out[..m].chunks_mut(STRIP).enumerate() {
            for b in 0..blocks {
                let (at_x, at) = (i * blocks + b, strip * blocks + b);
                let codes = w.codes[8 * at * bytes..][..8 * bytes].chunks_exact(bytes);
                let chunks: Vec<Groups> = codes.map(|c| unpack_chunk(w.coding, c)).collect();
                let acts = &x.codes[256 * at_x..][..256];
                for (r, sum) in sums.iter_mut().enumerate() {
                    let (mut isum, mut low) = (0_i32, 0_i32);
                    let groups = 64 / w.subs;
                    for s in 0..w.subs {
                        let (chunk, first) = (s * groups / 8, s * groups % 8);
                        let dot = dot_chunk(&chunks[chunk], r, &acts[32 * chunk..][..32], first..first + groups);
                        let sub = (at * w.subs + s) * STRIP + r;
                        isum += i32::from(w.sub_scales[sub]) * dot;
                        if !w.mins.is_empty() {
                            let sums = &x.sums[16 * at_x + s * groups / 4..][..groups / 4];
                            low += i32::from(w.sub_mins[sub]) * sums.iter().map(|s| i32::from(*s)).sum::<i32>();
                        }
                    }
                    let d = x.scales[at_x];
                    *sum = (w.scales.at(at * STRIP + r) * d).mul_add(isum as f32, *sum);
                    if !w.mins.is_empty() {
                        *sum = (-(w.mins.at(at * STRIP + r) * d)).mul_add(low as f32, *sum);
                    }
                }
            }
        }
    }
}

fn gemm_row(x: &ActsRow<'_>, w: &StripsRow<'_>, out: &mut [f32], ldo: usize) {
    let (n, m, cols) = (x.count(w.cols), w.rows, w.cols);
    w.check();
    output_shape(n, m, out.len(), ldo);
    let (chunks, bytes, per) = (cols / 32, w.coding.chunk_bytes(), w.group / 32);
    for (i, out) in out.chunks_mut(ldo.max(1)).take(n).enumerate() {
        for (j, out) in out[..m].iter_mut().enumerate() {
            let strip = j / STRIP;
            let isum = |g: usize| -> i32 {
                let dot = |c: usize| {
                    let chunk = unpack_chunk(w.coding, &w.codes[(strip * chunks + c) * bytes..][..bytes]);
                    dot_chunk(&chunk, j % STRIP, &x.codes[i * cols + 32 * c..][..32], 0..8)
                };
                (g * per..(g + 1) * per).map(dot).sum()
            };
            let scale = |g: usize| w.scales.at((strip * (chunks / per) + g) * STRIP + j % STRIP);
            *out = match w.sums {
                RowSums::Codes(sums) => {
                    let isum = isum(0) - x.zeros[i] * sums[j];
                    let bias = if w.bias.is_empty() { 0.0 } else { w.bias.at(j) };
                    (isum as f32 * x.scales[i]).mul_add(scale(0), bias)
                }
                RowSums::Scaled(sums) => {
                    let first = -x.zeros[i] as f32 * sums[j];
                    let sum = (0..chunks / per).fold(first, |sum, g| scale(g).mul_add(isum(g) as f32, sum));
                    let sum = sum * x.scales[i];
                    if w.bias.is_empty() { sum } else { sum + w.bias.at(j) }
                }
            };
        }
    }
}
