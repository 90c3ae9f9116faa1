//! Q5_K, 176 bytes: f16 d, f16 dmin, 12 bytes of 6-bit scales and minima, 32 bytes of fifth bits, 128 bytes of
//! nibbles (as Q4_K). The fifth bit of element `32r + l` is bit `r` of byte `l`; `d * scale * q - dmin * min` by 32.

use super::{Unpacked256, bits, q4_k};

#[inline(always)]
pub(super) fn unpack(block: &[u8; 176]) -> Unpacked256 {
    let [d0, d1, m0, m1, rest @ ..] = block;
    let (packed, rest) = rest.split_first_chunk::<12>().unwrap_or((&[0; 12], &[]));
    let (fifth, nibbles) = rest.split_first_chunk::<32>().unwrap_or((&[0; 32], &[]));
    let (sub_scales, sub_mins) = bits::six_bit_pairs(packed);
    let mut codes = q4_k::nibble_runs(nibbles);
    for (bit, codes) in codes.chunks_exact_mut(32).enumerate() {
        for (code, fifth) in codes.iter_mut().zip(fifth) {
            *code |= ((fifth >> bit & 1) << 4) as i8;
        }
    }
    Unpacked256 { codes, scale: bits::half(*d0, *d1), sub_scales, min: bits::half(*m0, *m1), sub_mins }
}
