//! TQ2_0, 66 bytes: 64 bytes of 2-bit codes (as Q2_K), f16 d. `d * (q - 1)`.

use super::{Unpacked256, bits, q2_k};

#[inline(always)]
pub(super) fn unpack(block: &[u8; 66]) -> Unpacked256 {
    let [packed @ .., d0, d1] = block;
    let codes = bits::signed(&q2_k::two_bits(packed), 1);
    Unpacked256 { codes, scale: bits::half(*d0, *d1), sub_scales: [1; 16], min: 0.0, sub_mins: [0; 16] }
}
