use super::steps::Step;
use super::{Scheme, integers};
use crate::QuantError;
use crate::lanes::largest;
use lfmq_core::{Grid, QuantizedRows, SchemeId, Zero};

/// One binary32 scale a row, codes -127..=127: `x = d q`, `d = max |x| / 127`, never 0.
pub(super) struct Int8Row;

impl Scheme for Int8Row {
    fn id(&self) -> SchemeId {
        SchemeId("int8-row")
    }

    fn grid(&self) -> Grid {
        integers::grid(8, (-127, 127), 0, Zero::None)
    }

    fn quantize(&self, x: &[f32], cols: usize, _: Option<&[f32]>, out: &mut QuantizedRows) -> Result<(), QuantError> {
        let plain = |x: &[f32]| Step::of(integers::positive(largest(x) / 127.0));
        integers::quantize(self.id(), &self.grid(), x, cols, None, out, plain)
    }
}
