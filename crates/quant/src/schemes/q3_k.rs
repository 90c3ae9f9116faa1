use super::Scheme;
use super::blocks::{self, Found, Side, Wanted, Weights};
use super::q2_k::{pack_pairs, pair};
use crate::QuantError;
use crate::lanes::{LANES, lifted, sum};
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
        let weighted = importance.is_some();
        blocks::search(self.id(), Layout::Q3_K, x, cols, importance, out, None, search, |x, found, block| {
            choose(x, found, weighted, block)
        })
    }
}

/// `hmask[32]`, `qs[64]`, `scales[12]`, `d`.
const QS: usize = 32;
const SCALES: usize = 96;
const D: usize = 108;

fn search(side: &Side<16>, codes: &mut [[u8; LANES]; 16]) -> Wanted {
    if let Some(w) = &side.importance {
        let w = lifted(&side.x, w, &side.energy.map(|e| 2.0 * e / 256.0));
        return Wanted { scales: symmetric(4.0, &side.x, &w, codes), weights: sum(&w), ..Wanted::default() };
    }
    let mut scales = [0.0; LANES];
    for (k, scale) in scales.iter_mut().enumerate() {
        let (x, mut found) = (side.x.map(|x| x[k]), [0; 16]);
        *scale = polished(4, &x, &mut found);
        codes.iter_mut().zip(found).for_each(|(codes, code)| codes[k] = code);
    }
    Wanted { scales, ..Wanted::default() }
}

fn choose(x: &Weights, found: &Found<'_, 16, 16>, weighted: bool, block: &mut [u8]) -> Result<(), f32> {
    let (d, scales) = if weighted {
        let mut codes = [0; 16];
        let d = symmetric_one(32.0, &found.scales(), &found.weights(), &mut codes);
        (d, codes)
    } else {
        by_largest(&found.scales())
    };
    let d = put_half(block, D, d)?;
    for (s, scale) in scales.iter().enumerate() {
        block[SCALES + s % 8] |= (scale & 15) << (s / 8 * 4);
        block[SCALES + 8 + s % 4] |= (scale >> 4) << (s / 4 * 2);
    }
    let steps = scales.map(|scale| d * (f32::from(scale) - 32.0));
    let mut codes = found.lay(x, &steps, &[0.0; 16], -4.0, 3.0);
    for (e, code) in codes.iter_mut().enumerate() {
        block[e % 32] |= (*code >> 2) << (e / 32);
        *code &= 3;
    }
    pack_pairs(&codes, &mut block[QS..SCALES]);
    Ok(())
}

/// The step and the stored scales, the scale of largest magnitude on -32.
fn by_largest(scales: &[f32; 16]) -> (f32, [u8; 16]) {
    let peak = scales.iter().fold(0.0f32, |peak, s| if s.abs() > peak.abs() { *s } else { peak });
    if peak == 0.0 {
        return (0.0, [0; 16]);
    }
    let s = -32.0 / peak;
    (1.0 / s, scales.map(|v| ((nearest(s * v) as i8).clamp(-32, 31) + 32) as u8))
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
