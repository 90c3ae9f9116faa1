//! Q4_0, 18 bytes: f16 d, 16 bytes of nibbles. `d * (q - 8)`.

use super::{Unpacked32, bits};

#[inline(always)]
pub(super) fn unpack(block: &[u8; 18]) -> Unpacked32 {
    let [d0, d1, codes @ ..] = block;
    Unpacked32 { codes: bits::signed(&bits::nibbles(codes), 8), scale: bits::half(*d0, *d1), min: 0.0 }
}
