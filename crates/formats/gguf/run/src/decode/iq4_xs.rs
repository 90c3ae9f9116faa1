//! IQ4_XS, 136 bytes: f16 d, u16 of top scale bits, 4 bytes of scale nibbles, 128 bytes of table indices, 16 per 32
//! weights as in IQ4_NL. The scale of a run is 6 bits minus 32; `d * scale * table[q]`.

use super::{Unpacked256, bits, iq4_nl};

#[inline(always)]
pub(super) fn unpack(block: &[u8; 136]) -> Unpacked256 {
    let [d0, d1, h0, h1, rest @ ..] = block;
    let (low, indices) = rest.split_first_chunk::<4>().unwrap_or((&[0; 4], &[]));
    let top = u16::from_le_bytes([*h0, *h1]);
    let low = low.iter().flat_map(|b| [b & 15, b >> 4]);
    let mut sub_scales = [0; 16];
    for (run, (pair, low)) in sub_scales.as_chunks_mut::<2>().0.iter_mut().zip(low).enumerate() {
        *pair = [(low | ((top >> (2 * run) & 3) as u8) << 4) as i8 - 32; 2];
    }
    let mut codes = [0; 256];
    for (codes, bytes) in codes.as_chunks_mut::<32>().0.iter_mut().zip(indices.as_chunks::<16>().0) {
        *codes = iq4_nl::levels(bytes);
    }
    Unpacked256 { codes, scale: bits::half(*d0, *d1), sub_scales, min: 0.0, sub_mins: [0; 16] }
}
