//! 8-bit products. `vpmaddubsw` wants one unsigned operand: the weight gives its magnitude and passes its sign to the
//! activation. A pair then reaches at most 2 * 128 * 127 = 32,512: no saturation.

use crate::scalar::output_shape;
use crate::views::{Acts32, Acts256, Rows32, Rows256};
use std::arch::x86_64::{
    __m128, __m128i, __m256i, _mm_add_epi32, _mm_cvtepi32_ps, _mm_cvtsi128_si32, _mm_fmadd_ps, _mm_loadu_si128,
    _mm_mul_ps, _mm_set1_ps, _mm_setr_ps, _mm_setzero_ps, _mm_shuffle_epi32, _mm_storeu_ps, _mm256_abs_epi8,
    _mm256_add_epi32, _mm256_castsi256_si128, _mm256_cvtepi8_epi16, _mm256_cvtepu8_epi16, _mm256_extracti128_si256,
    _mm256_hadd_epi32, _mm256_loadu_si256, _mm256_madd_epi16, _mm256_maddubs_epi16, _mm256_permute4x64_epi64,
    _mm256_set_epi64x, _mm256_set1_epi16, _mm256_setzero_si256, _mm256_shuffle_epi8, _mm256_sign_epi8,
};

/// Rows of weights multiplied at once: their sums share a register and their additions overlap.
const TILE: usize = 4;

#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn load32(from: &[i8; 32]) -> __m256i {
    // SAFETY: the reference is to 32 bytes; the instruction asks for no alignment.
    unsafe { _mm256_loadu_si256(from.as_ptr().cast()) }
}

#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn load16<T: Byte>(from: &[T; 16]) -> __m128i {
    // SAFETY: the reference is to 16 bytes; the instruction asks for no alignment.
    unsafe { _mm_loadu_si128(from.as_ptr().cast()) }
}

/// i8 or u8.
trait Byte {}
impl Byte for i8 {}
impl Byte for u8 {}

#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn load_sums(from: &[i16; 16]) -> __m256i {
    // SAFETY: the reference is to 32 bytes; the instruction asks for no alignment.
    unsafe { _mm256_loadu_si256(from.as_ptr().cast()) }
}

/// Sums of pairs of products, 16 of i16.
#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn pairs(w: __m256i, x: __m256i) -> __m256i {
    _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w))
}

/// The sum of eight i32.
#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn total(v: __m256i) -> i32 {
    let v = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256::<1>(v));
    let v = _mm_add_epi32(v, _mm_shuffle_epi32::<0b0100_1110>(v));
    _mm_cvtsi128_si32(_mm_add_epi32(v, _mm_shuffle_epi32::<0b1011_0001>(v)))
}

/// The sums of four times eight i32.
#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn totals(v: [__m256i; TILE]) -> __m128i {
    let v = _mm256_hadd_epi32(_mm256_hadd_epi32(v[0], v[1]), _mm256_hadd_epi32(v[2], v[3]));
    _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256::<1>(v))
}

#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn gemm_b32(x: &Acts32<'_>, w: &Rows32<'_>, out: &mut [f32], ldo: usize) {
    let (n, m, cols) = (x.count(w.cols), w.rows(), w.cols);
    output_shape(n, m, out.len(), ldo);
    for i in 0..n {
        let x = Acts32 {
            codes: &x.codes[i * cols..][..cols],
            scales: &x.scales[i * cols / 32..][..cols / 32],
            sums: &x.sums[i * cols / 32..][..cols / 32],
        };
        for (tile, out) in out[i * ldo..][..m].chunks_mut(TILE).enumerate() {
            // A tile with fewer rows takes its last one again.
            let rows = std::array::from_fn(|r| (tile * TILE + r).min(m - 1));
            out.copy_from_slice(&rows_b32(&x, w, rows)[..out.len()]);
        }
    }
}

/// One token times four rows.
#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn rows_b32(x: &Acts32<'_>, w: &Rows32<'_>, rows: [usize; TILE]) -> [f32; TILE] {
    let (cols, blocks) = (w.cols, w.cols / 32);
    let codes: [&[[i8; 32]]; TILE] = rows.map(|r| w.codes[r * cols..][..cols].as_chunks().0);
    let scales: [&[f32]; TILE] = rows.map(|r| &w.scales[r * blocks..][..blocks]);
    let mins: Option<[&[f32]; TILE]> = (!w.mins.is_empty()).then(|| rows.map(|r| &w.mins[r * blocks..][..blocks]));
    let (acts, _) = x.codes.as_chunks::<32>();
    let ones = _mm256_set1_epi16(1);
    let mut sums = _mm_setzero_ps();
    for (b, act) in acts.iter().enumerate() {
        let act = load32(act);
        let mut products = [_mm256_setzero_si256(); TILE];
        for r in 0..TILE {
            products[r] = _mm256_madd_epi16(pairs(load32(&codes[r][b]), act), ones);
        }
        let d = _mm_mul_ps(across(&scales, b), _mm_set1_ps(x.scales[b]));
        sums = _mm_fmadd_ps(d, _mm_cvtepi32_ps(totals(products)), sums);
        if let Some(mins) = &mins {
            sums = _mm_fmadd_ps(across(mins, b), _mm_set1_ps(x.sums[b]), sums);
        }
    }
    let mut out = [0.0; TILE];
    // SAFETY: the array has the register's 4 floats; the instruction asks for no alignment.
    unsafe { _mm_storeu_ps(out.as_mut_ptr(), sums) };
    out
}

/// Element `b` of four rows.
#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn across(rows: &[&[f32]; TILE], b: usize) -> __m128 {
    _mm_setr_ps(rows[0][b], rows[1][b], rows[2][b], rows[3][b])
}

#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn gemm_b256(x: &Acts256<'_>, w: &Rows256<'_>, out: &mut [f32], ldo: usize) {
    let (n, m, cols) = (x.count(w.cols), w.rows(), w.cols);
    output_shape(n, m, out.len(), ldo);
    let blocks = cols / 256;
    out.chunks_mut(ldo.max(1)).take(n).for_each(|row| row[..m].fill(0.0));
    for j in 0..m {
        for b in 0..blocks {
            let at = j * blocks + b;
            let (codes, _) = w.codes[256 * at..][..256].as_chunks::<32>();
            let (subs, _) = w.sub_scales[16 * at..][..16].as_chunks::<16>();
            let weights = Weights { codes, scales: spread(load16(&subs[0])) };
            let mins = w.mins.get(at).map(|min| {
                let (subs, _) = w.sub_mins[16 * at..][..16].as_chunks::<16>();
                (*min, _mm256_cvtepu8_epi16(load16(&subs[0])))
            });
            for i in 0..n {
                let from = i * blocks + b;
                let (acts, _) = x.codes[256 * from..][..256].as_chunks::<32>();
                let (d, sum) = (x.scales[from], &mut out[i * ldo + j]);
                *sum = (w.scales[at] * d).mul_add(weights.dot(acts) as f32, *sum);
                if let Some((min, subs)) = mins {
                    let (bsums, _) = x.sums[16 * from..][..16].as_chunks::<16>();
                    let low = total(_mm256_madd_epi16(subs, load_sums(&bsums[0])));
                    *sum = (-(min * d)).mul_add(low as f32, *sum);
                }
            }
        }
    }
}

/// One block of 256 weights, its sub-scales spread over the 16-bit lanes of each group of 32.
struct Weights<'a> {
    codes: &'a [[i8; 32]],
    scales: [__m256i; 8],
}

impl Weights<'_> {
    /// `Σ_sub scale * Σ q * a`.
    #[target_feature(enable = "avx2,fma,f16c")]
    #[inline]
    fn dot(&self, acts: &[[i8; 32]]) -> i32 {
        let mut sum = _mm256_setzero_si256();
        for ((codes, acts), scales) in self.codes.iter().zip(acts).zip(&self.scales) {
            sum = _mm256_add_epi32(sum, _mm256_madd_epi16(pairs(load32(codes), load32(acts)), *scales));
        }
        total(sum)
    }
}

/// Sixteen sub-scales as eight registers of i16: the lower half all of scale 2g, the upper all of scale 2g + 1.
#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn spread(subs: __m128i) -> [__m256i; 8] {
    // Scales 0..8 in the lower half, 8..16 in the upper; then each half gets both quarters it needs.
    let wide = _mm256_cvtepi8_epi16(subs);
    let low = _mm256_permute4x64_epi64::<0b0100_0100>(wide);
    let high = _mm256_permute4x64_epi64::<0b1110_1110>(wide);
    let mut spread = [_mm256_setzero_si256(); 8];
    for (g, out) in spread.iter_mut().enumerate() {
        // A byte mask that repeats the two bytes of 16-bit element `s`.
        let pick = |s: usize| (0x0100 + 0x0202 * s as i64) * 0x0001_0001_0001_0001;
        let (even, odd) = (pick(2 * (g % 4)), pick(2 * (g % 4) + 1));
        let mask = _mm256_set_epi64x(odd, odd, even, even);
        *out = _mm256_shuffle_epi8(if g < 4 { low } else { high }, mask);
    }
    spread
}
