//! Q5_0, 22 bytes: f16 d, u32 of fifth bits, 16 bytes of nibbles. `d * (q - 16)`.

use super::{Unpacked32, bits};

#[inline(always)]
pub(super) fn unpack(block: &[u8; 22]) -> Unpacked32 {
    let [d0, d1, h0, h1, h2, h3, codes @ ..] = block;
    let codes = bits::signed(&bits::nibbles_and_a_bit([*h0, *h1, *h2, *h3], codes), 16);
    Unpacked32 { codes, scale: bits::half(*d0, *d1), min: 0.0 }
}
