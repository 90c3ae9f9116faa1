use super::{Scheme, floats};
use crate::QuantError;
use lfmq_core::{FloatKind, Grid, QuantizedRows, SchemeId};

/// binary32: every bit of every checkpoint type.
pub(super) struct F32;

impl Scheme for F32 {
    fn id(&self) -> SchemeId {
        SchemeId("f32")
    }

    fn grid(&self) -> Grid {
        Grid::Float { float: FloatKind::F32 }
    }

    fn quantize(&self, x: &[f32], cols: usize, _: Option<&[f32]>, out: &mut QuantizedRows) -> Result<(), QuantError> {
        floats::quantize(self.id(), x, cols, out, |_| {})
    }
}
