//! Activations to 8-bit blocks. Maxima and sums of integers may be taken in any order, so they are taken of sixteen blocks,
//! or of the sixteen parts of a large one, side by side.

use super::fold::{int_sums, maxima};
use super::gemm_f32::{load, store};
use crate::bodies::LANES;
use crate::views::whole;
use std::arch::x86_64::{
    __m512, __m512i, _CMP_NEQ_OQ, _CMP_ORD_Q, _MM_FROUND_NO_EXC, _MM_FROUND_TO_NEAREST_INT, _mm_storeu_si128,
    _mm256_storeu_si256, _mm512_abs_ps, _mm512_add_epi32, _mm512_add_ps, _mm512_castps_si512, _mm512_cmp_ps_mask,
    _mm512_cvtepi32_epi8, _mm512_cvtepi32_epi16, _mm512_cvtepi32_ps, _mm512_cvtph_ps, _mm512_cvtps_ph, _mm512_div_ps,
    _mm512_maskz_div_ps, _mm512_maskz_sub_epi32, _mm512_max_ps, _mm512_min_ps, _mm512_mul_ps, _mm512_reduce_max_ps,
    _mm512_reduce_min_ps, _mm512_set1_ps, _mm512_setzero_ps, _mm512_setzero_si512,
};

/// Blocks of 32 taken together.
type Group = [[f32; 32]; LANES];

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
pub(super) fn quantize_b32(x: &[f32], codes: &mut [i8], scales: &mut [f32], sums: &mut [f32], totals: &mut [i16]) {
    let blocks = whole(x.len(), 32, 32);
    assert!(codes.len() == x.len() && scales.len() == blocks, "outputs of 32-blocks");
    assert!(sums.len() == blocks && totals.len() == blocks, "sums of 32-blocks");
    let (x, last) = x.as_chunks::<32>().0.as_chunks::<LANES>();
    let (codes, last_codes) = codes.as_chunks_mut::<32>().0.as_chunks_mut::<LANES>();
    let (scales, last_scales) = scales.as_chunks_mut::<LANES>();
    let (sums, last_sums) = sums.as_chunks_mut::<LANES>();
    let (totals, last_totals) = totals.as_chunks_mut::<LANES>();
    let factors = scales.iter_mut().zip(sums).zip(totals);
    for ((x, codes), ((scales, sums), totals)) in x.iter().zip(codes).zip(factors) {
        quantize_group(x, codes, scales, sums, totals);
    }
    if !last.is_empty() {
        let (mut x, mut codes) = ([[0.0; 32]; LANES], [[0; 32]; LANES]);
        let (mut scales, mut sums, mut totals) = ([0.0; LANES], [0.0; LANES], [0; LANES]);
        x[..last.len()].copy_from_slice(last);
        quantize_group(&x, &mut codes, &mut scales, &mut sums, &mut totals);
        last_codes.copy_from_slice(&codes[..last.len()]);
        last_scales.copy_from_slice(&scales[..last.len()]);
        last_sums.copy_from_slice(&sums[..last.len()]);
        last_totals.copy_from_slice(&totals[..last.len()]);
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
#[inline]
fn quantize_group(
    x: &Group,
    codes: &mut [[i8; 32]; LANES],
    scales: &mut [f32; LANES],
    sums: &mut [f32; LANES],
    totals: &mut [i16; LANES],
) {
    let mut most = [_mm512_setzero_ps(); LANES];
    for (most, x) in most.iter_mut().zip(x) {
        for x in x.as_chunks().0 {
            // Of a NaN and a number this order gives the number.
            *most = _mm512_max_ps(_mm512_abs_ps(load(x)), *most);
        }
    }
    let d = _mm512_div_ps(maxima(&most), _mm512_set1_ps(127.0));
    let mut inverse = [0.0; LANES];
    let some = _mm512_cmp_ps_mask::<_CMP_NEQ_OQ>(d, _mm512_setzero_ps());
    store(&mut inverse, _mm512_maskz_div_ps(some, _mm512_set1_ps(1.0), d));
    let mut all = [_mm512_setzero_si512(); LANES];
    for (b, all) in all.iter_mut().enumerate() {
        let (x, codes) = (x[b].as_chunks().0, codes[b].as_chunks_mut().0);
        let factor = _mm512_set1_ps(inverse[b]);
        let (low, high) = (nearest(load(&x[0]), factor), nearest(load(&x[1]), factor));
        put_codes(&mut codes[0], low);
        put_codes(&mut codes[1], high);
        *all = _mm512_add_epi32(low, high);
    }
    let all = int_sums(&all);
    store(scales, rounded_to_half(d));
    store(sums, rounded_to_half(_mm512_mul_ps(_mm512_cvtepi32_ps(all), d)));
    put_sums(totals, all);
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
pub(super) fn quantize_b256(x: &[f32], codes: &mut [i8], scales: &mut [f32], sums: &mut [i16]) {
    let blocks = whole(x.len(), 256, 256);
    assert!(codes.len() == x.len() && scales.len() == blocks && sums.len() == blocks * 16, "outputs of 256-blocks");
    let x = x.as_chunks::<LANES>().0.as_chunks::<16>().0;
    let codes = codes.as_chunks_mut::<LANES>().0.as_chunks_mut::<16>().0;
    for (((x, codes), scale), sums) in x.iter().zip(codes).zip(scales).zip(sums.as_chunks_mut().0) {
        let max = signed_magnitude(x);
        let inverse = if max == 0.0 { 0.0 } else { -127.0 / max };
        let factor = _mm512_set1_ps(inverse);
        let mut all = [_mm512_setzero_si512(); LANES];
        for ((x, codes), all) in x.iter().zip(codes).zip(&mut all) {
            *all = nearest(load(x), factor);
            put_codes(codes, *all);
        }
        put_sums(sums, int_sums(&all));
        *scale = if inverse == 0.0 { 0.0 } else { 1.0 / inverse };
    }
}

/// The first value of greatest magnitude. Which it is need only be asked where both signs have it.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
#[inline]
fn signed_magnitude(block: &[[f32; LANES]; 16]) -> f32 {
    let (mut low, mut high) = (_mm512_setzero_ps(), _mm512_setzero_ps());
    for x in block {
        let x = load(x);
        (low, high) = (_mm512_min_ps(x, low), _mm512_max_ps(x, high));
    }
    let (low, high) = (_mm512_reduce_min_ps(low), _mm512_reduce_max_ps(high));
    if high == -low {
        return block.as_flattened().iter().copied().find(|v| v.abs() == high).unwrap_or(0.0);
    }
    if high > -low { high } else { low }
}

/// `x * factor` as the nearest integers in -127..=127, halves to even; 0 for NaN.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
#[inline]
fn nearest(x: __m512, factor: __m512) -> __m512i {
    let round = _mm512_set1_ps(12_582_912.0);
    let v = _mm512_mul_ps(x, factor);
    let number = _mm512_cmp_ps_mask::<_CMP_ORD_Q>(v, v);
    let v = _mm512_min_ps(_mm512_max_ps(v, _mm512_set1_ps(-127.0)), _mm512_set1_ps(127.0));
    _mm512_maskz_sub_epi32(number, _mm512_castps_si512(_mm512_add_ps(v, round)), _mm512_castps_si512(round))
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
#[inline]
fn rounded_to_half(v: __m512) -> __m512 {
    _mm512_cvtph_ps(_mm512_cvtps_ph::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(v))
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
#[inline]
fn put_codes(to: &mut [i8; 16], v: __m512i) {
    // SAFETY: the reference is to 16 bytes; the instruction asks for no alignment.
    unsafe { _mm_storeu_si128(to.as_mut_ptr().cast(), _mm512_cvtepi32_epi8(v)) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
#[inline]
fn put_sums(to: &mut [i16; 16], v: __m512i) {
    // SAFETY: the reference is to 32 bytes; the instruction asks for no alignment.
    unsafe { _mm256_storeu_si256(to.as_mut_ptr().cast(), _mm512_cvtepi32_epi16(v)) }
}
