use super::Scheme;
use super::blocks::{self, Found, Side, Wanted, Weights};
use crate::QuantError;
use crate::lanes::{LANES, TINY, squares};
use crate::number::{half_at, nearest, put_half};
use crate::search::symmetric;
use lfmq_core::{Grid, Layout, QuantizedRows, SchemeId};
use lfmq_kernels::multiversion;

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
        blocks::search(self.id(), Layout::Q6_K, x, cols, importance, out, None, search, choose)
    }
}

/// `ql[128]`, `qh[64]`, `scales[16]` (signed), `d`.
const QH: usize = 128;
const SCALES: usize = 192;
const D: usize = 208;

fn search(side: &Side<16>, codes: &mut [[u8; LANES]; 16]) -> Wanted {
    let w = side.importance.unwrap_or_else(|| squares(&side.x));
    Wanted { scales: symmetric(32.0, &side.x, &w, codes), ..Wanted::default() }
}

fn choose(x: &Weights, found: &Found<'_, 16, 16>, block: &mut [u8]) -> Result<(), f32> {
    let scales = found.scales();
    let peak = scales.iter().fold(0.0f32, |peak, s| if s.abs() > peak.abs() { *s } else { peak });
    if peak.abs() < TINY {
        return Ok(());
    }
    let s = -128.0 / peak;
    let d = put_half(block, D, 1.0 / s)?;
    let stored = scales.map(|scale| nearest(s * scale).min(127) as i8);
    for (byte, scale) in block[SCALES..D].iter_mut().zip(stored) {
        *byte = scale as u8;
    }
    let codes = found.lay(x, &stored.map(|scale| d * f32::from(scale)), &[0.0; 16], -32.0, 31.0);
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
    let steps = std::array::from_fn(|s| d * f32::from(block[SCALES + s] as i8));
    widen(&steps, block, out);
}

multiversion! {
    fn widen['a](steps: &'a [f32; 16], block: &'a [u8], out: &'a mut Weights) -> () {
        for (h, out) in out.as_chunks_mut::<128>().0.iter_mut().enumerate() {
            let (low, high) = (&block[64 * h..][..64], &block[QH + 32 * h..][..32]);
            for g in 0..4 {
                for half in 0..2 {
                    let step = steps[8 * h + 2 * g + half];
                    for l in 16 * half..16 * (half + 1) {
                        let low = low[32 * (g % 2) + l] >> (g / 2 * 4) & 15;
                        let high = high[l] >> (2 * g) & 3;
                        out[32 * g + l] = step * (f32::from(low | high << 4) - 32.0);
                    }
                }
            }
        }
    }
}
