//! 8-bit products by `vpdpbusd`: unsigned codes of 16 rows times four activations of one token.

use crate::scalar::output_shape;
use crate::singles::single_products;
use crate::strips::{AHEAD, Acts, Sub, fetch, one_by_one, strip_products, tokens};
use crate::views::{Acts32, Acts256, ActsRow, Coding, Factors, RowSums, STRIP, Strips32, Strips256, StripsRow};
use std::arch::x86_64::{
    __m512, __m512i, _mm_loadu_si128, _mm256_loadu_si256, _mm512_add_epi32, _mm512_add_ps, _mm512_and_si512,
    _mm512_broadcast_i32x4, _mm512_cvtepi8_epi32, _mm512_cvtepi32_ps, _mm512_cvtph_ps, _mm512_dpbusd_epi32,
    _mm512_dpwssd_epi32, _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_loadu_si512, _mm512_mask_blend_epi16, _mm512_mul_ps,
    _mm512_mullo_epi32, _mm512_or_si512, _mm512_set1_epi8, _mm512_set1_epi32, _mm512_set1_ps, _mm512_shuffle_epi8,
    _mm512_slli_epi16, _mm512_slli_epi32, _mm512_srai_epi32, _mm512_srli_epi16, _mm512_storeu_ps, _mm512_sub_epi8,
    _mm512_xor_si512,
};

use self::dot as wide_dot;

pub(in crate::x86_64) type Codes = __m512i;
pub(in crate::x86_64) type Ints = __m512i;
pub(in crate::x86_64) type Floats = __m512;
pub(in crate::x86_64) type Pair = __m512i;

const LANES: usize = 16;
const SIGNED_BIAS: i32 = 128;

macro_rules! operations {
    ($($name:ident $([$($generics:tt)*])? ($($arg:ident : $ty:ty),*) $(-> $ret:ty)? $body:block)*) => {
        $(#[target_feature(enable = "avx512f,avx512bw,avx512vnni,avx2,fma,f16c")]
        #[inline]
        pub(in crate::x86_64) fn $name $(<$($generics)*>)? ($($arg: $ty),*) $(-> $ret)? $body)*
    };
}

operations! {
    load(from: &[u8; 64]) -> Codes {
        // SAFETY: the reference is to 64 bytes; the instruction asks for no alignment.
        unsafe { _mm512_loadu_si512(from.as_ptr().cast()) }
    }
    keep(v: Codes, bits: i8) -> Codes { _mm512_and_si512(v, _mm512_set1_epi8(bits)) }
    shl[const N: u32](v: Codes) -> Codes { _mm512_slli_epi16::<N>(v) }
    shr[const N: u32](v: Codes) -> Codes { _mm512_srli_epi16::<N>(v) }
    either(a: Codes, b: Codes) -> Codes { _mm512_or_si512(a, b) }
    choose(table: &[i8; 16], v: Codes) -> Codes {
        // SAFETY: the reference is to 16 bytes; the instruction asks for no alignment.
        let table = unsafe { _mm_loadu_si128(table.as_ptr().cast()) };
        _mm512_shuffle_epi8(_mm512_broadcast_i32x4(table), v)
    }
    signed(v: Codes) -> Codes { _mm512_xor_si512(v, _mm512_set1_epi8(-128)) }
    dot[const SIGNED: bool](sums: Ints, codes: Codes, four: [i8; 4]) -> Ints {
        let four = i32::from_le_bytes(four.map(|a| a as u8));
        _mm512_dpbusd_epi32(sums, codes, _mm512_set1_epi32(four))
    }
    splat(v: i32) -> Ints { _mm512_set1_epi32(v) }
    ints(from: &[i32; 16]) -> Ints {
        // SAFETY: the reference is to 16 integers; the instruction asks for no alignment.
        unsafe { _mm512_loadu_si512(from.as_ptr().cast()) }
    }
    plus(a: Ints, b: Ints) -> Ints { _mm512_add_epi32(a, b) }
    times(a: Ints, b: Ints) -> Ints { _mm512_mullo_epi32(a, b) }
    widen[S: Sub](subs: &[S; 16]) -> Ints {
        // SAFETY: the reference is to 16 values of one byte; the instruction asks for no alignment.
        _mm512_cvtepi8_epi32(unsafe { _mm_loadu_si128(subs.as_ptr().cast()) })
    }
    pair(even: Ints, odd: Ints) -> Pair { _mm512_mask_blend_epi16(0xAAAA_AAAA, even, _mm512_slli_epi32::<16>(odd)) }
    twice(subs: &[i8], s: usize) -> Pair {
        let scales = widen(&subs[s * STRIP..].as_chunks().0[0]);
        pair(scales, scales)
    }
    plus_pair(sums: Ints, pair: Pair, by: [i16; 2]) -> Ints {
        let by = i32::from(by[0]) & 0xFFFF | i32::from(by[1]) << 16;
        _mm512_dpwssd_epi32(sums, pair, _mm512_set1_epi32(by))
    }
    factors(all: &Factors<'_>, at: usize) -> Floats {
        match all {
            Factors::F16(all) => {
                let from: &[u16] = &all[at..][..16];
                // SAFETY: the slice is of 32 bytes; the instruction asks for no alignment.
                _mm512_cvtph_ps(unsafe { _mm256_loadu_si256(from.as_ptr().cast()) })
            }
            Factors::F32(all) => {
                let from: &[f32] = &all[at..][..16];
                // SAFETY: the slice is of 16 floats; the instruction asks for no alignment.
                unsafe { _mm512_loadu_ps(from.as_ptr()) }
            }
        }
    }
    floats(v: Ints) -> Floats { _mm512_cvtepi32_ps(v) }
    by(v: Floats, factor: f32) -> Floats { _mm512_mul_ps(v, _mm512_set1_ps(factor)) }
    fma(a: Floats, b: Floats, c: Floats) -> Floats { _mm512_fmadd_ps(a, b, c) }
    fma_by(a: Floats, factor: f32, c: Floats) -> Floats { _mm512_fmadd_ps(a, _mm512_set1_ps(factor), c) }
    less(v: Codes, by: i8) -> Codes { _mm512_sub_epi8(v, _mm512_set1_epi8(by)) }
    column[const SHIFT: u32](v: Codes) -> Floats {
        _mm512_cvtepi32_ps(_mm512_srai_epi32::<24>(_mm512_slli_epi32::<SHIFT>(v)))
    }
    mul(a: Floats, b: Floats) -> Floats { _mm512_mul_ps(a, b) }
    add(a: Floats, b: Floats) -> Floats { _mm512_add_ps(a, b) }
    put(to: &mut [f32; 16], v: Floats) {
        // SAFETY: the reference is to 16 floats; the instruction asks for no alignment.
        unsafe { _mm512_storeu_ps(to.as_mut_ptr(), v) }
    }
}

strip_products!("avx512f,avx512bw,avx512vnni,avx2,fma,f16c", one_by_one, [8, 4, 2, 1]);
single_products!("avx512f,avx512bw,avx512vnni,avx2,fma,f16c");
