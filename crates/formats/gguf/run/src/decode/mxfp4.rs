//! MXFP4, 17 bytes: u8 exponent e, 16 bytes of nibbles that are e2m1 floats. The table holds them doubled, so the
//! scale is `2^(e - 128)`; the two smallest exponents give subnormal scales.

use super::{Unpacked32, bits};

/// Twice the values of e2m1.
pub(super) static LEVELS: [i8; 16] = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12];

#[inline(always)]
fn half_power(e: u8) -> f32 {
    match e {
        0 | 1 => f32::from_bits(0x0020_0000 << e),
        _ => f32::from_bits(u32::from(e - 1) << 23),
    }
}

#[inline(always)]
pub(super) fn unpack(block: &[u8; 17]) -> Unpacked32 {
    let [e, codes @ ..] = block;
    let codes = bits::looked_up(&LEVELS, &bits::nibbles(codes));
    Unpacked32 { codes, scale: half_power(*e), min: 0.0 }
}
