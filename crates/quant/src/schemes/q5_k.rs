use super::Scheme;
use super::blocks::{self, BLOCK, Weights};
use super::q4_k::{lay, nibble, pack_nibbles, scale};
use crate::QuantError;
use crate::number::half_at;
use crate::search::Sweep;
use lfmq_core::{Grid, Layout, QuantizedRows, SchemeId};

/// Eight sub-blocks of 32 codes 0..=31: `x = d sc q - dmin mn` with six-bit `sc` and `mn`.
#[allow(non_camel_case_types, reason = "the field's own name")]
pub(super) struct Q5_K;

impl Scheme for Q5_K {
    fn id(&self) -> SchemeId {
        SchemeId("q5_k")
    }

    fn grid(&self) -> Grid {
        Grid::Opaque { layout: Layout::Q5_K }
    }

    fn quantize(
        &self,
        x: &[f32],
        cols: usize,
        importance: Option<&[f32]>,
        out: &mut QuantizedRows,
    ) -> Result<(), QuantError> {
        blocks::quantize(self.id(), Layout::Q5_K, x, cols, importance, out, choose)
    }
}

/// `d`, `dmin`, `scales[12]`, `qh[32]`, `qs[128]`.
const SCALES: usize = 4;
const QH: usize = 16;
const QS: usize = 48;

const PLAIN: Sweep = Sweep { first: -0.5, by: 0.1, last: 15, magnitude: false };

fn choose(x: &Weights, importance: Option<&Weights>, block: &mut [u8]) -> Result<(), f32> {
    let codes: [u8; BLOCK] = lay(31.0, PLAIN, x, importance, block)?;
    for (e, code) in codes.iter().enumerate() {
        block[QH + e % 32] |= (code >> 4) << (e / 32);
    }
    pack_nibbles(&codes, &mut block[QS..]);
    Ok(())
}

pub(super) fn decode(block: &[u8], out: &mut Weights) {
    let (d, dmin) = (half_at(block, 0), half_at(block, 2));
    for (s, out) in out.as_chunks_mut::<32>().0.iter_mut().enumerate() {
        let (scale, offset) = scale(&block[SCALES..QH], s);
        let (step, offset) = (d * scale, dmin * offset);
        for (l, v) in out.iter_mut().enumerate() {
            let code = nibble(&block[QS..], 32 * s + l) | (block[QH + l] >> s & 1) << 4;
            *v = step * f32::from(code) - offset;
        }
    }
}
