//! The rung `avx512`: the f32 products on 512-bit registers, which hold all 16 virtual lanes of a sum. Everything else
//! is the rung below's.

mod gemm_f32;

use super::avx2;
use crate::table::Kernels;

/// Whether this machine has the rung.
pub(crate) fn here() -> bool {
    avx2::here() && std::is_x86_feature_detected!("avx512f")
}

fn dot_f32(a: &[f32], b: &[f32]) -> f32 {
    // SAFETY: the table is the only way here, and it is handed out only where `here` holds.
    unsafe { gemm_f32::dot_f32(a, b) }
}

fn product(x: &[f32], w: &[f32], k: usize, out: &mut [f32], ldo: usize) {
    // SAFETY: the table is the only way here, and it is handed out only where `here` holds.
    unsafe { gemm_f32::gemm_f32(x, w, k, out, ldo) }
}

pub(crate) static TABLE: Kernels = Kernels { name: "avx512", dot_f32, gemm_f32: product, ..avx2::KERNELS };
