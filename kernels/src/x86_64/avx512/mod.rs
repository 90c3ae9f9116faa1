//! The rungs on 512-bit registers, which hold the 16 virtual lanes of a sum. `avx512`: everything but the 8-bit products,
//! which are those of the rung `avx2`. `avx512vnni`: its own 8-bit products besides.

mod elementwise;
mod fold;
mod gemm_f32;
pub(super) mod gemm_i8;
mod quantize;
mod weighted;

use super::avx2;
use crate::table::Kernels;
use crate::views::{Acts32, Acts256, ActsRow, Strips32, Strips256, StripsRow};

/// Whether this machine has the rung `avx512`.
pub(crate) fn here() -> bool {
    avx2::here()
        && std::is_x86_feature_detected!("avx512f")
        && std::is_x86_feature_detected!("avx512bw")
        && std::is_x86_feature_detected!("avx512dq")
        && std::is_x86_feature_detected!("avx512vl")
}

/// Whether this machine has the rung `avx512vnni`.
pub(crate) fn vnni_here() -> bool {
    here() && std::is_x86_feature_detected!("avx512vnni")
}

fn dot_f32(a: &[f32], b: &[f32]) -> f32 {
    // SAFETY: the tables are the only way here, and they are handed out only where `here` holds.
    unsafe { gemm_f32::dot_f32(a, b) }
}

fn product(x: &[f32], w: &[f32], k: usize, out: &mut [f32], ldo: usize) {
    // SAFETY: the tables are the only way here, and they are handed out only where `here` holds.
    unsafe { gemm_f32::gemm_f32(x, w, k, out, ldo) }
}

fn weighted_sum_f32(p: &[f32], v: &[f32], out: &mut [f32]) {
    // SAFETY: the tables are the only way here, and they are handed out only where `here` holds.
    unsafe { weighted::weighted_sum_f32(p, v, out) }
}

fn weighted_sums_f32(p: &[f32], counts: &[usize], v: &[f32], out: &mut [f32]) {
    // SAFETY: the tables are the only way here, and they are handed out only where `here` holds.
    unsafe { weighted::weighted_sums_f32(p, counts, v, out) }
}

fn quantize_b32(x: &[f32], codes: &mut [i8], scales: &mut [f32], sums: &mut [f32], totals: &mut [i16]) {
    // SAFETY: the tables are the only way here, and they are handed out only where `here` holds.
    unsafe { quantize::quantize_b32(x, codes, scales, sums, totals) }
}

fn quantize_b256(x: &[f32], codes: &mut [i8], scales: &mut [f32], sums: &mut [i16]) {
    // SAFETY: the tables are the only way here, and they are handed out only where `here` holds.
    unsafe { quantize::quantize_b256(x, codes, scales, sums) }
}

fn gemm_b32(x: &Acts32<'_>, w: &Strips32<'_>, out: &mut [f32], ldo: usize) {
    // SAFETY: the table is the only way here, and it is handed out only where `vnni_here` holds.
    unsafe { gemm_i8::gemm_b32(x, w, out, ldo) }
}

fn gemm_b256(x: &Acts256<'_>, w: &Strips256<'_>, out: &mut [f32], ldo: usize) {
    // SAFETY: the table is the only way here, and it is handed out only where `vnni_here` holds.
    unsafe { gemm_i8::gemm_b256(x, w, out, ldo) }
}

fn single_b32(x: &[f32], w: &Strips32<'_>, out: &mut [f32]) {
    // SAFETY: the table is the only way here, and it is handed out only where `vnni_here` holds.
    unsafe { gemm_i8::single_b32(x, w, out) }
}

fn single_b256(x: &[f32], w: &Strips256<'_>, out: &mut [f32]) {
    // SAFETY: the table is the only way here, and it is handed out only where `vnni_here` holds.
    unsafe { gemm_i8::single_b256(x, w, out) }
}

fn gemm_row(x: &ActsRow<'_>, w: &StripsRow<'_>, out: &mut [f32], ldo: usize) {
    // SAFETY: the table is the only way here, and it is handed out only where `vnni_here` holds.
    unsafe { gemm_i8::gemm_row(x, w, out, ldo) }
}

const KERNELS: Kernels = Kernels {
    name: "avx512",
    dot_f32,
    gemm_f32: product,
    weighted_sum_f32,
    weighted_sums_f32,
    quantize_b32,
    quantize_b256,
    ..elementwise::over(avx2::KERNELS)
};

pub(crate) static TABLE: Kernels = KERNELS;

pub(crate) const VNNI_KERNELS: Kernels =
    Kernels { name: "avx512vnni", gemm_b32, gemm_b256, gemm_row, single_b32, single_b256, ..KERNELS };

pub(crate) static VNNI: Kernels = VNNI_KERNELS;
