use super::Scheme;
use super::blocks::{self, BLOCK, Weights};
use crate::QuantError;
use crate::lanes::{LANES, each, map2, sum};
use crate::number::{half_at, nearest, put_half};
use crate::search::{Sweep, asymmetric, positive};
use lfmq_core::{Grid, Layout, QuantizedRows, SchemeId};

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
        blocks::quantize(self.id(), Layout::Q4_K, x, cols, importance, out, choose)
    }
}

/// `d`, `dmin`, `scales[12]`, `qs[128]`.
const SCALES: usize = 4;
const QS: usize = 16;

const PLAIN: Sweep = Sweep { first: -1.0, by: 0.1, last: 20, magnitude: false };

fn choose(x: &Weights, importance: Option<&Weights>, block: &mut [u8]) -> Result<(), f32> {
    let codes = lay(15.0, PLAIN, x, importance, block)?;
    pack_nibbles(&codes, &mut block[QS..]);
    Ok(())
}

/// Chooses the codes `0..=top`; `d`, `dmin` and the scales go to the front of the block. Shared with Q5_K.
pub(super) fn lay(
    top: f32,
    plain: Sweep,
    x: &Weights,
    importance: Option<&Weights>,
    block: &mut [u8],
) -> Result<[u8; BLOCK], f32> {
    let mut codes = [0; BLOCK];
    let level = 2.0 * blocks::energy(x) / 256.0;
    let sweep = if importance.is_some() { Sweep::WEIGHTED } else { plain };
    let found = blocks::sub_blocks::<8, 32>(
        x,
        importance,
        &mut codes,
        |x, importance| match importance {
            Some(w) => blocks::lifted(x, w, level),
            None => {
                let squares = sum(&map2(x, x, |x, _| x * x));
                let mean = each(|k| (squares[k] / 32.0).sqrt());
                x.map(|x| std::array::from_fn::<f32, LANES, _>(|k| mean[k] + x[k].abs()))
            }
        },
        |x, w, codes| asymmetric(top, sweep, x, w, codes),
    );
    let put = |values: &[f32; 8]| match importance {
        Some(_) => {
            let mut codes = [0; 8];
            let d = positive(63, values, &found.weights, &mut codes);
            (d, codes)
        }
        None => by_largest(values),
    };
    let ((d, scales), (dmin, offsets)) = (put(&found.scales), put(&found.offsets));
    let (d, dmin) = (put_half(block, 0, d)?, put_half(block, 2, dmin)?);
    pack_scales(&scales, &offsets, &mut block[SCALES..QS]);
    for (s, (x, codes)) in x.as_chunks::<32>().0.iter().zip(codes.as_chunks_mut::<32>().0).enumerate() {
        let (scale, offset) = scale(&block[SCALES..QS], s);
        blocks::lay_again(x, codes, d * scale, dmin * offset, 0.0, top);
    }
    Ok(codes)
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

/// The four bits of weight `e`.
pub(super) fn nibble(bytes: &[u8], e: usize) -> u8 {
    bytes[e / 64 * 32 + e % 32] >> (e / 32 % 2 * 4) & 15
}

pub(super) fn decode(block: &[u8], out: &mut Weights) {
    let (d, dmin) = (half_at(block, 0), half_at(block, 2));
    for (s, out) in out.as_chunks_mut::<32>().0.iter_mut().enumerate() {
        let (scale, offset) = scale(&block[SCALES..QS], s);
        let (step, offset) = (d * scale, dmin * offset);
        for (l, v) in out.iter_mut().enumerate() {
            *v = step * f32::from(nibble(&block[QS..], 32 * s + l)) - offset;
        }
    }
}
