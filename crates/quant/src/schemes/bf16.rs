use super::{Scheme, floats};
use crate::QuantError;
use lfmq_core::{FloatKind, Grid, QuantizedRows, SchemeId};

/// bfloat16, to nearest even.
pub(super) struct BF16;

impl Scheme for BF16 {
    fn id(&self) -> SchemeId {
        SchemeId("bf16")
    }

    fn grid(&self) -> Grid {
        Grid::Float { float: FloatKind::BF16 }
    }

    fn quantize(&self, x: &[f32], cols: usize, _: Option<&[f32]>, out: &mut QuantizedRows) -> Result<(), QuantError> {
        floats::quantize(self.id(), x, cols, out, |values| values.iter_mut().for_each(|v| *v = round(*v)))
    }
}

/// Nearest bfloat16 of a finite value, ties to even.
fn round(v: f32) -> f32 {
    let bits = v.to_bits();
    f32::from_bits((bits + 0x7fff + (bits >> 16 & 1)) & 0xffff_0000)
}
