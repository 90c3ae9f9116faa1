use super::Scheme;
use super::blocks::{self, Found, Side, Wanted, Weights};
use super::iq4_nl::{LEVELS, fit, lay};
use crate::QuantError;
use crate::lanes::{LANES, lifted, squares};
use crate::number::{half_at, inverse, nearest, put_half};
use lfmq_core::{Grid, Layout, QuantizedRows, SchemeId};

/// Eight sub-blocks of 32 indices into the table of IQ4_NL: `x = d sc T[q]` with six-bit `sc`.
#[allow(non_camel_case_types, reason = "the field's own name")]
pub(super) struct IQ4_XS;

impl Scheme for IQ4_XS {
    fn id(&self) -> SchemeId {
        SchemeId("iq4_xs")
    }

    fn grid(&self) -> Grid {
        Grid::Opaque { layout: Layout::IQ4_XS }
    }

    fn quantize(
        &self,
        x: &[f32],
        cols: usize,
        importance: Option<&[f32]>,
        out: &mut QuantizedRows,
    ) -> Result<(), QuantError> {
        blocks::search(self.id(), Layout::IQ4_XS, x, cols, importance, out, None, search, choose)
    }
}

/// `d`, `scales_h` (two bits each), `scales_l[4]`, `qs[128]`.
const HIGH: usize = 2;
const LOW: usize = 4;
const QS: usize = 8;

fn search(side: &Side<32>, _: &mut [[u8; LANES]; 32]) -> Wanted {
    let w = match &side.importance {
        Some(w) => lifted(&side.x, w, &side.energy.map(|e| e * (2.0 / 256.0))),
        None => squares(&side.x),
    };
    Wanted { scales: fit(&side.x, &w), ..Wanted::default() }
}

fn choose(x: &Weights, found: &Found<'_, 8, 32>, block: &mut [u8]) -> Result<(), f32> {
    let scales = found.scales();
    let peak = scales.iter().fold(0.0f32, |peak, s| if s.abs() > peak.abs() { *s } else { peak });
    let d = -peak / 32.0;
    put_half(block, 0, d)?;
    let inverse_d = inverse(d);
    let mut high = 0u16;
    for (s, (x, scale)) in x.as_chunks::<32>().0.iter().zip(scales).enumerate() {
        let scale = nearest(inverse_d * scale).clamp(-32, 31);
        // The step is not rounded as `d` is.
        let mut codes = [0; 32];
        lay(x, inverse(d * scale as f32), &mut codes);
        let stored = (scale + 32) as u8;
        block[LOW + s / 2] |= (stored & 15) << (s % 2 * 4);
        high |= u16::from(stored >> 4) << (2 * s);
        for (l, byte) in block[QS + 16 * s..][..16].iter_mut().enumerate() {
            *byte = codes[l] as u8 | (codes[l + 16] as u8) << 4;
        }
    }
    block[HIGH..LOW].copy_from_slice(&high.to_le_bytes());
    Ok(())
}

pub(super) fn decode(block: &[u8], out: &mut Weights) {
    let d = half_at(block, 0);
    let high = u16::from_le_bytes([block[HIGH], block[HIGH + 1]]);
    for (s, out) in out.as_chunks_mut::<32>().0.iter_mut().enumerate() {
        let scale = block[LOW + s / 2] >> (s % 2 * 4) & 15 | ((high >> (2 * s) & 3) as u8) << 4;
        let step = d * (f32::from(scale) - 32.0);
        let bytes = &block[QS + 16 * s..][..16];
        for (l, v) in out.iter_mut().enumerate() {
            *v = step * f32::from(LEVELS[usize::from(bytes[l % 16] >> (l / 16 * 4) & 15)]);
        }
    }
}
