use super::Scheme;
use super::blocks::{self, BLOCK, Found, Side, Steps, Wanted, Weights};
use crate::QuantError;
use crate::lanes::{LANES, lifted, sum};
use crate::number::{half_at, nearest, put_half};
use crate::search::{Sweep, asymmetric};
use lfmq_core::{Grid, Layout, QuantizedRows, SchemeId};

/// 16 sub-blocks of 16 codes 0..=3: `x = d sc q - dmin mn` with four-bit `sc` and `mn`.
#[allow(non_camel_case_types, reason = "the field's own name")]
pub(super) struct Q2_K;

impl Scheme for Q2_K {
    fn id(&self) -> SchemeId {
        SchemeId("q2_k")
    }

    fn grid(&self) -> Grid {
        Grid::Opaque { layout: Layout::Q2_K }
    }

    fn quantize(
        &self,
        x: &[f32],
        cols: usize,
        importance: Option<&[f32]>,
        out: &mut QuantizedRows,
    ) -> Result<(), QuantError> {
        // Scales and offsets have four bits.
        let fit = importance.map(|_| 15);
        blocks::search(self.id(), Layout::Q2_K, x, cols, importance, out, fit, search, choose)
    }
}

/// `scales[16]` (scale low, minimum high), `qs[64]`, `d`, `dmin`.
const QS: usize = 16;
const D: usize = 80;
const DMIN: usize = 82;

const PLAIN: Sweep = Sweep { first: -0.5, by: 0.1, last: 15, magnitude: true };

fn search(side: &Side<16>, codes: &mut [[u8; LANES]; 16]) -> Wanted {
    let (sweep, w) = match &side.importance {
        Some(w) => (Sweep::WEIGHTED, lifted(&side.x, w, &side.energy.map(|e| e / 256.0))),
        None => (PLAIN, side.x.map(|x| x.map(f32::abs))),
    };
    let (scales, offsets) = asymmetric(3.0, sweep, &side.x, &w, codes);
    Wanted { scales, offsets, weights: sum(&w) }
}

fn choose(x: &Weights, found: &Found<'_, 16, 16>, block: &mut [u8]) -> Result<(), f32> {
    let Steps { d, scales, dmin, offsets } = found.steps.copied().unwrap_or_else(|| {
        let ((d, scales), (dmin, offsets)) = (by_largest(&found.scales()), by_largest(&found.offsets()));
        Steps { d, scales, dmin, offsets }
    });
    let (d, dmin) = (put_half(block, D, d)?, put_half(block, DMIN, dmin)?);
    for (byte, (scale, offset)) in block.iter_mut().zip(scales.iter().zip(offsets)) {
        *byte = scale | offset << 4;
    }
    let steps = std::array::from_fn(|s| d * f32::from(block[s] & 15));
    let offsets = std::array::from_fn(|s| dmin * f32::from(block[s] >> 4));
    let codes = found.lay(x, &steps, &offsets, 0.0, 3.0);
    pack_pairs(&codes, &mut block[QS..D]);
    Ok(())
}

/// Four-bit codes of non-negative values, the largest on 15, and the step.
fn by_largest(values: &[f32; 16]) -> (f32, [u8; 16]) {
    let max = values.iter().fold(0.0f32, |max, v| if *v > max { *v } else { max });
    if max > 0.0 {
        let s = 15.0 / max;
        (max / 15.0, values.map(|v| nearest(s * v) as u8))
    } else {
        (0.0, [0; 16])
    }
}

/// Two bits a code: byte `32 h + l` holds the codes `128 h + 32 g + l` at bits `2 g`.
pub(super) fn pack_pairs(codes: &[u8; BLOCK], bytes: &mut [u8]) {
    for (codes, bytes) in codes.chunks_exact(128).zip(bytes.chunks_exact_mut(32)) {
        for (l, byte) in bytes.iter_mut().enumerate() {
            *byte = codes[l] | codes[l + 32] << 2 | codes[l + 64] << 4 | codes[l + 96] << 6;
        }
    }
}

/// The two bits of weight `e`.
pub(super) fn pair(bytes: &[u8], e: usize) -> u8 {
    bytes[e / 128 * 32 + e % 32] >> (2 * (e / 32 % 4)) & 3
}

pub(super) fn decode(block: &[u8], out: &mut Weights) {
    let (d, dmin) = (half_at(block, D), half_at(block, DMIN));
    for (e, v) in out.iter_mut().enumerate() {
        let scales = block[e / 16];
        let (step, offset) = (d * f32::from(scales & 15), dmin * f32::from(scales >> 4));
        *v = step * f32::from(pair(&block[QS..D], e)) - offset;
    }
}
