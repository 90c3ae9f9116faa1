//! The shared bodies, compiled under this rung's features so that the compiler vectorises them with them.

use crate::bodies;
use crate::views::{Strips32, Strips256, StripsRow};
use std::ops::Range;

macro_rules! compile {
    ($($name:ident ( $($arg:ident : $ty:ty),* ) $(-> $ret:ty)?;)*) => {
        $(#[target_feature(enable = "avx2,fma,f16c")]
        pub(super) fn $name($($arg: $ty),*) $(-> $ret)? {
            bodies::$name($($arg),*)
        })*
    };
}

compile! {
    exp_f32(row: &mut [f32]);
    sigmoid_f32(row: &mut [f32]);
    softmax_f32(row: &mut [f32]);
    silu_mul_f32(gate: &mut [f32], up: &[f32]);
    quantize_b32(x: &[f32], codes: &mut [i8], scales: &mut [f32], sums: &mut [f32], totals: &mut [i16]);
    quantize_b256(x: &[f32], codes: &mut [i8], scales: &mut [f32], sums: &mut [i16]);
    quantize_row(x: &[f32], codes: &mut [i8], totals: &mut [i16]) -> (f32, i32);
    widen_row(w: &StripsRow<'_>, rows: Range<usize>, out: &mut [f32]);
    widen_b32(w: &Strips32<'_>, rows: Range<usize>, out: &mut [f32]);
    widen_b256(w: &Strips256<'_>, rows: Range<usize>, out: &mut [f32]);
    widen_bf16(bits: &[u16], out: &mut [f32]);
    widen_f16(bits: &[u16], out: &mut [f32]);
}
