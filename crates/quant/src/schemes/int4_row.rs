use super::steps::{Search, Step};
use super::{Scheme, integers};
use crate::QuantError;
use crate::lanes::largest;
use lfmq_core::{Grid, QuantizedRows, SchemeId, Zero};

/// One binary32 scale a row, codes -7..=7 (-8 is computed wrongly by LiteRT's built-in kernels): `x = d q`, `d` above 0
/// and searched for the least squared error.
pub(super) struct Int4Row;

impl Scheme for Int4Row {
    fn id(&self) -> SchemeId {
        SchemeId("int4-row")
    }

    fn grid(&self) -> Grid {
        integers::grid(4, (-7, 7), 0, Zero::None)
    }

    fn quantize(
        &self,
        x: &[f32],
        cols: usize,
        importance: Option<&[f32]>,
        out: &mut QuantizedRows,
    ) -> Result<(), QuantError> {
        let alike = vec![1.0; cols];
        let search = (importance.unwrap_or(&alike), Search { zeros: false, stored: integers::positive });
        let plain = |x: &[f32]| Step::of(integers::positive(largest(x) / 7.0));
        integers::quantize(self.id(), &self.grid(), x, cols, Some(search), out, plain)
    }
}
