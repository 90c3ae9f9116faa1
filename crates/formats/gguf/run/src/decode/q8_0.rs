//! Q8_0, 34 bytes: f16 d, i8 q[32]. `d * q`.

use super::{Unpacked32, bits};

#[inline(always)]
pub(super) fn unpack(block: &[u8; 34]) -> Unpacked32 {
    let [d0, d1, codes @ ..] = block;
    Unpacked32 { codes: bits::signed(codes, 0), scale: bits::half(*d0, *d1), min: 0.0 }
}
