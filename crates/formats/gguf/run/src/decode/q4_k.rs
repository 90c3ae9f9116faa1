//! Q4_K, 144 bytes: f16 d, f16 dmin, 12 bytes of 6-bit scales and minima, 128 bytes of nibbles.
//! Byte `32c + l` holds element `64c + l` low and `64c + 32 + l` high; `d * scale * q - dmin * min` by 32.

use super::{Unpacked256, bits};

/// 128 bytes of nibbles in runs of 32, shared with Q5_K.
#[inline(always)]
pub(super) fn nibble_runs(bytes: &[u8]) -> [i8; 256] {
    let mut codes = [0; 256];
    for (codes, bytes) in codes.chunks_exact_mut(64).zip(bytes.chunks_exact(32)) {
        let (low, high) = codes.split_at_mut(32);
        for ((low, high), byte) in low.iter_mut().zip(high).zip(bytes) {
            (*low, *high) = ((byte & 15) as i8, (byte >> 4) as i8);
        }
    }
    codes
}

#[inline(always)]
pub(super) fn unpack(block: &[u8; 144]) -> Unpacked256 {
    let [d0, d1, m0, m1, rest @ ..] = block;
    let (packed, codes) = rest.split_first_chunk::<12>().unwrap_or((&[0; 12], &[]));
    let (sub_scales, sub_mins) = bits::six_bit_pairs(packed);
    let codes = nibble_runs(codes);
    Unpacked256 { codes, scale: bits::half(*d0, *d1), sub_scales, min: bits::half(*m0, *m1), sub_mins }
}
