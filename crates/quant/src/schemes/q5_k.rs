use super::Scheme;
use super::blocks::{self, Weights};
use super::q4_k::{SIX_BITS, lay, pack_nibbles, scale, search};
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
        blocks::search(
            self.id(),
            Layout::Q5_K,
            x,
            cols,
            importance,
            out,
            importance.map(|_| SIX_BITS),
            |side, codes| search(31.0, PLAIN, side, codes),
            |x, found, block| {
                let codes = lay(31.0, x, found, block)?;
                for (e, code) in codes.iter().enumerate() {
                    block[QH + e % 32] |= (code >> 4) << (e / 32);
                }
                pack_nibbles(&codes, &mut block[QS..]);
                Ok(())
            },
        )
    }
}

/// `d`, `dmin`, `scales[12]`, `qh[32]`, `qs[128]`.
const SCALES: usize = 4;
const QH: usize = 16;
const QS: usize = 48;

const PLAIN: Sweep = Sweep { first: -0.5, by: 0.1, last: 15, magnitude: false };

pub(super) fn decode(block: &[u8], out: &mut Weights) {
    let (d, dmin) = (half_at(block, 0), half_at(block, 2));
    for (s, out) in out.as_chunks_mut::<32>().0.iter_mut().enumerate() {
        let (scale, offset) = scale(&block[SCALES..QH], s);
        let (step, offset) = (d * scale, dmin * offset);
        for (l, v) in out.iter_mut().enumerate() {
            let code = block[QS + s / 2 * 32 + l] >> (s % 2 * 4) & 15 | (block[QH + l] >> s & 1) << 4;
            *v = step * f32::from(code) - offset;
        }
    }
}
