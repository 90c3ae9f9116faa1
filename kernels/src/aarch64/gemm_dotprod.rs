//! 8-bit products by `sdot`, in assembly as its intrinsic is not stable.

use super::wide128::operations128;
use crate::strips::one_by_one;

use self::dot as wide_dot;

operations128!("neon,dotprod");

#[target_feature(enable = "neon,dotprod")]
#[inline]
fn dot<const SIGNED: bool>(mut sums: Ints, codes: Codes, four: [i8; 4]) -> Ints {
    let four = vdupq_n_s32(i32::from_le_bytes(four.map(|a| a as u8)));
    // SAFETY: one instruction of the enabled feature, from registers to a register.
    unsafe {
        std::arch::asm!(
            "sdot {sums:v}.4s, {codes:v}.16b, {four:v}.16b",
            sums = inout(vreg) sums, codes = in(vreg) codes, four = in(vreg) four,
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    sums
}

strip_products!("neon,dotprod", one_by_one, [4, 2, 1]);
