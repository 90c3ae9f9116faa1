//! The rung `avx2`: AVX2, FMA and F16C.

pub(super) mod elementwise;
mod gemm_f32;
mod gemm_i8;

use crate::scalar::sum_each;
use crate::table::Kernels;
use crate::views::{Acts32, Acts256, ActsRow, Strips32, Strips256, StripsRow};

/// Whether this machine has the rung.
pub(crate) fn here() -> bool {
    std::is_x86_feature_detected!("avx2")
        && std::is_x86_feature_detected!("fma")
        && std::is_x86_feature_detected!("f16c")
}

/// Wraps functions with target features into plain ones for the table.
macro_rules! enter {
    ($($module:ident :: $name:ident ( $($arg:ident : $ty:ty),* ) $(-> $ret:ty)?;)*) => {
        $(fn $name($($arg: $ty),*) $(-> $ret)? {
            // SAFETY: the table is the only way here, and it is handed out only where `here` has found the
            // features that the function asks for.
            unsafe { $module::$name($($arg),*) }
        })*

        /// The table, which faster rungs build on.
        pub(crate) const KERNELS: Kernels =
            elementwise::over(Kernels { name: "avx2", $($name,)* weighted_sums_f32, ..crate::scalar::KERNELS });
    };
}

pub(crate) static TABLE: Kernels = KERNELS;

fn weighted_sums_f32(p: &[f32], counts: &[usize], v: &[f32], out: &mut [f32]) {
    sum_each(weighted_sum_f32, p, counts, v, out);
}

enter! {
    gemm_f32::dot_f32(a: &[f32], b: &[f32]) -> f32;
    gemm_f32::gemm_f32(x: &[f32], w: &[f32], k: usize, out: &mut [f32], ldo: usize);
    gemm_f32::weighted_sum_f32(p: &[f32], v: &[f32], out: &mut [f32]);
    gemm_i8::gemm_b32(x: &Acts32<'_>, w: &Strips32<'_>, out: &mut [f32], ldo: usize);
    gemm_i8::gemm_b256(x: &Acts256<'_>, w: &Strips256<'_>, out: &mut [f32], ldo: usize);
    gemm_i8::gemm_row(x: &ActsRow<'_>, w: &StripsRow<'_>, out: &mut [f32], ldo: usize);
    gemm_i8::single_b32(x: &[f32], w: &Strips32<'_>, out: &mut [f32]);
    gemm_i8::single_b256(x: &[f32], w: &Strips256<'_>, out: &mut [f32]);
}
