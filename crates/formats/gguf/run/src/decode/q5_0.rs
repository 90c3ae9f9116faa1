//! Q5_0, 22 bytes: f16 d, u32 of fifth bits, 16 bytes of nibbles. `d * (q - 16)`.

use super::{Block32, bits};

pub(super) fn unpack(block: &[u8; 22]) -> Block32 {
    let [d0, d1, h0, h1, h2, h3, codes @ ..] = block;
    let codes = bits::nibbles_and_a_bit([*h0, *h1, *h2, *h3], codes).map(|q| q as i8 - 16);
    Block32 { codes, scale: bits::half(*d0, *d1), min: 0.0 }
}
