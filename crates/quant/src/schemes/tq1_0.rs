use super::Scheme;
use super::blocks::{self, BLOCK, Weights};
use super::tq2_0::trits;
use crate::QuantError;
use crate::number::{half_at, put_half};
use lfmq_core::{Grid, Layout, QuantizedRows, SchemeId};

/// Ternary codes -1..=1 under one scale a block, five to a byte. Importance does not matter to it.
#[allow(non_camel_case_types, reason = "the field's own name")]
pub(super) struct TQ1_0;

impl Scheme for TQ1_0 {
    fn id(&self) -> SchemeId {
        SchemeId("tq1_0")
    }

    fn grid(&self) -> Grid {
        Grid::Opaque { layout: Layout::TQ1_0 }
    }

    fn quantize(
        &self,
        x: &[f32],
        cols: usize,
        importance: Option<&[f32]>,
        out: &mut QuantizedRows,
    ) -> Result<(), QuantError> {
        blocks::quantize(self.id(), Layout::TQ1_0, x, cols, importance, out, choose)
    }
}

/// `qs[48]`, `qh[4]`, `d`.
const D: usize = 52;

/// Runs of bytes as (first byte, bytes, first weight): trit `n` of byte `m` of a run is weight `first + n * bytes + m`.
const RUNS: [(usize, usize, usize); 3] = [(0, 32, 0), (32, 16, 160), (48, 4, 240)];

fn choose(x: &Weights, _: Option<&Weights>, block: &mut [u8]) -> Result<(), f32> {
    let (scale, codes): (f32, [u8; BLOCK]) = trits(x);
    for (at, bytes, first) in RUNS {
        for m in 0..bytes {
            // The last run has four trits; a fifth of zero keeps the first the most significant.
            let trit = |n: usize| u32::from(codes.get(first + n * bytes + m).copied().unwrap_or_default());
            let digits = (0..5).fold(0, |sum, n| sum * 3 + trit(n));
            block[at + m] = (digits * 256).div_ceil(243) as u8;
        }
    }
    put_half(block, D, scale).map(|_| ())
}

pub(super) fn decode(block: &[u8], out: &mut Weights) {
    let d = half_at(block, D);
    for (at, bytes, first) in RUNS {
        for (e, v) in out[first..].iter_mut().take(5 * bytes).enumerate() {
            let shifted = block[at + e % bytes].wrapping_mul(3u8.pow((e / bytes) as u32));
            *v = d * (((u32::from(shifted) * 3) >> 8) as f32 - 1.0);
        }
    }
}
