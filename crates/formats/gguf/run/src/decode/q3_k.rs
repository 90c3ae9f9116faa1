//! Q3_K, 110 bytes: 32 bytes of third bits, 64 bytes of low 2 bits (as Q2_K), 12 bytes of 6-bit scales, f16 d.
//! The third bit of element `128h + 32g + l` is bit `4h + g` of byte `l`; the code is 3 bits minus 4, the scale
//! 6 bits minus 32. `d * scale * q` by sub-blocks of 16.

use super::{Unpacked256, bits, q2_k};

/// Scale `s`: its low nibble lies in byte `s % 8` (high half from 8 on), its top two bits in byte `8 + s % 4`.
#[inline(always)]
fn scales(packed: &[u8]) -> [i8; 16] {
    let (low, top) = packed.split_at_checked(8).unwrap_or_default();
    let low = low.iter().map(|b| b & 15).chain(low.iter().map(|b| b >> 4));
    let top = (0..4).flat_map(|pair| top.iter().map(move |b| b >> (2 * pair) & 3));
    let mut scales = [0; 16];
    for (scale, (low, top)) in scales.iter_mut().zip(low.zip(top)) {
        *scale = (low | top << 4) as i8 - 32;
    }
    scales
}

#[inline(always)]
pub(super) fn unpack(block: &[u8; 110]) -> Unpacked256 {
    let [packed @ .., d0, d1] = block;
    let (third, rest) = packed.split_first_chunk::<32>().unwrap_or((&[0; 32], &[]));
    let (low, packed_scales) = rest.split_first_chunk::<64>().unwrap_or((&[0; 64], &[]));
    let mut codes = bits::signed(&q2_k::two_bits(low), 4);
    for (bit, codes) in codes.chunks_exact_mut(32).enumerate() {
        for (code, third) in codes.iter_mut().zip(third) {
            *code += (third >> bit & 1) as i8 * 4;
        }
    }
    let sub_scales = scales(packed_scales);
    Unpacked256 { codes, scale: bits::half(*d0, *d1), sub_scales, min: 0.0, sub_mins: [0; 16] }
}
