//! Q8_0, 34 bytes: f16 d, i8 q[32]. `d * q`.

use super::{Block32, bits};

pub(super) fn unpack(block: &[u8; 34]) -> Block32 {
    let [d0, d1, codes @ ..] = block;
    Block32 { codes: codes.map(|q| q as i8), scale: bits::half(*d0, *d1), min: 0.0 }
}
