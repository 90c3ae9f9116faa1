use super::Scheme;
use super::blocks::{self, BLOCK, Weights};
use super::q2_k::{pack_pairs, pair};
use crate::QuantError;
use crate::lanes::largest;
use crate::number::{half_at, inverse, nearest_away, put_half};
use lfmq_core::{Grid, Layout, QuantizedRows, SchemeId};

/// Ternary codes -1..=1 under one scale a block, two bits each. Importance does not matter to it.
#[allow(non_camel_case_types, reason = "the field's own name")]
pub(super) struct TQ2_0;

impl Scheme for TQ2_0 {
    fn id(&self) -> SchemeId {
        SchemeId("tq2_0")
    }

    fn grid(&self) -> Grid {
        Grid::Opaque { layout: Layout::TQ2_0 }
    }

    fn quantize(
        &self,
        x: &[f32],
        cols: usize,
        importance: Option<&[f32]>,
        out: &mut QuantizedRows,
    ) -> Result<(), QuantError> {
        blocks::quantize(self.id(), Layout::TQ2_0, x, cols, importance, out, choose)
    }
}

/// `qs[64]`, `d`.
const D: usize = 64;

fn choose(x: &Weights, _: Option<&Weights>, block: &mut [u8]) -> Result<(), f32> {
    let (scale, codes) = trits(x);
    pack_pairs(&codes, &mut block[..D]);
    put_half(block, D, scale).map(|_| ())
}

/// The largest magnitude and the codes 0..=2.
pub(super) fn trits(x: &Weights) -> (f32, [u8; BLOCK]) {
    let scale = largest(x);
    let id = inverse(scale);
    // The reference's conversion of an infinity gives 0.
    let id = if id.is_finite() { id } else { 0.0 };
    (scale, x.map(|x| (nearest_away(x * id) + 1) as u8))
}

pub(super) fn decode(block: &[u8], out: &mut Weights) {
    let d = half_at(block, D);
    for (e, v) in out.iter_mut().enumerate() {
        *v = d * (f32::from(pair(&block[..D], e)) - 1.0);
    }
}
