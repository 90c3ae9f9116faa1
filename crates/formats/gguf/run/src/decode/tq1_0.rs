//! TQ1_0, 54 bytes: 48 + 4 bytes of base-3 digits, f16 d. Five digits a byte at stride 32 for the first 160
//! weights, five at stride 16 for the next 80, four at stride 4 for the last 16. `d * (digit - 1)`.

use super::{Unpacked256, bits};

/// A byte is a fraction of 256 rounded up: multiplied by 3^n, then by 3 without the carry cut, it shows digit n.
#[inline(always)]
fn digit(byte: u8, n: u32) -> i8 {
    let shifted = byte.wrapping_mul(3u8.pow(n));
    ((u16::from(shifted) * 3) >> 8) as i8 - 1
}

#[inline(always)]
pub(super) fn unpack(block: &[u8; 54]) -> Unpacked256 {
    let [packed @ .., d0, d1] = block;
    let (first, rest) = packed.split_first_chunk::<32>().unwrap_or((&[0; 32], &[]));
    let (second, last) = rest.split_first_chunk::<16>().unwrap_or((&[0; 16], &[]));
    let run = |bytes: &'_ [u8], digits: u32| -> Vec<i8> {
        (0..digits).flat_map(|n| bytes.iter().map(move |b| digit(*b, n))).collect()
    };
    let mut codes = [0; 256];
    let all = run(first, 5).into_iter().chain(run(second, 5)).chain(run(last, 4));
    codes.iter_mut().zip(all).for_each(|(to, from)| *to = from);
    Unpacked256 { codes, scale: bits::half(*d0, *d1), sub_scales: [1; 16], min: 0.0, sub_mins: [0; 16] }
}
