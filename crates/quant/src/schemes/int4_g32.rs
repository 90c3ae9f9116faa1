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
        integers::quantize(self.id(), &self.grid(), x, cols, importance, out, |x, weights| {
            let plain = integers::peak_on_lowest(x, 8.0);
            weights.map_or(plain, |w| integers::search(plain, x, w, (-8.0, 7.0), false, |scale| scale))
        })
    }
}
