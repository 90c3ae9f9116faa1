//! IQ4_NL, 18 bytes: f16 d, 16 bytes of nibbles that index a table. `d * table[q]`.

use super::{Unpacked32, bits};

/// The levels: denser around zero, asymmetric.
pub(super) static TABLE: [i8; 16] = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

/// 16 bytes of table indices, shared with IQ4_XS.
#[inline(always)]
pub(super) fn levels(bytes: &[u8; 16]) -> [i8; 32] {
    bits::looked_up(&TABLE, &bits::nibbles(bytes))
}

#[inline(always)]
pub(super) fn unpack(block: &[u8; 18]) -> Unpacked32 {
    let [d0, d1, codes @ ..] = block;
    Unpacked32 { codes: levels(codes), scale: bits::half(*d0, *d1), min: 0.0 }
}
