//! 8-bit products of two rows with two tokens at once by `smmla`, in assembly as its intrinsic is not stable. A token
//! without a partner takes `sdot`.

use super::wide128::operations128;
use crate::strips::{one_by_one, two_by_two};
use std::arch::aarch64::{
    vcombine_s8, vreinterpretq_s8_s32, vreinterpretq_s32_s8, vuzp1q_s32, vuzp2q_s32, vzip1q_s32, vzip2q_s32,
};
use std::arch::asm;

use self::dot as wide_dot;

operations128!("neon,dotprod,i8mm");

#[target_feature(enable = "neon,dotprod,i8mm")]
#[inline]
fn dot<const SIGNED: bool>(mut sums: Ints, codes: Codes, four: [i8; 4]) -> Ints {
    let four = vdupq_n_s32(i32::from_le_bytes(four.map(|a| a as u8)));
    // SAFETY: one instruction of the enabled features, from registers to a register.
    unsafe {
        asm!("sdot {sums:v}.4s, {codes:v}.16b, {four:v}.16b",
            sums = inout(vreg) sums, codes = in(vreg) codes, four = in(vreg) four,
            options(pure, nomem, nostack, preserves_flags));
    }
    sums
}

/// `sums[2 * row + token] += Σ_8 rows[8 * row..] * tokens[8 * token..]`.
#[target_feature(enable = "neon,dotprod,i8mm")]
#[inline]
fn smmla(mut sums: Ints, rows: Codes, tokens: Codes) -> Ints {
    // SAFETY: one instruction of the enabled features, from registers to a register.
    unsafe {
        asm!("smmla {sums:v}.4s, {rows:v}.16b, {tokens:v}.16b",
            sums = inout(vreg) sums, rows = in(vreg) rows, tokens = in(vreg) tokens,
            options(pure, nomem, nostack, preserves_flags));
    }
    sums
}

/// Adds the products of some groups, an even number, with two tokens.
#[target_feature(enable = "neon,dotprod,i8mm")]
#[inline]
fn two_dots(sums: [Ints; 2], codes: &[Codes], one: &[[i8; 4]], two: &[[i8; 4]]) -> [Ints; 2] {
    let (mut upper, mut lower) = (vdupq_n_s32(0), vdupq_n_s32(0));
    let pairs = codes.as_chunks::<2>().0.iter().zip(one.as_chunks::<2>().0).zip(two.as_chunks::<2>().0);
    for ((codes, one), two) in pairs {
        let tokens = vcombine_s8(eight(*one), eight(*two));
        let (even, odd) = (vreinterpretq_s32_s8(codes[0]), vreinterpretq_s32_s8(codes[1]));
        upper = smmla(upper, vreinterpretq_s8_s32(vzip1q_s32(even, odd)), tokens);
        lower = smmla(lower, vreinterpretq_s8_s32(vzip2q_s32(even, odd)), tokens);
    }
    [vaddq_s32(sums[0], vuzp1q_s32(upper, lower)), vaddq_s32(sums[1], vuzp2q_s32(upper, lower))]
}

/// Eight activations of one token.
#[target_feature(enable = "neon,dotprod,i8mm")]
#[inline]
fn eight(fours: [[i8; 4]; 2]) -> std::arch::aarch64::int8x8_t {
    let [[a, b, c, d], [e, f, g, h]] = fours.map(|four| four.map(|q| q as u8));
    vcreate_s8(u64::from_le_bytes([a, b, c, d, e, f, g, h]))
}

strip_products!("neon,dotprod,i8mm", two_by_two, [8, 4, 2, 1]);
