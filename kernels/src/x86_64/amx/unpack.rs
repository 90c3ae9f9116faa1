//! What a strip becomes for tiles, once for all tokens of a call.

use super::functions;
use super::tiles::{Group, Line};
use crate::strips::fetch;
use crate::views::{Coding, STRIP, Strips256};
use crate::x86_64::avx512::gemm_i8::{bias, less, twice, unpack};
use std::arch::x86_64::{
    __m512i, _mm512_add_epi16, _mm512_mask_blend_epi8, _mm512_mullo_epi16, _mm512_set1_epi16, _mm512_slli_epi16,
    _mm512_srai_epi16, _mm512_srli_epi16, _mm512_storeu_si512,
};

/// Lines that a scaled block takes.
pub(super) const SCALED: usize = 64 + 64 + 4;

functions! {
    /// The codes of a strip as they are, group by group.
    pub(super) fn plain(coding: Coding, chunks: &[u8], out: &mut Vec<Group>) {
        let all = chunks.chunks_exact(coding.chunk_bytes());
        out.resize(8 * all.len(), Line([0; 64]));
        let bias = bias(coding) as i8;
        for (chunk, out) in all.zip(out.as_chunks_mut::<8>().0) {
            // The next strip has all the time that the tiles of this one take.
            fetch(chunk, chunks.len());
            let codes = unpack(coding, chunk, 0);
            for g in 0..8 {
                write(&mut out[g], less(codes[g], bias));
            }
        }
    }

    /// The codes of a strip times the scales of their sub-blocks, 16 bits each, for each block: the groups of the low
    /// digits in base 256, those of the high digits, both -128..=127, and the minima of 16 sub-blocks, four a group.
    pub(super) fn scaled(w: &Strips256<'_>, strip: usize, out: &mut Vec<Group>) {
        let (blocks, bytes, bias) = (w.cols / 256, w.coding.chunk_bytes(), bias(w.coding) as i8);
        out.resize(blocks * SCALED, Line([0; 64]));
        for (b, out) in out.chunks_exact_mut(SCALED).enumerate() {
            let at = strip * blocks + b;
            let sub_scales = &w.sub_scales[at * w.subs * STRIP..][..w.subs * STRIP];
            let (low, rest) = out.split_at_mut(64);
            let (high, mins) = rest.split_at_mut(64);
            for (c, chunk) in w.codes[8 * at * bytes..][..8 * bytes].chunks_exact(bytes).enumerate() {
                fetch(chunk, 8 * blocks * bytes);
                let codes = unpack(w.coding, chunk, 0);
                let first = c * w.subs / 8;
                let early = twice(sub_scales, first);
                let late = if w.subs == 8 { early } else { twice(sub_scales, first + 1) };
                for g in 0..8 {
                    let (lows, highs) = digits_of(less(codes[g], bias), if g < 4 { early } else { late });
                    write(&mut low[8 * c + g], lows);
                    write(&mut high[8 * c + g], highs);
                }
            }
            if !w.mins.is_empty() {
                let sub_mins = &w.sub_mins[at * w.subs * STRIP..][..w.subs * STRIP];
                for (q, line) in mins.iter_mut().enumerate() {
                    for i in 0..4 {
                        let sub = (4 * q + i) * w.subs / 16;
                        for (r, min) in sub_mins[sub * STRIP..][..STRIP].iter().enumerate() {
                            line.0[4 * r + i] = *min as i8;
                        }
                    }
                }
            }
        }
    }

    /// The products of codes with scales, given twice for each row, as low and high digits.
    #[inline]
    fn digits_of(codes: __m512i, scales: __m512i) -> (__m512i, __m512i) {
        const ODD: u64 = 0xAAAA_AAAA_AAAA_AAAA;
        let even = _mm512_mullo_epi16(_mm512_srai_epi16::<8>(_mm512_slli_epi16::<8>(codes)), scales);
        let odd = _mm512_mullo_epi16(_mm512_srai_epi16::<8>(codes), scales);
        // A low digit from 128 on is negative, so the high one is greater by one.
        let carry = _mm512_set1_epi16(128);
        let low = _mm512_mask_blend_epi8(ODD, even, _mm512_slli_epi16::<8>(odd));
        let (even, odd) = (_mm512_add_epi16(even, carry), _mm512_add_epi16(odd, carry));
        (low, _mm512_mask_blend_epi8(ODD, _mm512_srli_epi16::<8>(even), odd))
    }

    #[inline]
    fn write(to: &mut Group, v: __m512i) {
        // SAFETY: the reference is to 64 bytes.
        unsafe { _mm512_storeu_si512(to.0.as_mut_ptr().cast(), v) }
    }
}
