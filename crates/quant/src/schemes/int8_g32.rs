use super::{Scheme, integers};
use crate::QuantError;
use lfmq_core::{Grid, QuantizedRows, SchemeId, Zero};

/// Groups of 32 codes -128..=127 with binary32 scales: `x = d q`.
pub(super) struct Int8G32;

impl Scheme for Int8G32 {
    fn id(&self) -> SchemeId {
        SchemeId("int8-g32")
    }

    fn grid(&self) -> Grid {
        integers::grid(8, (-128, 127), 32, Zero::None)
    }

    fn quantize(&self, x: &[f32], cols: usize, _: Option<&[f32]>, out: &mut QuantizedRows) -> Result<(), QuantError> {
        integers::quantize(self.id(), &self.grid(), x, cols, None, out, |x| integers::peak_on_lowest(x, 128.0))
    }
}
