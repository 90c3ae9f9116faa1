//! Q6_K, 210 bytes: 128 bytes of low nibbles, 64 bytes of top 2 bits, i8 scale[16], f16 d.
//! For element `128h + 32g + l` the nibble lies in byte `64h + 32(g % 2) + l`, low for g < 2 and high after; the
//! top bits are bits `2g` of byte `32h + l`. `d * scale * (q - 32)` by sub-blocks of 16.

use super::{Unpacked256, bits};

#[inline(always)]
pub(super) fn unpack(block: &[u8; 210]) -> Unpacked256 {
    let [packed @ .., d0, d1] = block;
    let (nibbles, rest) = packed.split_first_chunk::<128>().unwrap_or((&[0; 128], &[]));
    let (tops, scales) = rest.split_first_chunk::<64>().unwrap_or((&[0; 64], &[]));
    let mut codes = [0; 256];
    let halves = nibbles.chunks_exact(64).zip(tops.chunks_exact(32));
    for (codes, (nibbles, tops)) in codes.chunks_exact_mut(128).zip(halves) {
        let runs = nibbles.chunks_exact(32).map(|run| (run, 0)).chain(nibbles.chunks_exact(32).map(|run| (run, 4)));
        for (g, (codes, (run, shift))) in codes.chunks_exact_mut(32).zip(runs).enumerate() {
            for (code, (nibble, top)) in codes.iter_mut().zip(run.iter().zip(tops)) {
                let q = nibble >> shift & 15 | (top >> (2 * g) & 3) << 4;
                *code = q as i8 - 32;
            }
        }
    }
    let mut sub_scales = [0; 16];
    sub_scales.iter_mut().zip(scales).for_each(|(to, from)| *to = *from as i8);
    Unpacked256 { codes, scale: bits::half(*d0, *d1), sub_scales, min: 0.0, sub_mins: [0; 16] }
}
