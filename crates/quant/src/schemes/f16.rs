use super::{Scheme, floats};
use crate::QuantError;
use crate::number::half;
use lfmq_core::{FloatKind, Grid, QuantizedRows, SchemeId};

/// binary16, to nearest even. A weight beyond its range is an error, not an infinity.
pub(super) struct F16;

impl Scheme for F16 {
    fn id(&self) -> SchemeId {
        SchemeId("f16")
    }

    fn grid(&self) -> Grid {
        Grid::Float { float: FloatKind::F16 }
    }

    fn quantize(&self, x: &[f32], cols: usize, _: Option<&[f32]>, out: &mut QuantizedRows) -> Result<(), QuantError> {
        floats::quantize(self.id(), x, cols, out, |values| values.iter_mut().for_each(|v| *v = half(*v)))
    }
}
