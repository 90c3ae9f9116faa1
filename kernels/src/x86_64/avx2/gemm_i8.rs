//! 8-bit products by `vpmaddubsw`, which wants one unsigned operand. Codes of up to six bits are unsigned as they are
//! packed: a pair of products reaches 2 * 63 * 127. Signed codes give their magnitude and pass their sign to the
//! activation: a pair reaches at most 2 * 128 * 127 = 32,512. Neither saturates.

use crate::singles::single_products;
use crate::strips::one_by_one;
use crate::x86_64::wide256::operations256;
use std::arch::x86_64::{
    _mm_cvtepi8_epi16, _mm_cvtsi32_si128, _mm256_abs_epi8, _mm256_broadcastq_epi64, _mm256_castsi256_si128,
    _mm256_cvtepi8_epi16, _mm256_extracti128_si256, _mm256_hadd_epi32, _mm256_madd_epi16, _mm256_maddubs_epi16,
    _mm256_permute4x64_epi64, _mm256_set1_epi16, _mm256_sign_epi8,
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

/// A sign cannot be passed to -128, so signed codes are widened to 16 bits instead.
#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn wide_dot<const SIGNED: bool>(sums: Ints, codes: Codes, four: [i8; 4]) -> Ints {
    if !SIGNED {
        return dot::<false>(sums, codes, four);
    }
    let four = _mm_cvtsi32_si128(i32::from_le_bytes(four.map(|a| a as u8)));
    let four = _mm256_broadcastq_epi64(_mm_cvtepi8_epi16(four));
    let low = _mm256_madd_epi16(_mm256_cvtepi8_epi16(_mm256_castsi256_si128(codes)), four);
    let high = _mm256_madd_epi16(_mm256_cvtepi8_epi16(_mm256_extracti128_si256::<1>(codes)), four);
    // Pairs of rows come out as 01 45 23 67.
    _mm256_add_epi32(sums, _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_hadd_epi32(low, high)))
}

#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn plus_pair(sums: Ints, pair: Pair, by: [i16; 2]) -> Ints {
    let by = i32::from(by[0]) & 0xFFFF | i32::from(by[1]) << 16;
    _mm256_add_epi32(sums, _mm256_madd_epi16(pair, _mm256_set1_epi32(by)))
}

strip_products!("avx2,fma,f16c", one_by_one, [4, 2, 1]);
single_products!("avx2,fma,f16c");
