//! What the rungs on 256-bit registers share: eight rows a register. A rung adds its `dot`, `plus_pair` and bias.

/// Defines the operations of `strip_products` but for `SIGNED_BIAS`, `signed`, `dot` and `plus_pair`.
macro_rules! operations256 {
    ($features:literal) => {
        use crate::scalar::output_shape;
        use crate::strips::{AHEAD, Acts, Sub, fetch, strip_products, tokens};
        use crate::views::{Acts32, Acts256, ActsRow, Coding, Factors, RowSums, STRIP, Strips32, Strips256, StripsRow};
        use std::arch::x86_64::{
            __m256, __m256i, _mm_loadl_epi64, _mm_loadu_si128, _mm256_add_epi32, _mm256_add_ps, _mm256_and_si256,
            _mm256_blend_epi16, _mm256_broadcastsi128_si256, _mm256_cvtepi8_epi32, _mm256_cvtepi32_ps, _mm256_cvtph_ps,
            _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_loadu_si256, _mm256_mul_ps, _mm256_mullo_epi32, _mm256_or_si256,
            _mm256_set1_epi8, _mm256_set1_epi32, _mm256_set1_ps, _mm256_shuffle_epi8, _mm256_slli_epi16,
            _mm256_slli_epi32, _mm256_srai_epi32, _mm256_srli_epi16, _mm256_storeu_ps, _mm256_sub_epi8,
        };

        type Codes = __m256i;
        type Ints = __m256i;
        type Floats = __m256;
        type Pair = __m256i;

        const LANES: usize = 8;

        #[target_feature(enable = $features)]
        #[inline]
        fn load(from: &[u8; 32]) -> Codes {
            // SAFETY: the reference is to 32 bytes; the instruction asks for no alignment.
            unsafe { _mm256_loadu_si256(from.as_ptr().cast()) }
        }

        #[target_feature(enable = $features)]
        #[inline]
        fn keep(v: Codes, bits: i8) -> Codes {
            _mm256_and_si256(v, _mm256_set1_epi8(bits))
        }

        #[target_feature(enable = $features)]
        #[inline]
        fn shl<const N: i32>(v: Codes) -> Codes {
            _mm256_slli_epi16::<N>(v)
        }

        #[target_feature(enable = $features)]
        #[inline]
        fn shr<const N: i32>(v: Codes) -> Codes {
            _mm256_srli_epi16::<N>(v)
        }

        #[target_feature(enable = $features)]
        #[inline]
        fn either(a: Codes, b: Codes) -> Codes {
            _mm256_or_si256(a, b)
        }

        #[target_feature(enable = $features)]
        #[inline]
        fn choose(table: &[i8; 16], v: Codes) -> Codes {
            // SAFETY: the reference is to 16 bytes; the instruction asks for no alignment.
            let table = unsafe { _mm_loadu_si128(table.as_ptr().cast()) };
            _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(table), v)
        }

        #[target_feature(enable = $features)]
        #[inline]
        fn splat(v: i32) -> Ints {
            _mm256_set1_epi32(v)
        }

        #[target_feature(enable = $features)]
        #[inline]
        fn ints(from: &[i32; 8]) -> Ints {
            // SAFETY: the reference is to 8 integers; the instruction asks for no alignment.
            unsafe { _mm256_loadu_si256(from.as_ptr().cast()) }
        }

        #[target_feature(enable = $features)]
        #[inline]
        fn plus(a: Ints, b: Ints) -> Ints {
            _mm256_add_epi32(a, b)
        }

        #[target_feature(enable = $features)]
        #[inline]
        fn times(a: Ints, b: Ints) -> Ints {
            _mm256_mullo_epi32(a, b)
        }

        #[target_feature(enable = $features)]
        #[inline]
        fn widen<S: Sub>(subs: &[S; 8]) -> Ints {
            // SAFETY: the reference is to 8 values of one byte; the instruction reads 8 bytes at any alignment.
            _mm256_cvtepi8_epi32(unsafe { _mm_loadl_epi64(subs.as_ptr().cast()) })
        }

        #[target_feature(enable = $features)]
        #[inline]
        fn pair(even: Ints, odd: Ints) -> Pair {
            _mm256_blend_epi16::<0b1010_1010>(even, _mm256_slli_epi32::<16>(odd))
        }

        #[target_feature(enable = $features)]
        #[inline]
        fn factors(all: &Factors<'_>, at: usize) -> Floats {
            match all {
                Factors::F16(all) => {
                    let from: &[u16] = &all[at..][..8];
                    // SAFETY: the slice is of 16 bytes; the instruction asks for no alignment.
                    _mm256_cvtph_ps(unsafe { _mm_loadu_si128(from.as_ptr().cast()) })
                }
                Factors::F32(all) => {
                    let from: &[f32] = &all[at..][..8];
                    // SAFETY: the slice is of 8 floats; the instruction asks for no alignment.
                    unsafe { _mm256_loadu_ps(from.as_ptr()) }
                }
            }
        }

        #[target_feature(enable = $features)]
        #[inline]
        fn floats(v: Ints) -> Floats {
            _mm256_cvtepi32_ps(v)
        }

        #[target_feature(enable = $features)]
        #[inline]
        fn by(v: Floats, factor: f32) -> Floats {
            _mm256_mul_ps(v, _mm256_set1_ps(factor))
        }

        #[target_feature(enable = $features)]
        #[inline]
        fn fma(a: Floats, b: Floats, c: Floats) -> Floats {
            _mm256_fmadd_ps(a, b, c)
        }

        #[target_feature(enable = $features)]
        #[inline]
        fn fma_by(a: Floats, factor: f32, c: Floats) -> Floats {
            _mm256_fmadd_ps(a, _mm256_set1_ps(factor), c)
        }

        #[target_feature(enable = $features)]
        #[inline]
        fn put(to: &mut [f32; 8], v: Floats) {
            // SAFETY: the reference is to 8 floats; the instruction asks for no alignment.
            unsafe { _mm256_storeu_ps(to.as_mut_ptr(), v) }
        }

        #[target_feature(enable = $features)]
        #[inline]
        fn less(v: Codes, by: i8) -> Codes {
            _mm256_sub_epi8(v, _mm256_set1_epi8(by))
        }

        #[target_feature(enable = $features)]
        #[inline]
        fn column<const SHIFT: i32>(v: Codes) -> Floats {
            _mm256_cvtepi32_ps(_mm256_srai_epi32::<24>(_mm256_slli_epi32::<SHIFT>(v)))
        }

        #[target_feature(enable = $features)]
        #[inline]
        fn mul(a: Floats, b: Floats) -> Floats {
            _mm256_mul_ps(a, b)
        }

        #[target_feature(enable = $features)]
        #[inline]
        fn add(a: Floats, b: Floats) -> Floats {
            _mm256_add_ps(a, b)
        }
    };
}
pub(super) use operations256;
