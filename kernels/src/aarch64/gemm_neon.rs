//! 8-bit products on the baseline: widening multiplications and pairwise sums.

use super::wide128::operations128;
use crate::singles::single_products;
use crate::strips::one_by_one;
use std::arch::aarch64::{
    vaddq_f32, vget_low_s8, vmull_high_s8, vmull_s8, vmulq_f32, vpaddlq_s16, vpaddq_s32, vreinterpretq_s8_s32,
    vreinterpretq_s32_s8, vshlq_n_s32, vshrq_n_s32, vsubq_s8,
};

use self::dot as wide_dot;

operations128!("neon");

#[target_feature(enable = "neon")]
#[inline]
fn dot<const SIGNED: bool>(sums: Ints, codes: Codes, four: [i8; 4]) -> Ints {
    let four = vreinterpretq_s8_s32(vdupq_n_s32(i32::from_le_bytes(four.map(|a| a as u8))));
    let low = vpaddlq_s16(vmull_s8(vget_low_s8(codes), vget_low_s8(four)));
    let high = vpaddlq_s16(vmull_high_s8(codes, four));
    vaddq_s32(sums, vpaddq_s32(low, high))
}

strip_products!("neon", one_by_one, [4, 2, 1]);
#[target_feature(enable = "neon")]
#[inline]
fn less(v: Codes, by: i8) -> Codes {
    vsubq_s8(v, vdupq_n_s8(by))
}

#[target_feature(enable = "neon")]
#[inline]
fn column<const SHIFT: i32>(v: Codes) -> Floats {
    vcvtq_f32_s32(vshrq_n_s32::<24>(vshlq_n_s32::<SHIFT>(vreinterpretq_s32_s8(v))))
}

#[target_feature(enable = "neon")]
#[inline]
fn mul(a: Floats, b: Floats) -> Floats {
    vmulq_f32(a, b)
}

#[target_feature(enable = "neon")]
#[inline]
fn add(a: Floats, b: Floats) -> Floats {
    vaddq_f32(a, b)
}

single_products!("neon");
