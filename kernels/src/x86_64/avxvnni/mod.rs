//! The rung `avxvnni`: AVX-VNNI for the 8-bit products, the rung `avx2` for everything else.

mod gemm_i8;

use super::avx2;
use crate::table::Kernels;
use crate::views::{Acts32, Acts256, ActsRow, Strips32, Strips256, StripsRow};

/// Whether this machine has the rung.
pub(crate) fn here() -> bool {
    avx2::here() && std::is_x86_feature_detected!("avxvnni")
}

fn gemm_b32(x: &Acts32<'_>, w: &Strips32<'_>, out: &mut [f32], ldo: usize) {
    // SAFETY: the table is the only way here, and it is handed out only where `here` holds.
    unsafe { gemm_i8::gemm_b32(x, w, out, ldo) }
}

fn gemm_b256(x: &Acts256<'_>, w: &Strips256<'_>, out: &mut [f32], ldo: usize) {
    // SAFETY: the table is the only way here, and it is handed out only where `here` holds.
    unsafe { gemm_i8::gemm_b256(x, w, out, ldo) }
}

fn gemm_row(x: &ActsRow<'_>, w: &StripsRow<'_>, out: &mut [f32], ldo: usize) {
    // SAFETY: the table is the only way here, and it is handed out only where `here` holds.
    unsafe { gemm_i8::gemm_row(x, w, out, ldo) }
}

fn single_b32(x: &[f32], w: &Strips32<'_>, out: &mut [f32]) {
    // SAFETY: the table is the only way here, and it is handed out only where `here` holds.
    unsafe { gemm_i8::single_b32(x, w, out) }
}

fn single_b256(x: &[f32], w: &Strips256<'_>, out: &mut [f32]) {
    // SAFETY: the table is the only way here, and it is handed out only where `here` holds.
    unsafe { gemm_i8::single_b256(x, w, out) }
}

pub(crate) static TABLE: Kernels =
    Kernels { name: "avxvnni", gemm_b32, gemm_b256, gemm_row, single_b32, single_b256, ..avx2::KERNELS };
