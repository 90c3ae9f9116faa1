//! 8-bit products by the VEX-coded `vpdpbusd`.

use crate::singles::single_products;
use crate::strips::one_by_one;
use crate::x86_64::wide256::operations256;
use std::arch::x86_64::{_mm256_dpbusd_avx_epi32, _mm256_dpwssd_avx_epi32, _mm256_xor_si256};

use self::dot as wide_dot;

operations256!("avxvnni,avx2,fma,f16c");

const SIGNED_BIAS: i32 = 128;

#[target_feature(enable = "avxvnni,avx2,fma,f16c")]
#[inline]
fn signed(v: Codes) -> Codes {
    _mm256_xor_si256(v, _mm256_set1_epi8(-128))
}

#[target_feature(enable = "avxvnni,avx2,fma,f16c")]
#[inline]
fn dot<const SIGNED: bool>(sums: Ints, codes: Codes, four: [i8; 4]) -> Ints {
    let four = i32::from_le_bytes(four.map(|a| a as u8));
    _mm256_dpbusd_avx_epi32(sums, codes, _mm256_set1_epi32(four))
}

#[target_feature(enable = "avxvnni,avx2,fma,f16c")]
#[inline]
fn plus_pair(sums: Ints, pair: Pair, by: [i16; 2]) -> Ints {
    let by = i32::from(by[0]) & 0xFFFF | i32::from(by[1]) << 16;
    _mm256_dpwssd_avx_epi32(sums, pair, _mm256_set1_epi32(by))
}

strip_products!("avxvnni,avx2,fma,f16c", one_by_one, [4, 2, 1]);
single_products!("avxvnni,avx2,fma,f16c");
