//! 8-bit products by `vpmaddubsw`, which wants one unsigned operand. Codes of up to six bits are unsigned as they are
//! packed: a pair of products reaches 2 * 63 * 127. Signed codes give their magnitude and pass their sign to the
//! activation: a pair reaches at most 2 * 128 * 127 = 32,512. Neither saturates.

use crate::strips::one_by_one;
use crate::x86_64::wide256::operations256;
use std::arch::x86_64::{
    _mm256_abs_epi8, _mm256_madd_epi16, _mm256_maddubs_epi16, _mm256_set1_epi16, _mm256_sign_epi8,
};

operations256!("avx2,fma,f16c");

const SIGNED_BIAS: i32 = 0;

#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn signed(v: Codes) -> Codes {
    v
}

#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn dot<const SIGNED: bool>(sums: Ints, codes: Codes, four: [i8; 4]) -> Ints {
    let four = _mm256_set1_epi32(i32::from_le_bytes(four.map(|a| a as u8)));
    let pairs = if SIGNED {
        _mm256_maddubs_epi16(_mm256_abs_epi8(codes), _mm256_sign_epi8(four, codes))
    } else {
        _mm256_maddubs_epi16(codes, four)
    };
    _mm256_add_epi32(sums, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))
}

#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn plus_pair(sums: Ints, pair: Pair, by: [i16; 2]) -> Ints {
    let by = i32::from(by[0]) & 0xFFFF | i32::from(by[1]) << 16;
    _mm256_add_epi32(sums, _mm256_madd_epi16(pair, _mm256_set1_epi32(by)))
}

strip_products!("avx2,fma,f16c", one_by_one, [4, 2, 1]);
