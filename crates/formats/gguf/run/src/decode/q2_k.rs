//! Q2_K, 84 bytes: 16 bytes of (scale, min) nibbles, 64 bytes of 2-bit codes, f16 d, f16 dmin.
//! Element `128h + 32g + l` is bits `2g` of code byte `32h + l`; `d * scale * q - dmin * min` by sub-blocks of 16.

use super::{Unpacked256, bits};

/// 64 bytes of 2-bit codes, shared with Q3_K.
#[inline(always)]
pub(super) fn two_bits(bytes: &[u8; 64]) -> [u8; 256] {
    let mut codes = [0; 256];
    for (codes, bytes) in codes.chunks_exact_mut(128).zip(bytes.chunks_exact(32)) {
        for (g, codes) in codes.chunks_exact_mut(32).enumerate() {
            for (code, byte) in codes.iter_mut().zip(bytes) {
                *code = byte >> (2 * g) & 3;
            }
        }
    }
    codes
}

#[inline(always)]
pub(super) fn unpack(block: &[u8; 84]) -> Unpacked256 {
    let [packed @ .., d0, d1, m0, m1] = block;
    let (mut subs, mut codes) = ([0; 16], [0; 64]);
    subs.iter_mut().chain(&mut codes).zip(packed).for_each(|(to, from)| *to = *from);
    Unpacked256 {
        codes: bits::signed(&two_bits(&codes), 0),
        scale: bits::half(*d0, *d1),
        sub_scales: subs.map(|s| (s & 15) as i8),
        min: bits::half(*m0, *m1),
        sub_mins: subs.map(|s| s >> 4),
    }
}
