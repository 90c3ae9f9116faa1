//! The products of one token in f32 with rows of strips, from the codes: what widening the rows and then multiplying gives,
//! bit for bit, without writing them out. The oracle of what `single_products` makes for each rung.

use crate::bodies::LANES;
use crate::pack::{Groups, unpack_chunk};
use crate::views::{Factors, STRIP, Strips32, Strips256};

pub(crate) fn single_b32(x: &[f32], w: &Strips32<'_>, out: &mut [f32]) {
    w.check();
    assert!(x.len() == w.cols && out.len() == w.rows, "one token");
    let bytes = w.coding.chunk_bytes();
    for (strip, out) in out.chunks_mut(STRIP).enumerate() {
        let mut lanes = [[0.0; STRIP]; LANES];
        for (c, x) in x.as_chunks::<32>().0.iter().enumerate() {
            let at = strip * (w.cols / 32) + c;
            let codes = unpack_chunk(w.coding, &w.codes[at * bytes..][..bytes]);
            let scales = factors(&w.scales, at);
            if w.mins.is_empty() {
                add::<0, 8>(&mut lanes, x, &codes, |r, q| scales[r] * q);
            } else {
                let mins = factors(&w.mins, at);
                add::<0, 8>(&mut lanes, x, &codes, |r, q| scales[r] * q + mins[r]);
            }
        }
        out.copy_from_slice(&folded(lanes)[..out.len()]);
    }
}

pub(crate) fn single_b256(x: &[f32], w: &Strips256<'_>, out: &mut [f32]) {
    w.check();
    assert!(x.len() == w.cols && out.len() == w.rows, "one token");
    let (bytes, per_chunk) = (w.coding.chunk_bytes(), w.subs / 8);
    for (strip, out) in out.chunks_mut(STRIP).enumerate() {
        let mut lanes = [[0.0; STRIP]; LANES];
        for (c, x) in x.as_chunks::<32>().0.iter().enumerate() {
            let at = strip * (w.cols / 32) + c;
            let codes = unpack_chunk(w.coding, &w.codes[at * bytes..][..bytes]);
            let scales = factors(&w.scales, at / 8);
            let steps = |s: usize| by_sub(&scales, &w.sub_scales[(at * per_chunk + s) * STRIP..][..STRIP]);
            if w.mins.is_empty() {
                let (first, last) = (steps(0), steps(per_chunk - 1));
                add::<0, 4>(&mut lanes, x, &codes, |r, q| first[r] * q);
                add::<4, 8>(&mut lanes, x, &codes, |r, q| last[r] * q);
            } else {
                let mins = factors(&w.mins, at / 8);
                let lows = |s: usize| by_sub(&mins, &w.sub_mins[(at * per_chunk + s) * STRIP..][..STRIP]);
                let (first, low) = (steps(0), lows(0));
                add::<0, 4>(&mut lanes, x, &codes, |r, q| first[r] * q - low[r]);
                let (last, low) = (steps(per_chunk - 1), lows(per_chunk - 1));
                add::<4, 8>(&mut lanes, x, &codes, |r, q| last[r] * q - low[r]);
            }
        }
        out.copy_from_slice(&folded(lanes)[..out.len()]);
    }
}

/// A number for each row of a strip.
type Rows = [f32; STRIP];

#[inline(always)]
fn factors(all: &Factors<'_>, at: usize) -> Rows {
    let mut rows = [0.0; STRIP];
    for (r, row) in rows.iter_mut().enumerate() {
        *row = all.at(at * STRIP + r);
    }
    rows
}

#[inline(always)]
fn by_sub<S: Copy + Into<f32>>(factors: &Rows, subs: &[S]) -> Rows {
    let mut rows = *factors;
    for (row, sub) in rows.iter_mut().zip(subs) {
        *row *= (*sub).into();
    }
    rows
}

/// Adds the products of groups `FROM..TO` of a chunk, `weight(row, code)` each, to the lanes of their columns.
#[inline(always)]
fn add<const FROM: usize, const TO: usize>(
    lanes: &mut [Rows; LANES],
    x: &[f32; 32],
    codes: &Groups,
    weight: impl Fn(usize, f32) -> f32,
) {
    for g in FROM..TO {
        for b in 0..4 {
            let (x, lane) = (x[4 * g + b], &mut lanes[(4 * g + b) % LANES]);
            for r in 0..STRIP {
                // The fours of a row are read as one word: what the machine can load for 16 rows at once.
                let four = i32::from_le_bytes(codes[g][r].map(|q| q as u8));
                let code = four << (24 - 8 * b) >> 24;
                lane[r] = x.mul_add(weight(r, code as f32), lane[r]);
            }
        }
    }
}

/// The lanes of each row folded in halves.
#[inline(always)]
fn folded(mut lanes: [Rows; LANES]) -> Rows {
    let mut half = LANES / 2;
    while half > 0 {
        let (low, high) = lanes.split_at_mut(half);
        for (low, high) in low.as_flattened_mut().iter_mut().zip(high.as_flattened()) {
            *low += high;
        }
        half /= 2;
    }
    lanes[0]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Coding, Kernels};

    const TABLE: [i8; 16] = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];
    const CODINGS: [Coding; 5] = [
        Coding::Byte,
        Coding::Four { offset: 8 },
        Coding::Five { offset: 0 },
        Coding::Six { offset: 32 },
        Coding::Table(&TABLE),
    ];

    /// Any bits.
    fn bytes(n: usize, seed: usize) -> Vec<u8> {
        (0..n).map(|i| ((i * 2_654_435_761 + seed * 40_503) >> 7) as u8).collect()
    }

    fn floats(n: usize, seed: usize) -> Vec<f32> {
        bytes(n, seed)
            .iter()
            .enumerate()
            .map(|(i, b)| (f32::from(*b) - 127.0) * 0.37 * 1e-3f32.powi(i as i32 % 2))
            .collect()
    }

    /// Row by row: widened, then multiplied.
    fn check(kernels: &Kernels, cols: usize, single: &[f32], x: &[f32], wide: &[f32], what: &str) {
        for (j, (found, row)) in single.iter().zip(wide.chunks_exact(cols)).enumerate() {
            let expected = (kernels.dot_f32)(x, row);
            assert_eq!(found.to_bits(), expected.to_bits(), "{}: {what}, row {j}", kernels.name);
        }
    }

    #[test]
    fn the_bits_of_widening_and_multiplying() {
        let (rows, cols) = (37_usize, 768);
        let strips = rows.div_ceil(STRIP);
        let x = floats(cols, 1);
        for kernels in Kernels::available() {
            for coding in CODINGS {
                for minima in [false, true] {
                    let what = format!("{coding:?}, minima {minima}");
                    let codes = bytes(strips * cols / 32 * coding.chunk_bytes(), 2);
                    let (scales, mins) = (floats(strips * cols / 2, 3), floats(strips * cols / 2, 4));
                    let mins = |n: usize| if minima { Factors::F32(&mins[..n]) } else { Factors::NONE };
                    let (mut out, mut wide) = (vec![0.0; rows], vec![0.0; rows * cols]);

                    let n = strips * STRIP * cols / 32;
                    let w = Strips32 {
                        rows,
                        cols,
                        coding,
                        codes: &codes,
                        scales: Factors::F32(&scales[..n]),
                        mins: mins(n),
                    };
                    (kernels.single_b32)(&x, &w, &mut out);
                    (kernels.widen_b32)(&w, 0..rows, &mut wide);
                    check(kernels, cols, &out, &x, &wide, &what);

                    for subs in [8, 16] {
                        let n = strips * STRIP * cols / 256;
                        let sub_scales: Vec<i8> = bytes(n * subs, 5).iter().map(|b| *b as i8).collect();
                        let sub_mins: Vec<u8> =
                            bytes(if minima { n * subs } else { 0 }, 6).iter().map(|b| b & 127).collect();
                        let (scales, mins) = (Factors::F32(&scales[..n]), mins(n));
                        let (codes, sub_scales, sub_mins) = (&codes[..], &sub_scales[..], &sub_mins[..]);
                        let w = Strips256 { rows, cols, coding, subs, codes, scales, sub_scales, mins, sub_mins };
                        (kernels.single_b256)(&x, &w, &mut out);
                        (kernels.widen_b256)(&w, 0..rows, &mut wide);
                        check(kernels, cols, &out, &x, &wide, &format!("{what}, {subs} sub-blocks"));
                    }
                }
            }
        }
    }
}
