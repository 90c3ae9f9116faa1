//! Q5_1, 24 bytes: f16 d, f16 m, u32 of fifth bits, 16 bytes of nibbles. `d * q + m`.

use super::{Unpacked32, bits};

#[inline(always)]
pub(super) fn unpack(block: &[u8; 24]) -> Unpacked32 {
    let [d0, d1, m0, m1, h0, h1, h2, h3, codes @ ..] = block;
    let codes = bits::signed(&bits::nibbles_and_a_bit([*h0, *h1, *h2, *h3], codes), 0);
    Unpacked32 { codes, scale: bits::half(*d0, *d1), min: bits::half(*m0, *m1) }
}
