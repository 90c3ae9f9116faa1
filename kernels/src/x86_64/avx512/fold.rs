//! Sixteen registers folded into one, lane `i` of which is the fold of register `i`: halves, quarters and so on of two
//! registers are brought into one and joined, in the order that the contract folds lanes in.

use crate::bodies::LANES;
use std::arch::x86_64::{
    __m512, __m512i, _mm512_add_epi32, _mm512_add_ps, _mm512_castps_si512, _mm512_castsi512_ps, _mm512_max_ps,
    _mm512_shuffle_f32x4, _mm512_shuffle_i32x4, _mm512_shuffle_ps, _mm512_unpackhi_epi64, _mm512_unpacklo_epi64,
};

macro_rules! folds {
    ($($(#[$doc:meta])* $name:ident: $register:ty, $join:ident, $quarters:ident, $low:ident, $high:ident, $odd:ident;)*) => {
        $($(#[$doc])*
        #[target_feature(enable = "avx512f,avx2,fma")]
        #[inline]
        pub(super) fn $name(v: &[$register; LANES]) -> $register {
            // Registers four apart end up side by side.
            let of_four = |first: usize| {
                let halves = |a: $register, b: $register| $join($quarters::<0x44>(a, b), $quarters::<0xEE>(a, b));
                let (a, b) = (halves(v[first], v[first + 4]), halves(v[first + 8], v[first + 12]));
                $join($quarters::<0x88>(a, b), $quarters::<0xDD>(a, b))
            };
            let of_eight = |a: $register, b: $register| $join($low(a, b), $high(a, b));
            let (a, b) = (of_eight(of_four(0), of_four(1)), of_eight(of_four(2), of_four(3)));
            $join($odd::<0x88>(a, b), $odd::<0xDD>(a, b))
        })*
    };
}

folds! {
    /// Sums.
    sums: __m512, _mm512_add_ps, _mm512_shuffle_f32x4, low_pairs, high_pairs, _mm512_shuffle_ps;
    /// The greatest of each; none may be NaN.
    maxima: __m512, _mm512_max_ps, _mm512_shuffle_f32x4, low_pairs, high_pairs, _mm512_shuffle_ps;
    /// Sums of integers.
    int_sums: __m512i, _mm512_add_epi32, _mm512_shuffle_i32x4, _mm512_unpacklo_epi64, _mm512_unpackhi_epi64, every_second;
}

#[target_feature(enable = "avx512f,avx2,fma")]
#[inline]
fn low_pairs(a: __m512, b: __m512) -> __m512 {
    _mm512_shuffle_ps::<0x44>(a, b)
}

#[target_feature(enable = "avx512f,avx2,fma")]
#[inline]
fn high_pairs(a: __m512, b: __m512) -> __m512 {
    _mm512_shuffle_ps::<0xEE>(a, b)
}

#[target_feature(enable = "avx512f,avx2,fma")]
#[inline]
fn every_second<const WHICH: i32>(a: __m512i, b: __m512i) -> __m512i {
    _mm512_castps_si512(_mm512_shuffle_ps::<WHICH>(_mm512_castsi512_ps(a), _mm512_castsi512_ps(b)))
}
