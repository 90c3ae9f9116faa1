//! IQ4_NL, 18 bytes: f16 d, 16 bytes of nibbles that index a table. `d * table[q]`.

use super::{Block32, bits};

/// The levels: denser around zero, asymmetric.
pub(super) static TABLE: [i8; 16] = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

/// 16 bytes of table indices, shared with IQ4_XS.
pub(super) fn levels(bytes: &[u8; 16]) -> [i8; 32] {
    bits::nibbles(bytes).map(|q| TABLE.get(usize::from(q)).copied().unwrap_or_default())
}

pub(super) fn unpack(block: &[u8; 18]) -> Block32 {
    let [d0, d1, codes @ ..] = block;
    Block32 { codes: levels(codes), scale: bits::half(*d0, *d1), min: 0.0 }
}
