use super::steps::Search;
use super::{Scheme, integers};
use crate::QuantError;
use lfmq_core::{Grid, QuantizedRows, SchemeId, Zero};

/// Groups of 32 codes 0..=15 with binary32 scales and an integer zero: `x = d (q - z)`.
pub(super) struct Int4G32Zp;

impl Scheme for Int4G32Zp {
    fn id(&self) -> SchemeId {
        SchemeId("int4-g32-zp")
    }

    fn grid(&self) -> Grid {
        integers::grid(4, (0, 15), 32, Zero::Int)
    }

    fn quantize(
        &self,
        x: &[f32],
        cols: usize,
        importance: Option<&[f32]>,
        out: &mut QuantizedRows,
    ) -> Result<(), QuantError> {
        let search = importance.map(|w| (w, Search { zeros: true, stored: |scale| scale }));
        integers::quantize(self.id(), &self.grid(), x, cols, search, out, |x| integers::between_ends(x, 15.0))
    }
}
