//! MXFP4, 17 bytes: u8 exponent e, 16 bytes of nibbles that are e2m1 floats. The table holds them doubled, so the
//! scale is `2^(e - 128)`; the two smallest exponents give subnormal scales.

use super::{Block32, bits};

/// Twice the values of e2m1.
pub(super) static LEVELS: [i8; 16] = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12];

fn half_power(e: u8) -> f32 {
    match e {
        0 | 1 => f32::from_bits(0x0020_0000 << e),
        _ => f32::from_bits(u32::from(e - 1) << 23),
    }
}

pub(super) fn unpack(block: &[u8; 17]) -> Block32 {
    let [e, codes @ ..] = block;
    let codes = bits::nibbles(codes).map(|q| LEVELS.get(usize::from(q)).copied().unwrap_or_default());
    Block32 { codes, scale: half_power(*e), min: 0.0 }
}
