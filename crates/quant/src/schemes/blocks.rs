//! What the super-block layouts share: 256 weights a block, chosen straight into the layout's bytes.

use super::{check, expect, iq4_xs, q2_k, q3_k, q4_k, q5_k, q6_k, tq1_0, tq2_0};
use crate::QuantError;
use crate::lanes::{LANES, Lanes, map2, side_by_side, sum};
use lfmq_core::{Layout, Payload, QuantizedRows, SchemeId};

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
    check(scheme, BLOCK, x, cols, importance)?;
    let size = layout.block_bytes();
    (out.rows, out.cols) = (x.len() / cols, cols);
    if !matches!(out.payload, Payload::Blocks(_)) {
        out.payload = Payload::Blocks(Vec::new());
    }
    let Payload::Blocks(bytes) = &mut out.payload else { return Ok(()) };
    bytes.clear();
    bytes.resize(x.len() / BLOCK * size, 0);
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

/// Sum of squares of a block, in order.
pub(super) fn energy(x: &Weights) -> f32 {
    x.iter().fold(0.0, |sum, x| sum + x * x)
}

/// Runs `search` over the `S` sub-blocks of `G` weights, eight at a time. It gets the weights and their search
/// weights side by side and returns scale and offset of each; the sum of each sub-block's search weights is noted.
pub(super) fn sub_blocks<const S: usize, const G: usize>(
    x: &Weights,
    importance: Option<&Weights>,
    codes: &mut [u8; BLOCK],
    weigh: impl Fn(&[Lanes; G], Option<&[Lanes; G]>) -> [Lanes; G],
    search: impl Fn(&[Lanes; G], &[Lanes; G], &mut [[u8; LANES]; G]) -> (Lanes, Lanes),
) -> Found<S> {
    const { assert!(S * G == BLOCK && S.is_multiple_of(LANES)) };
    let mut found = Found { scales: [0.0; S], offsets: [0.0; S], weights: [0.0; S] };
    for at in (0..S).step_by(LANES) {
        let (here, lanes) = (at * G..(at + LANES) * G, at..at + LANES);
        let x = side_by_side(&x[here.clone()]);
        let w = weigh(&x, importance.map(|w| side_by_side(&w[here.clone()])).as_ref());
        let mut laid = [[0; LANES]; G];
        let (scales, offsets) = search(&x, &w, &mut laid);
        crate::lanes::one_after_another(&laid, &mut codes[here]);
        found.scales[lanes.clone()].copy_from_slice(&scales);
        found.offsets[lanes.clone()].copy_from_slice(&offsets);
        found.weights[lanes].copy_from_slice(&sum(&w));
    }
    found
}

/// What the sub-blocks of a block want.
pub(super) struct Found<const S: usize> {
    pub(super) scales: [f32; S],
    pub(super) offsets: [f32; S],
    /// Sum of the search weights.
    pub(super) weights: [f32; S],
}

/// Importance times the root of `level` plus the square of the weight.
pub(super) fn lifted<const G: usize>(x: &[Lanes; G], importance: &[Lanes; G], level: f32) -> [Lanes; G] {
    map2(x, importance, |x, w| w * (level + x * x).sqrt())
}

/// Codes anew, now that the sub-block's step `d` and offset are what the block stores; a step of zero leaves the
/// search's codes. `low` is the smallest code, stored as 0.
pub(super) fn lay_again(x: &[f32], codes: &mut [u8], d: f32, offset: f32, low: f32, high: f32) {
    if d == 0.0 {
        return;
    }
    for (code, x) in codes.iter_mut().zip(x) {
        *code = (crate::number::nearest_within((x + offset) / d, low, high) - low) as u8;
    }
}
