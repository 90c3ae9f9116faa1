//! Q4_1, 20 bytes: f16 d, f16 m, 16 bytes of nibbles. `d * q + m`.

use super::{Unpacked32, bits};

#[inline(always)]
pub(super) fn unpack(block: &[u8; 20]) -> Unpacked32 {
    let [d0, d1, m0, m1, codes @ ..] = block;
    let codes = bits::signed(&bits::nibbles(codes), 0);
    Unpacked32 { codes, scale: bits::half(*d0, *d1), min: bits::half(*m0, *m1) }
}
