//! Strips times 16 tokens at a time: tiles multiply and add integers, vectors scale the sums of each block.

use super::functions;
use super::scratch::{Scratch, digits, side_by_side, together};
use super::tiles::{Group, Line, NO_SUMS, Shapes, Sums, Tiles, tile};
use super::unpack::{SCALED, plain, scaled};
use crate::scalar::output_shape;
use crate::views::{Acts32, Acts256, ActsRow, Factors, RowSums, STRIP, Strips32, Strips256, StripsRow};
use crate::x86_64::avx512::gemm_i8::{
    self as vnni, Floats, by, factors, floats, fma, fma_by, ints, plus, splat, times,
};
use std::arch::x86_64::_mm512_slli_epi32;
use std::ops::Range;

/// Tokens of a tile.
const TOKENS: usize = 16;

/// Blocks whose products are stored before vectors take them up: what is loaded right behind a tile's store waits for it.
const BATCH: usize = 4;

/// A tile not in use.
const NONE: (usize, usize) = (0, 0);

/// Tokens `16 * tile..` of `n`.
fn tokens(n: usize, tile: usize) -> usize {
    TOKENS.min(n - TOKENS * tile)
}

functions! {
    pub(super) fn gemm_b32(x: &Acts32<'_>, w: &Strips32<'_>, out: &mut [f32], ldo: usize) {
        w.check();
        let (n, blocks) = (x.count(w.cols), w.cols / 32);
        output_shape(n, w.rows, out.len(), ldo);
        let mut scratch = Scratch::take();
        together::<32>(x.codes, w.cols, &mut scratch.acts);
        side_by_side(x.scales, blocks, &mut scratch.scales);
        let minima = !w.mins.is_empty();
        if minima {
            side_by_side(x.sums, blocks, &mut scratch.sums);
        }
        let mut tiles = Shaped::new(|m| [(m, 64), (m, 32), (8, 64), NONE, NONE, NONE, NONE, NONE]);
        let mut isums = [NO_SUMS; BATCH];
        let bytes = blocks * w.coding.chunk_bytes();
        for strip in 0..w.rows.div_ceil(STRIP) {
            plain(w.coding, &w.codes[strip * bytes..][..bytes], &mut scratch.groups);
            for tile in 0..n.div_ceil(TOKENS) {
                let m = tokens(n, tile);
                tiles.tokens(m);
                let acts = &scratch.acts[tile * w.cols / 4..][..w.cols / 4];
                let part = tile * blocks..(tile + 1) * blocks;
                let (scales, at) = (&scratch.scales[part.clone()], strip * blocks * STRIP);
                let sums = if minima {
                    tile_b32::<true>(acts, &scratch.groups, scales, &scratch.sums[part], w, at, &mut isums)
                } else {
                    tile_b32::<false>(acts, &scratch.groups, scales, &[], w, at, &mut isums)
                };
                put(&sums, m, strip * STRIP, w.rows, &mut out[TOKENS * tile * ldo..], ldo);
            }
        }
        scratch.keep();
    }

    /// One strip, its factors beginning `at`, and the tokens of `acts`.
    fn tile_b32[const MINIMA: bool](
        acts: &[Line<i8, 64>], groups: &[Group], scales: &[Line<f32, 16>], scaled: &[Line<f32, 16>], w: &Strips32<'_>, at: usize,
        isums: &mut [Sums; BATCH],
    ) -> [Floats; TOKENS] {
        let mut sums = [floats(splat(0)); TOKENS];
        for first in (0..scales.len()).step_by(BATCH) {
            let batch = first..scales.len().min(first + BATCH);
            for (b, isums) in batch.clone().zip(&mut *isums) {
                let (acts, groups) = (&acts[8 * b..][..8], &groups[8 * b..][..8]);
                // SAFETY: the tiles have the shapes of `gemm_b32`: rows of 32 bytes of at most 16 tokens, 8 groups, and
                // sums of at most 16 tokens.
                unsafe {
                    tile!(zero 0);
                    tile!(load 1 from acts.as_ptr(), 32_usize);
                    tile!(load 2 from groups.as_ptr(), 64_usize);
                    tile!(dot 0 += 1 * 2);
                    tile!(store 0 to isums);
                }
            }
            for (b, isums) in batch.zip(&*isums) {
                let (dx, scale) = (&scales[b].0, factors(&w.scales, at + b * STRIP));
                for t in 0..TOKENS {
                    sums[t] = fma(by(scale, dx[t]), floats(ints(&isums[t].0)), sums[t]);
                }
                if MINIMA {
                    let (sx, min) = (&scaled[b].0, factors(&w.mins, at + b * STRIP));
                    for t in 0..TOKENS {
                        sums[t] = fma_by(min, sx[t], sums[t]);
                    }
                }
            }
        }
        sums
    }

    pub(super) fn gemm_b256(x: &Acts256<'_>, w: &Strips256<'_>, out: &mut [f32], ldo: usize) {
        w.check();
        let (n, blocks) = (x.count(w.cols), w.cols / 256);
        output_shape(n, w.rows, out.len(), ldo);
        let mut scratch = Scratch::take();
        together::<64>(x.codes, w.cols, &mut scratch.acts);
        side_by_side(x.scales, blocks, &mut scratch.scales);
        let minima = !w.mins.is_empty();
        if minima {
            digits(x.sums.as_chunks().0, blocks, &mut scratch.digits);
        }
        // Codes of 64 columns, and 16 sums with as many minima.
        let mut tiles = Shaped::new(|m| [(m, 64), (m, 64), (m, 64), (m, 64), (m, 64), (16, 64), (m, 16), (4, 64)]);
        let mut isums = [NO_SUMS; 4];
        for strip in 0..w.rows.div_ceil(STRIP) {
            scaled(w, strip, &mut scratch.groups);
            for tile in 0..n.div_ceil(TOKENS) {
                let m = tokens(n, tile);
                tiles.tokens(m);
                let acts = &scratch.acts[tile * w.cols / 4..][..w.cols / 4];
                let part = tile * blocks..(tile + 1) * blocks;
                let (scales, at) = (&scratch.scales[part.clone()], strip * blocks * STRIP);
                let sums = if minima {
                    tile_b256::<true>(acts, &scratch.groups, scales, &scratch.digits[part], w, at, &mut isums)
                } else {
                    tile_b256::<false>(acts, &scratch.groups, scales, &[], w, at, &mut isums)
                };
                put(&sums, m, strip * STRIP, w.rows, &mut out[TOKENS * tile * ldo..], ldo);
            }
        }
        scratch.keep();
    }

    /// One strip, its factors beginning `at`, and the tokens of `acts`.
    fn tile_b256[const MINIMA: bool](
        acts: &[Line<i8, 64>], groups: &[Group], scales: &[Line<f32, 16>], sums_of_16: &[[[[i8; 16]; 2]; 16]], w: &Strips256<'_>,
        at: usize, isums: &mut [Sums; 4],
    ) -> [Floats; TOKENS] {
        let mut sums = [floats(splat(0)); TOKENS];
        for (b, groups) in groups.chunks_exact(SCALED).enumerate() {
            let acts = &acts[64 * b..][..64];
            // SAFETY: the tiles have the shapes of `gemm_b256`: rows of 64 bytes of at most 16 tokens, 16 groups or 4 of
            // minima, 16 bytes of at most 16 tokens' digits, and sums of at most 16 tokens.
            unsafe {
                tile!(zero 0);
                tile!(zero 1);
                for k in 0..4 {
                    tile!(load 4 from acts[16 * k..].as_ptr(), 64_usize);
                    tile!(load 5 from groups[16 * k..].as_ptr(), 64_usize);
                    tile!(dot 0 += 4 * 5);
                    tile!(load 5 from groups[64 + 16 * k..].as_ptr(), 64_usize);
                    tile!(dot 1 += 4 * 5);
                }
                tile!(store 0 to &mut isums[0]);
                tile!(store 1 to &mut isums[1]);
                if MINIMA {
                    let digits = sums_of_16[b].as_ptr().cast::<i8>();
                    tile!(zero 2);
                    tile!(zero 3);
                    tile!(load 7 from groups[128..].as_ptr(), 64_usize);
                    tile!(load 6 from digits, 32_usize);
                    tile!(dot 2 += 6 * 7);
                    tile!(load 6 from digits.add(16), 32_usize);
                    tile!(dot 3 += 6 * 7);
                    tile!(store 2 to &mut isums[2]);
                    tile!(store 3 to &mut isums[3]);
                }
            }
            let (dx, scale) = (&scales[b].0, factors(&w.scales, at + b * STRIP));
            for t in 0..TOKENS {
                let high = _mm512_slli_epi32::<8>(ints(&isums[1][t].0));
                sums[t] = fma(by(scale, dx[t]), floats(plus(high, ints(&isums[0][t].0))), sums[t]);
            }
            if MINIMA {
                let min = factors(&w.mins, at + b * STRIP);
                for t in 0..TOKENS {
                    let high = _mm512_slli_epi32::<7>(ints(&isums[3][t].0));
                    sums[t] = fma(by(min, -dx[t]), floats(plus(high, ints(&isums[2][t].0))), sums[t]);
                }
            }
        }
        sums
    }

    pub(super) fn gemm_row(x: &ActsRow<'_>, w: &StripsRow<'_>, out: &mut [f32], ldo: usize) {
        w.check();
        let (n, chunks) = (x.count(w.cols), w.cols / 32);
        output_shape(n, w.rows, out.len(), ldo);
        let mut scratch = Scratch::take();
        // Codes of 64 columns, and of 32 where a group has an odd number of chunks.
        let mut tiles = Shaped::new(|m| [(m, 64), (m, 64), (16, 64), (m, 32), (8, 64), NONE, NONE, NONE]);
        let mut isums = [NO_SUMS; BATCH];
        let bytes = chunks * w.coding.chunk_bytes();
        for strip in 0..w.rows.div_ceil(STRIP) {
            plain(w.coding, &w.codes[strip * bytes..][..bytes], &mut scratch.groups);
            for tile in 0..n.div_ceil(TOKENS) {
                let (first, m) = (TOKENS * tile, tokens(n, tile));
                tiles.tokens(m);
                let (mut scales, mut zeros) = ([0.0; TOKENS], [0; TOKENS]);
                scales[..m].copy_from_slice(&x.scales[first..][..m]);
                zeros[..m].copy_from_slice(&x.zeros[first..][..m]);
                let acts = &x.codes[first * w.cols..][..m * w.cols];
                let sums = tile_row(acts, &scratch.groups, (&scales, &zeros), w, strip, &mut isums);
                put(&sums, m, strip * STRIP, w.rows, &mut out[first * ldo..], ldo);
            }
        }
        scratch.keep();
    }

    /// One strip and the tokens of `acts`, with their scales and zeros.
    fn tile_row(
        acts: &[i8], groups: &[Group], (scales, zeros): (&[f32; TOKENS], &[i32; TOKENS]), w: &StripsRow<'_>, strip: usize,
        isums: &mut [Sums; BATCH],
    ) -> [Floats; TOKENS] {
        let at = strip * STRIP;
        let mut sums = [floats(splat(0)); TOKENS];
        match w.sums {
            RowSums::Codes(of_codes) => {
                chunks_row(acts, groups, w.cols, 0..w.cols / 32, &mut isums[0]);
                let of_codes = ints(of_codes[at..].as_chunks().0.first().map_or(&[0; 16], |s| s));
                let scale = factors(&w.scales, at);
                let offset = if w.bias.is_empty() { floats(splat(0)) } else { factors(&w.bias, at) };
                for t in 0..TOKENS {
                    let isum = plus(ints(&isums[0][t].0), times(of_codes, splat(-zeros[t])));
                    sums[t] = fma(by(floats(isum), scales[t]), scale, offset);
                }
            }
            RowSums::Scaled(scaled) => {
                let (per, scaled) = (w.group / 32, factors(&Factors::F32(scaled), at));
                let groups_of_row = w.cols / w.group;
                for t in 0..TOKENS {
                    sums[t] = by(scaled, -zeros[t] as f32);
                }
                for first in (0..groups_of_row).step_by(BATCH) {
                    let batch = first..groups_of_row.min(first + BATCH);
                    for (g, isums) in batch.clone().zip(&mut *isums) {
                        chunks_row(acts, groups, w.cols, g * per..(g + 1) * per, isums);
                    }
                    for (g, isums) in batch.zip(&*isums) {
                        let scale = factors(&w.scales, (strip * groups_of_row + g) * STRIP);
                        for (sum, isums) in sums.iter_mut().zip(isums) {
                            *sum = fma(scale, floats(ints(&isums.0)), *sum);
                        }
                    }
                }
                for t in 0..TOKENS {
                    sums[t] = by(sums[t], scales[t]);
                    if !w.bias.is_empty() {
                        sums[t] = fma_by(factors(&w.bias, at), 1.0, sums[t]);
                    }
                }
            }
        }
        sums
    }

    /// The products of some chunks.
    fn chunks_row(acts: &[i8], groups: &[Group], cols: usize, chunks: Range<usize>, isums: &mut Sums) {
        // SAFETY: the tiles have the shapes of `gemm_row`: as many rows of 64 or 32 bytes as there are tokens, the last of
        // them so many bytes from the end of `acts` at most; 16 or 8 groups; and sums of at most 16 tokens.
        unsafe {
            tile!(zero 0);
            for c in chunks.clone().step_by(2) {
                let (acts, groups) = (acts[32 * c..].as_ptr(), groups[8 * c..].as_ptr());
                if c + 1 < chunks.end {
                    tile!(load 1 from acts, cols);
                    tile!(load 2 from groups, 64_usize);
                    tile!(dot 0 += 1 * 2);
                } else {
                    tile!(load 3 from acts, cols);
                    tile!(load 4 from groups, 64_usize);
                    tile!(dot 0 += 3 * 4);
                }
            }
            tile!(store 0 to isums);
        }
    }

    /// Stores the sums of the first `m` tokens for the rows from `row` on that there are.
    #[inline]
    fn put(sums: &[Floats; TOKENS], m: usize, row: usize, rows: usize, out: &mut [f32], ldo: usize) {
        let len = STRIP.min(rows - row);
        for (t, sums) in sums.iter().enumerate().take(m) {
            let mut lanes = [0.0; STRIP];
            vnni::put(&mut lanes, *sums);
            out[t * ldo + row..][..len].copy_from_slice(&lanes[..len]);
        }
    }
}

/// Tiles whose shapes depend on the number of tokens.
struct Shaped<F> {
    tiles: Tiles,
    shapes: F,
    tokens: usize,
}

impl<F: Fn(usize) -> Shapes> Shaped<F> {
    fn new(shapes: F) -> Self {
        // SAFETY: code of this rung runs only on machines with tiles.
        Self { tiles: unsafe { Tiles::new(&shapes(TOKENS)) }, shapes, tokens: TOKENS }
    }

    fn tokens(&mut self, tokens: usize) {
        if tokens != self.tokens {
            // SAFETY: as above.
            unsafe { self.tiles.shape(&(self.shapes)(tokens)) };
            self.tokens = tokens;
        }
    }
}
