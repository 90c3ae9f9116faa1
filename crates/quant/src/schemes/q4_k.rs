use super::Scheme;
use super::blocks::{self, BLOCK, Found, Side, Steps, Wanted, Weights};
use crate::QuantError;
use crate::lanes::{LANES, Lanes, each, lifted, map2, sum, total};
use crate::number::{half_at, nearest, put_half};
use crate::search::{Sweep, asymmetric};
use lfmq_core::{Grid, Layout, QuantizedRows, SchemeId};
use lfmq_kernels::multiversion;

/// Eight sub-blocks of 32 codes 0..=15: `x = d sc q - dmin mn` with six-bit `sc` and `mn`.
#[allow(non_camel_case_types, reason = "the field's own name")]
pub(super) struct Q4_K;

impl Scheme for Q4_K {
    fn id(&self) -> SchemeId {
        SchemeId("q4_k")
    }

    fn grid(&self) -> Grid {
        Grid::Opaque { layout: Layout::Q4_K }
    }

    fn quantize(
        &self,
        x: &[f32],
        cols: usize,
        importance: Option<&[f32]>,
        out: &mut QuantizedRows,
    ) -> Result<(), QuantError> {
        blocks::search(
            self.id(),
            Layout::Q4_K,
            x,
            cols,
            importance,
            out,
            importance.map(|_| SIX_BITS),
            |side, codes| search(15.0, PLAIN, side, codes),
            |x, found, block| {
                let codes = lay(15.0, x, found, block)?;
                pack_nibbles(&codes, &mut block[QS..]);
                Ok(())
            },
        )
    }
}

/// `d`, `dmin`, `scales[12]`, `qs[128]`.
const SCALES: usize = 4;
const QS: usize = 16;

const PLAIN: Sweep = Sweep { first: -1.0, by: 0.1, last: 20, magnitude: false };

/// The search over sub-blocks for codes `0..=top`. Shared with Q5_K.
pub(super) fn search(top: f32, plain: Sweep, side: &Side<32>, codes: &mut [[u8; LANES]; 32]) -> Wanted {
    let (sweep, w) = match &side.importance {
        Some(w) => (Sweep::WEIGHTED, lifted(&side.x, w, &side.energy.map(|e| 2.0 * e / 256.0))),
        None => (plain, above_mean(&side.x)),
    };
    let (scales, offsets) = asymmetric(top, sweep, &side.x, &w, codes);
    Wanted { scales, offsets, weights: sum(&w) }
}

multiversion! {
    /// The magnitude of each weight above the root mean square of its sub-block.
    fn above_mean['a](x: &'a [Lanes; 32]) -> [Lanes; 32] {
        let squares = total(&map2(x, x, |x, _| x * x));
        let mean = each(|k| (squares[k] / 32.0).sqrt());
        map2(x, &[mean; 32], |x, mean| mean + x.abs())
    }
}

/// The largest code of a scale or an offset.
pub(super) const SIX_BITS: i32 = 63;

/// Chooses the codes `0..=top`; `d`, `dmin` and the scales go to the front of the block. Shared with Q5_K.
pub(super) fn lay(top: f32, x: &Weights, found: &Found<'_, 8, 32>, block: &mut [u8]) -> Result<[u8; BLOCK], f32> {
    let Steps { d, scales, dmin, offsets } = found.steps.copied().unwrap_or_else(|| {
        let ((d, scales), (dmin, offsets)) = (by_largest(&found.scales()), by_largest(&found.offsets()));
        Steps { d, scales, dmin, offsets }
    });
    let (d, dmin) = (put_half(block, 0, d)?, put_half(block, 2, dmin)?);
    pack_scales(&scales, &offsets, &mut block[SCALES..QS]);
    let stored: [(f32, f32); 8] = std::array::from_fn(|s| scale(&block[SCALES..QS], s));
    Ok(found.lay(x, &stored.map(|s| d * s.0), &stored.map(|s| dmin * s.1), 0.0, top))
}

/// Six-bit codes of non-negative values, the largest on 63, and the step.
fn by_largest(values: &[f32; 8]) -> (f32, [u8; 8]) {
    let max = values.iter().fold(0.0f32, |max, v| if *v > max { *v } else { max });
    let s = if max > 0.0 { 63.0 / max } else { 0.0 };
    (max / 63.0, values.map(|v| (nearest(s * v) as u8).min(63)))
}

/// Six bits each: the first four in the low bits of bytes 0-3 (scales) and 4-7 (offsets), the others' low nibbles
/// in bytes 8-11 and their high bits above the first four.
fn pack_scales(scales: &[u8; 8], offsets: &[u8; 8], bytes: &mut [u8]) {
    for j in 0..4 {
        bytes[j] = scales[j] | scales[j + 4] >> 4 << 6;
        bytes[j + 4] = offsets[j] | offsets[j + 4] >> 4 << 6;
        bytes[j + 8] = scales[j + 4] & 15 | offsets[j + 4] << 4;
    }
}

/// Scale and offset of sub-block `s`.
pub(super) fn scale(bytes: &[u8], s: usize) -> (f32, f32) {
    let (scale, offset) = match s {
        0..4 => (bytes[s] & 63, bytes[s + 4] & 63),
        _ => (bytes[s + 4] & 15 | bytes[s - 4] >> 6 << 4, bytes[s + 4] >> 4 | bytes[s] >> 6 << 4),
    };
    (scale.into(), offset.into())
}

/// Four bits a code: byte `32 c + l` holds the codes `64 c + l` (low) and `64 c + 32 + l` (high).
pub(super) fn pack_nibbles(codes: &[u8; BLOCK], bytes: &mut [u8]) {
    for (codes, bytes) in codes.chunks_exact(64).zip(bytes.chunks_exact_mut(32)) {
        for (l, byte) in bytes.iter_mut().enumerate() {
            *byte = codes[l] & 15 | codes[l + 32] << 4;
        }
    }
}

pub(super) fn decode(block: &[u8], out: &mut Weights) {
    let (d, dmin) = (half_at(block, 0), half_at(block, 2));
    let stored = std::array::from_fn(|s| {
        let (scale, offset) = scale(&block[SCALES..QS], s);
        (d * scale, dmin * offset)
    });
    widen(&stored, &block[QS..], out);
}

multiversion! {
    fn widen['a](stored: &'a [(f32, f32); 8], nibbles: &'a [u8], out: &'a mut Weights) -> () {
        for ((pair, bytes), steps) in out.as_chunks_mut::<64>().0.iter_mut().zip(nibbles.as_chunks::<32>().0).zip(stored.as_chunks::<2>().0) {
            let [low, high] = steps;
            for l in 0..32 {
                pair[l] = low.0 * f32::from(bytes[l] & 15) - low.1;
                pair[l + 32] = high.0 * f32::from(bytes[l] >> 4) - high.1;
            }
        }
    }
}
