//! Q4_1, 20 bytes: f16 d, f16 m, 16 bytes of nibbles. `d * q + m`.

use super::{Block32, bits};

pub(super) fn unpack(block: &[u8; 20]) -> Block32 {
    let [d0, d1, m0, m1, codes @ ..] = block;
    let codes = bits::nibbles(codes).map(|q| q as i8);
    Block32 { codes, scale: bits::half(*d0, *d1), min: bits::half(*m0, *m1) }
}
