use super::steps::Search;
use super::{Scheme, integers};
use crate::QuantError;
use lfmq_core::{Grid, QuantizedRows, SchemeId, Zero};

/// Groups of 32 codes -8..=7 with binary32 scales: `x = d q`, as ONNX Runtime's own quantizer chooses them.
pub(super) struct Int4G32;

impl Scheme for Int4G32 {
    fn id(&self) -> SchemeId {
        SchemeId("int4-g32")
    }

    fn grid(&self) -> Grid {
        integers::grid(4, (-8, 7), 32, Zero::None)
    }

    fn quantize(
        &self,
        x: &[f32],
        cols: usize,
        importance: Option<&[f32]>,
        out: &mut QuantizedRows,
    ) -> Result<(), QuantError> {
        let search = importance.map(|w| (w, Search { zeros: false, stored: |scale| scale }));
        integers::quantize(self.id(), &self.grid(), x, cols, search, out, |x| integers::peak_on_lowest(x, 8.0))
    }
}
