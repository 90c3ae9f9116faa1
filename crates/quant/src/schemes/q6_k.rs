use super::Scheme;
use super::blocks::{self, BLOCK, Weights};
use crate::QuantError;
use crate::lanes::{TINY, map2};
use crate::number::{half_at, nearest, put_half};
use crate::search::symmetric;
use lfmq_core::{Grid, Layout, QuantizedRows, SchemeId};

/// 16 sub-blocks of 16 codes -32..=31: `x = d sc q` with eight-bit `sc`. Importance is taken as it is.
#[allow(non_camel_case_types, reason = "the field's own name")]
pub(super) struct Q6_K;

impl Scheme for Q6_K {
    fn id(&self) -> SchemeId {
        SchemeId("q6_k")
    }

    fn grid(&self) -> Grid {
        Grid::Opaque { layout: Layout::Q6_K }
    }

    fn quantize(
        &self,
        x: &[f32],
        cols: usize,
        importance: Option<&[f32]>,
        out: &mut QuantizedRows,
    ) -> Result<(), QuantError> {
        blocks::quantize(self.id(), Layout::Q6_K, x, cols, importance, out, choose)
    }
}

/// `ql[128]`, `qh[64]`, `scales[16]` (signed), `d`.
const QH: usize = 128;
const SCALES: usize = 192;
const D: usize = 208;

fn choose(x: &Weights, importance: Option<&Weights>, block: &mut [u8]) -> Result<(), f32> {
    let mut codes = [0; BLOCK];
    let found = blocks::sub_blocks::<16, 16>(
        x,
        importance,
        &mut codes,
        |x, importance| importance.map_or_else(|| map2(x, x, |x, _| x * x), |w| *w),
        |x, w, codes| (symmetric(32.0, x, w, codes), [0.0; 8]),
    );
    let peak = found.scales.iter().fold(0.0f32, |peak, s| if s.abs() > peak.abs() { *s } else { peak });
    if peak.abs() < TINY {
        return Ok(());
    }
    let s = -128.0 / peak;
    let d = put_half(block, D, 1.0 / s)?;
    for (i, scale) in found.scales.iter().enumerate() {
        let scale = nearest(s * scale).min(127) as i8;
        block[SCALES + i] = scale as u8;
        let here = 16 * i..16 * (i + 1);
        blocks::lay_again(&x[here.clone()], &mut codes[here], d * f32::from(scale), 0.0, -32.0, 31.0);
    }
    for (h, codes) in codes.chunks_exact(128).enumerate() {
        for l in 0..32 {
            let [a, b, c, d] = [codes[l], codes[l + 32], codes[l + 64], codes[l + 96]];
            block[64 * h + l] = a & 15 | c << 4;
            block[64 * h + 32 + l] = b & 15 | d << 4;
            block[QH + 32 * h + l] = a >> 4 | b >> 4 << 2 | c >> 4 << 4 | d >> 4 << 6;
        }
    }
    Ok(())
}

pub(super) fn decode(block: &[u8], out: &mut Weights) {
    let d = half_at(block, D);
    for (e, v) in out.iter_mut().enumerate() {
        let (h, g, l) = (e / 128, e / 32 % 4, e % 32);
        let low = block[64 * h + 32 * (g % 2) + l] >> (g / 2 * 4) & 15;
        let high = block[QH + 32 * h + l] >> (2 * g) & 3;
        let step = d * f32::from(block[SCALES + e / 16] as i8);
        *v = step * (f32::from(low | high << 4) - 32.0);
    }
}
