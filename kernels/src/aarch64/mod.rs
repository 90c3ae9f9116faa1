//! Rungs of 64-bit ARM. `neon` is the baseline; `neon-dotprod` has `sdot` for the 8-bit products,
//! `neon-i8mm` `smmla`.
//! Element-wise kernels are the shared bodies: their `mul_add` is one instruction here without asking.

mod gemm_dotprod;
mod gemm_f32;
mod gemm_i8mm;
mod gemm_neon;
mod wide128;

use crate::bodies;
use crate::scalar::sum_each;
use crate::table::Kernels;
use crate::views::{Acts32, Acts256, ActsRow, Strips32, Strips256, StripsRow};
use std::arch::is_aarch64_feature_detected;

/// The rungs above scalar, slowest first, with whether this machine has them.
pub(crate) fn rungs() -> [(&'static Kernels, bool); 3] {
    let neon = is_aarch64_feature_detected!("neon");
    let dotprod = neon && is_aarch64_feature_detected!("dotprod");
    [(&NEON, neon), (&DOTPROD, dotprod), (&I8MM, dotprod && is_aarch64_feature_detected!("i8mm"))]
}

/// Wraps functions with target features into plain ones for the tables.
macro_rules! enter {
    ($($plain:ident = $module:ident :: $name:ident ( $($arg:ident : $ty:ty),* ) $(-> $ret:ty)?;)*) => {
        $(fn $plain($($arg: $ty),*) $(-> $ret)? {
            // SAFETY: the tables are the only way here, and `rungs` hands them out only where the machine has the
            // features that the function asks for.
            unsafe { $module::$name($($arg),*) }
        })*
    };
}

enter! {
    dot_f32 = gemm_f32::dot_f32(a: &[f32], b: &[f32]) -> f32;
    product = gemm_f32::gemm_f32(x: &[f32], w: &[f32], k: usize, out: &mut [f32], ldo: usize);
    weighted_sum_f32 = gemm_f32::weighted_sum_f32(p: &[f32], v: &[f32], out: &mut [f32]);
    neon_b32 = gemm_neon::gemm_b32(x: &Acts32<'_>, w: &Strips32<'_>, out: &mut [f32], ldo: usize);
    neon_b256 = gemm_neon::gemm_b256(x: &Acts256<'_>, w: &Strips256<'_>, out: &mut [f32], ldo: usize);
    neon_row = gemm_neon::gemm_row(x: &ActsRow<'_>, w: &StripsRow<'_>, out: &mut [f32], ldo: usize);
    single_b32 = gemm_neon::single_b32(x: &[f32], w: &Strips32<'_>, out: &mut [f32]);
    single_b256 = gemm_neon::single_b256(x: &[f32], w: &Strips256<'_>, out: &mut [f32]);
    i8mm_b32 = gemm_i8mm::gemm_b32(x: &Acts32<'_>, w: &Strips32<'_>, out: &mut [f32], ldo: usize);
    i8mm_b256 = gemm_i8mm::gemm_b256(x: &Acts256<'_>, w: &Strips256<'_>, out: &mut [f32], ldo: usize);
    i8mm_row = gemm_i8mm::gemm_row(x: &ActsRow<'_>, w: &StripsRow<'_>, out: &mut [f32], ldo: usize);
    dotprod_b32 = gemm_dotprod::gemm_b32(x: &Acts32<'_>, w: &Strips32<'_>, out: &mut [f32], ldo: usize);
    dotprod_b256 = gemm_dotprod::gemm_b256(x: &Acts256<'_>, w: &Strips256<'_>, out: &mut [f32], ldo: usize);
    dotprod_row = gemm_dotprod::gemm_row(x: &ActsRow<'_>, w: &StripsRow<'_>, out: &mut [f32], ldo: usize);
}

fn weighted_sums_f32(p: &[f32], counts: &[usize], v: &[f32], out: &mut [f32]) {
    sum_each(weighted_sum_f32, p, counts, v, out);
}

const BASE: Kernels = Kernels {
    name: "neon",
    dot_f32,
    gemm_f32: product,
    gemm_b32: neon_b32,
    gemm_b256: neon_b256,
    gemm_row: neon_row,
    single_b32,
    single_b256,
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

static NEON: Kernels = BASE;

static DOTPROD: Kernels =
    Kernels { name: "neon-dotprod", gemm_b32: dotprod_b32, gemm_b256: dotprod_b256, gemm_row: dotprod_row, ..BASE };

static I8MM: Kernels =
    Kernels { name: "neon-i8mm", gemm_b32: i8mm_b32, gemm_b256: i8mm_b256, gemm_row: i8mm_row, ..BASE };
