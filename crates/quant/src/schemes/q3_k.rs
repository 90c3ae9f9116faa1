use super::Scheme;
use super::blocks::{self, BLOCK, Weights};
use super::q2_k::{pack_pairs, pair};
use crate::QuantError;
use crate::lanes::map2;
use crate::number::{half_at, nearest, put_half};
use crate::search::{polished, symmetric, symmetric_one};
use lfmq_core::{Grid, Layout, QuantizedRows, SchemeId};

/// 16 sub-blocks of 16 codes -4..=3: `x = d sc q` with six-bit `sc`.
#[allow(non_camel_case_types, reason = "the field's own name")]
pub(super) struct Q3_K;

impl Scheme for Q3_K {
    fn id(&self) -> SchemeId {
        SchemeId("q3_k")
    }

    fn grid(&self) -> Grid {
        Grid::Opaque { layout: Layout::Q3_K }
    }

    fn quantize(
        &self,
        x: &[f32],
        cols: usize,
        importance: Option<&[f32]>,
        out: &mut QuantizedRows,
    ) -> Result<(), QuantError> {
        blocks::quantize(self.id(), Layout::Q3_K, x, cols, importance, out, choose)
    }
}

/// `hmask[32]`, `qs[64]`, `scales[12]`, `d`.
const QS: usize = 32;
const SCALES: usize = 96;
const D: usize = 108;

fn choose(x: &Weights, importance: Option<&Weights>, block: &mut [u8]) -> Result<(), f32> {
    let mut codes = [0; BLOCK];
    let (d, scales) = match importance {
        Some(_) => weighted(x, importance, &mut codes),
        None => plain(x, &mut codes),
    };
    let d = put_half(block, D, d)?;
    for (s, scale) in scales.iter().enumerate() {
        block[SCALES + s % 8] |= (scale & 15) << (s / 8 * 4);
        block[SCALES + 8 + s % 4] |= (scale >> 4) << (s / 4 * 2);
    }
    for ((x, codes), scale) in x.as_chunks::<16>().0.iter().zip(codes.as_chunks_mut::<16>().0).zip(scales) {
        blocks::lay_again(x, codes, d * (f32::from(scale) - 32.0), 0.0, -4.0, 3.0);
    }
    for (e, code) in codes.iter_mut().enumerate() {
        block[e % 32] |= (*code >> 2) << (e / 32);
        *code &= 3;
    }
    pack_pairs(&codes, &mut block[QS..SCALES]);
    Ok(())
}

/// The step and the stored scales, the scale of largest magnitude on -32.
fn plain(x: &Weights, codes: &mut [u8; BLOCK]) -> (f32, [u8; 16]) {
    let mut scales = [0.0; 16];
    for ((x, codes), scale) in x.as_chunks::<16>().0.iter().zip(codes.as_chunks_mut::<16>().0).zip(&mut scales) {
        *scale = polished(4, x, codes);
    }
    let peak = scales.iter().fold(0.0f32, |peak, s| if s.abs() > peak.abs() { *s } else { peak });
    if peak == 0.0 {
        return (0.0, [0; 16]);
    }
    let s = -32.0 / peak;
    (1.0 / s, scales.map(|v| ((nearest(s * v) as i8).clamp(-32, 31) + 32) as u8))
}

fn weighted(x: &Weights, importance: Option<&Weights>, codes: &mut [u8; BLOCK]) -> (f32, [u8; 16]) {
    let level = 2.0 * blocks::energy(x) / 256.0;
    let found = blocks::sub_blocks::<16, 16>(
        x,
        importance,
        codes,
        |x, w| w.map_or_else(|| map2(x, x, |x, _| x * x), |w| blocks::lifted(x, w, level)),
        |x, w, codes| (symmetric(4.0, x, w, codes), [0.0; 8]),
    );
    let mut scales = [0; 16];
    let d = symmetric_one(32.0, &found.scales, &found.weights, &mut scales);
    (d, scales)
}

pub(super) fn decode(block: &[u8], out: &mut Weights) {
    let d = half_at(block, D);
    for (e, v) in out.iter_mut().enumerate() {
        let s = e / 16;
        let low = block[SCALES + s % 8] >> (s / 8 * 4) & 15;
        let high = block[SCALES + 8 + s % 4] >> (s / 4 * 2) & 3;
        let step = d * (f32::from(low | high << 4) - 32.0);
        let top = block[e % 32] >> (e / 32) & 1;
        *v = step * (f32::from(pair(&block[QS..SCALES], e) | top << 2) - 4.0);
    }
}
