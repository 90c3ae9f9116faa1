//! What a call lays out for the tile unit: the codes of one strip, byte by byte, and numbers of tokens side by side.

use super::tiles::{Group, Line};
use std::cell::Cell;

/// Buffers that a thread keeps for the next call.
#[derive(Default)]
pub(super) struct Scratch {
    /// Column groups of a strip.
    pub(super) groups: Vec<Group>,
    /// Codes of 16 tokens, `[tiles of tokens][columns / W][16 tokens][W]`.
    pub(super) acts: Vec<Line<i8, 64>>,
    /// Scales of 16 tokens, `[tiles of tokens][blocks]`.
    pub(super) scales: Vec<Line<f32, 16>>,
    /// Scaled sums of 16 tokens, likewise.
    pub(super) sums: Vec<Line<f32, 16>>,
    /// Sums of 16 codes in base 128, low digits, then high: `[tiles of tokens][blocks][16 tokens][2][16]`.
    pub(super) digits: Vec<[[[i8; 16]; 2]; 16]>,
}

thread_local!(static KEPT: Cell<Scratch> = const { Cell::new(Scratch::new()) });

impl Scratch {
    const fn new() -> Self {
        Self { groups: Vec::new(), acts: Vec::new(), scales: Vec::new(), sums: Vec::new(), digits: Vec::new() }
    }

    /// This thread's buffers, with whatever is in them.
    pub(super) fn take() -> Self {
        KEPT.take()
    }

    /// Keeps them for the next call.
    pub(super) fn keep(self) {
        KEPT.set(self);
    }
}

/// Puts the codes `[n, cols]` of 16 tokens together, `W` columns at a time (32 or 64), at cache lines and in the order of
/// their use. Tokens that lack are left as they are.
pub(super) fn together<const W: usize>(codes: &[i8], cols: usize, out: &mut Vec<Line<i8, 64>>) {
    let (tile, parts) = (16 * cols / 64, cols / W);
    out.resize(codes.len().div_ceil(16 * cols.max(1)) * tile, Line([0; 64]));
    for (codes, out) in codes.chunks(16 * cols.max(1)).zip(out.chunks_exact_mut(tile.max(1))) {
        let out = Line::flat(out).as_chunks_mut::<W>().0;
        for (t, token) in codes.chunks_exact(cols).enumerate() {
            for (p, part) in token.as_chunks::<W>().0.iter().enumerate().take(parts) {
                out[16 * p + t] = *part;
            }
        }
    }
}

/// Puts the values `[n, blocks]` of tokens side by side, 16 at a time; tokens that lack are zeros.
pub(super) fn side_by_side(values: &[f32], blocks: usize, out: &mut Vec<Line<f32, 16>>) {
    out.clear();
    for tile in values.chunks(16 * blocks.max(1)) {
        let start = out.len();
        out.resize(start + blocks, Line([0.0; 16]));
        for (t, token) in tile.chunks_exact(blocks.max(1)).enumerate() {
            for (line, value) in out[start..].iter_mut().zip(token) {
                line.0[t] = *value;
            }
        }
    }
}

/// The same for sums of 16 codes `[n, blocks][16]`, of at most 2^13 each.
pub(super) fn digits(sums: &[[i16; 16]], blocks: usize, out: &mut Vec<[[[i8; 16]; 2]; 16]>) {
    out.clear();
    for tile in sums.chunks(16 * blocks.max(1)) {
        let start = out.len();
        out.resize(start + blocks, [[[0; 16]; 2]; 16]);
        for (t, token) in tile.chunks_exact(blocks.max(1)).enumerate() {
            for (block, sums) in out[start..].iter_mut().zip(token) {
                block[t] = [sums.map(|s| (s & 127) as i8), sums.map(|s| (s >> 7) as i8)];
            }
        }
    }
}
