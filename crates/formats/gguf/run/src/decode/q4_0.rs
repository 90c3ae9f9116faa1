//! Q4_0, 18 bytes: f16 d, 16 bytes of nibbles. `d * (q - 8)`.

use super::{Block32, bits};

pub(super) fn unpack(block: &[u8; 18]) -> Block32 {
    let [d0, d1, codes @ ..] = block;
    Block32 { codes: bits::nibbles(codes).map(|q| q as i8 - 8), scale: bits::half(*d0, *d1), min: 0.0 }
}
