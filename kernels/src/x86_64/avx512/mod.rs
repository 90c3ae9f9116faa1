//! The rungs on 512-bit registers. `avx512`: the f32 products, whose 16 virtual lanes fill one register; everything
//! else is the rung `avx2`. `avx512vnni`: the 8-bit products besides.

mod gemm_f32;
mod gemm_i8;

use super::avx2;
use crate::table::Kernels;
use crate::views::{Acts32, Acts256, ActsRow, Strips32, Strips256, StripsRow};

/// Whether this machine has the rung `avx512`.
pub(crate) fn here() -> bool {
    avx2::here() && std::is_x86_feature_detected!("avx512f")
}

/// Whether this machine has the rung `avx512vnni`.
pub(crate) fn vnni_here() -> bool {
    here() && std::is_x86_feature_detected!("avx512bw") && std::is_x86_feature_detected!("avx512vnni")
}

fn dot_f32(a: &[f32], b: &[f32]) -> f32 {
    // SAFETY: the tables are the only way here, and they are handed out only where `here` holds.
    unsafe { gemm_f32::dot_f32(a, b) }
}

fn product(x: &[f32], w: &[f32], k: usize, out: &mut [f32], ldo: usize) {
    // SAFETY: the tables are the only way here, and they are handed out only where `here` holds.
    unsafe { gemm_f32::gemm_f32(x, w, k, out, ldo) }
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

const KERNELS: Kernels = Kernels { name: "avx512", dot_f32, gemm_f32: product, ..avx2::KERNELS };

pub(crate) static TABLE: Kernels = KERNELS;

pub(crate) static VNNI: Kernels =
    Kernels { name: "avx512vnni", gemm_b32, gemm_b256, gemm_row, single_b32, single_b256, ..KERNELS };
