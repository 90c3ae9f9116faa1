//! What the super-block layouts share: 256 weights a block, chosen straight into the layout's bytes.

use super::{check, expect, iq4_xs, q2_k, q3_k, q4_k, q5_k, q6_k, tq1_0, tq2_0};
use crate::QuantError;
use crate::lanes::{LANES, Lanes, each, side_by_side};
use crate::number::{nearest_within, small};
use crate::search::positive;
use lfmq_core::{Layout, Payload, QuantizedRows, SchemeId};
use lfmq_kernels::multiversion;

/// Weights in a block.
pub(super) const BLOCK: usize = 256;

/// The weights of one block.
pub(super) type Weights = [f32; BLOCK];

/// Runs `choose` over the blocks of `x`; its error is a scale that a binary16 cannot hold.
pub(super) fn quantize(
    scheme: SchemeId,
    layout: Layout,
    x: &[f32],
    cols: usize,
    importance: Option<&[f32]>,
    out: &mut QuantizedRows,
    choose: impl Fn(&Weights, Option<&Weights>, &mut [u8]) -> Result<(), f32>,
) -> Result<(), QuantError> {
    let bytes = prepare(scheme, layout, x, cols, importance, out)?;
    let size = layout.block_bytes();
    let weights = importance.map(|w| w.as_chunks::<BLOCK>().0);
    for (i, (x, block)) in x.as_chunks::<BLOCK>().0.iter().zip(bytes.chunks_exact_mut(size)).enumerate() {
        let in_row = i % (cols / BLOCK);
        choose(x, weights.map(|w| &w[in_row]), block).map_err(|value| {
            let (row, col) = (i / (cols / BLOCK), in_row * BLOCK);
            QuantError::Scale { scheme: scheme.0, row, col, value }
        })?;
    }
    Ok(())
}

/// Checks the input and gives the bytes to fill, all zero.
fn prepare<'a>(
    scheme: SchemeId,
    layout: Layout,
    x: &[f32],
    cols: usize,
    importance: Option<&[f32]>,
    out: &'a mut QuantizedRows,
) -> Result<&'a mut [u8], QuantError> {
    check(scheme, BLOCK, x, cols, importance)?;
    (out.rows, out.cols) = (x.len() / cols, cols);
    if !matches!(out.payload, Payload::Blocks(_)) {
        out.payload = Payload::Blocks(Vec::new());
    }
    let Payload::Blocks(bytes) = &mut out.payload else { return Ok(&mut []) };
    bytes.clear();
    bytes.resize(x.len() / BLOCK * layout.block_bytes(), 0);
    Ok(bytes)
}

/// The values of `bytes`.
pub(super) fn decode(layout: Layout, bytes: &[u8], out: &mut [f32]) -> Result<(), QuantError> {
    let one: fn(&[u8], &mut Weights) = match layout {
        Layout::Q2_K => q2_k::decode,
        Layout::Q3_K => q3_k::decode,
        Layout::Q4_K => q4_k::decode,
        Layout::Q5_K => q5_k::decode,
        Layout::Q6_K => q6_k::decode,
        Layout::IQ4_XS => iq4_xs::decode,
        Layout::TQ1_0 => tq1_0::decode,
        Layout::TQ2_0 => tq2_0::decode,
    };
    let size = layout.block_bytes();
    expect("the output", out.len().next_multiple_of(BLOCK), out.len())?;
    expect("the blocks", out.len() / BLOCK * size, bytes.len())?;
    for (block, out) in bytes.chunks_exact(size).zip(out.as_chunks_mut::<BLOCK>().0) {
        one(block, out);
    }
    Ok(())
}

/// Blocks whose scales and offsets are fitted together: one lane each.
const TOGETHER: usize = LANES / 2;

/// As [`quantize`], for layouts that search over `S` sub-blocks of `G` weights, 16 of them side by side: `search` looks at
/// those of one or two blocks, then `choose` fills one block after the other. With `fit`, scales and offsets get codes
/// `0..=fit` in between.
#[allow(clippy::too_many_arguments, reason = "those of a scheme, and its steps")]
pub(super) fn search<const S: usize, const G: usize>(
    scheme: SchemeId,
    layout: Layout,
    x: &[f32],
    cols: usize,
    importance: Option<&[f32]>,
    out: &mut QuantizedRows,
    fit: Option<i32>,
    search: impl Fn(&Side<G>, &mut [[u8; LANES]; G]) -> Wanted,
    choose: impl Fn(&Weights, &Found<'_, S, G>, &mut [u8]) -> Result<(), f32>,
) -> Result<(), QuantError> {
    const { assert!(S * G == BLOCK && LANES.is_multiple_of(S)) };
    let bytes = prepare(scheme, layout, x, cols, importance, out)?;
    let (size, per_row) = (layout.block_bytes(), cols / BLOCK);
    let weights = importance.map(|w| w.as_chunks::<BLOCK>().0);
    let mut laid = [[[0; LANES]; G]; TOGETHER];
    for (part, (x, bytes)) in x.chunks(TOGETHER * BLOCK).zip(bytes.chunks_mut(TOGETHER * size)).enumerate() {
        let first = part * TOGETHER;
        let mut wanted = [Wanted::default(); TOGETHER];
        for (pass, (x, (wanted, laid))) in x.chunks(LANES * G).zip(wanted.iter_mut().zip(&mut laid)).enumerate() {
            let at = first + pass * LANES / S;
            let weights = weights.map(|w| [w[at % per_row], w[(at + 1) % per_row]]);
            let energies = if weights.is_some() { energies(x.as_chunks().0) } else { [0.0; 2] };
            let side = Side {
                x: side_by_side(x),
                importance: weights.map(|w| side_by_side(w.as_flattened())),
                energy: each(|k| energies[k / S]),
            };
            *wanted = search(&side, laid);
        }
        let steps = fit.map(|n| fitted(n, &wanted));
        for (b, (x, block)) in x.as_chunks::<BLOCK>().0.iter().zip(bytes.chunks_exact_mut(size)).enumerate() {
            let steps = steps.as_ref().and_then(|steps| steps.get(b));
            let found = Found { wanted: &wanted, laid: &laid, first: b * S, steps };
            choose(x, &found, block).map_err(|value| {
                let at = first + b;
                QuantError::Scale { scheme: scheme.0, row: at / per_row, col: at % per_row * BLOCK, value }
            })?;
        }
    }
    Ok(())
}

/// The steps of a block with the codes of its scales and offsets.
#[derive(Clone, Copy)]
pub(super) struct Steps<const S: usize> {
    pub(super) d: f32,
    pub(super) scales: [u8; S],
    pub(super) dmin: f32,
    pub(super) offsets: [u8; S],
}

/// The steps of each block that suit what its sub-blocks want, weighted as those are; codes are `0..=n`.
fn fitted<const S: usize>(n: i32, wanted: &[Wanted; TOGETHER]) -> [Steps<S>; TOGETHER] {
    // Scales of all blocks, then offsets.
    let lanes = |s: usize, of: fn(&Wanted) -> [&Lanes; 2]| {
        each(|k| {
            let at = k % TOGETHER * S + s;
            of(&wanted[at / LANES])[k / TOGETHER][at % LANES]
        })
    };
    let values = std::array::from_fn(|s| lanes(s, |w| [&w.scales, &w.offsets]));
    let weights = std::array::from_fn(|s| lanes(s, |w| [&w.weights, &w.weights]));
    let mut codes = [[0; LANES]; S];
    let steps = positive(n, &values, &weights, &mut codes);
    std::array::from_fn(|b| Steps {
        d: steps[b],
        scales: codes.map(|lanes| lanes[b]),
        dmin: steps[TOGETHER + b],
        offsets: codes.map(|lanes| lanes[TOGETHER + b]),
    })
}

/// Sums of squares of two blocks, each in order.
fn energies(blocks: &[Weights]) -> [f32; 2] {
    let last = blocks.last().unwrap_or(&[0.0; BLOCK]);
    let mut sums = [0.0; 2];
    for (a, b) in blocks.first().unwrap_or(last).iter().zip(last) {
        sums[0] += a * a;
        sums[1] += b * b;
    }
    sums
}

/// 16 sub-blocks side by side.
pub(super) struct Side<const G: usize> {
    pub(super) x: [Lanes; G],
    pub(super) importance: Option<[Lanes; G]>,
    /// The sum of squares of the block that each is part of; only where there is importance.
    pub(super) energy: Lanes,
}

/// What 16 sub-blocks want: scales, offsets, and the sum of their search weights.
#[derive(Clone, Copy, Default)]
pub(super) struct Wanted {
    pub(super) scales: Lanes,
    pub(super) offsets: Lanes,
    pub(super) weights: Lanes,
}

/// What the sub-blocks of one block want.
pub(super) struct Found<'a, const S: usize, const G: usize> {
    wanted: &'a [Wanted; TOGETHER],
    laid: &'a [[[u8; LANES]; G]; TOGETHER],
    first: usize,
    /// Those that were asked for with `fit`.
    pub(super) steps: Option<&'a Steps<S>>,
}

impl<const S: usize, const G: usize> Found<'_, S, G> {
    fn each<T>(&self, f: impl Fn(usize, usize) -> T) -> [T; S] {
        std::array::from_fn(|s| f((self.first + s) / LANES, (self.first + s) % LANES))
    }

    pub(super) fn scales(&self) -> [f32; S] {
        self.each(|pass, lane| self.wanted[pass].scales[lane])
    }

    pub(super) fn offsets(&self) -> [f32; S] {
        self.each(|pass, lane| self.wanted[pass].offsets[lane])
    }

    /// Sums of the search weights.
    pub(super) fn weights(&self) -> [f32; S] {
        self.each(|pass, lane| self.wanted[pass].weights[lane])
    }

    /// Codes anew, now that the steps and offsets of sub-blocks are what the block stores; a step of zero leaves the
    /// search's codes. `low` is the smallest code, stored as 0.
    pub(super) fn lay(&self, x: &Weights, steps: &[f32; S], offsets: &[f32; S], low: f32, high: f32) -> [u8; BLOCK] {
        let mut codes = lay_again(x, steps, offsets, low, high);
        for ((group, step), codes) in (self.first..).zip(steps).zip(codes.as_chunks_mut::<G>().0) {
            if *step == 0.0 {
                *codes = std::array::from_fn(|i| self.laid[group / LANES][i][group % LANES]);
            }
        }
        codes
    }
}

multiversion! {
    fn lay_again['a, const S: usize](
        x: &'a Weights,
        steps: &'a [f32; S],
        offsets: &'a [f32; S],
        low: f32,
        high: f32,
    ) -> [u8; BLOCK] {
        let mut codes = [0; BLOCK];
        for s in 0..S {
            let here = s * (BLOCK / S)..(s + 1) * (BLOCK / S);
            for (code, x) in codes[here.clone()].iter_mut().zip(&x[here]) {
                *code = small(nearest_within((x + offsets[s]) / steps[s], low, high) - low);
            }
        }
        codes
    }
}
