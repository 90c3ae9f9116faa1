use super::{Scheme, groups};
use crate::QuantError;
use crate::number::inverse;
use lfmq_core::{Grid, QuantizedRows, SchemeId, Zero};

/// Groups of 32 codes 0..=15: `x = d q + m`.
pub(super) struct Q4_1;

impl Scheme for Q4_1 {
    fn id(&self) -> SchemeId {
        SchemeId("q4_1")
    }

    fn grid(&self) -> Grid {
        groups::affine(4, (0, 15), Zero::Bias)
    }

    fn quantize(
        &self,
        x: &[f32],
        cols: usize,
        importance: Option<&[f32]>,
        out: &mut QuantizedRows,
    ) -> Result<(), QuantError> {
        groups::quantize(self.id(), &self.grid(), x, cols, importance, out, |x, importance, row| match importance {
            Some(weights) => groups::search_asymmetric(15, x, weights, row),
            None => groups::group_by_group(self, x, row),
        })
    }
}

/// From the smallest weight to the largest.
impl groups::Rule for &Q4_1 {
    #[inline(always)]
    fn choose(self, x: &[f32; groups::GROUP], codes: &mut [i8; groups::GROUP]) -> (f32, f32) {
        let (min, max) = groups::ends(x);
        let scale = (max - min) / 15.0;
        let id = inverse(scale);
        groups::cut(x, codes, 15, 0, id, |x| (x - min) * id + 0.5);
        (scale, min)
    }
}
