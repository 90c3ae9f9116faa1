use super::{Scheme, groups};
use crate::QuantError;
use crate::number::inverse;
use lfmq_core::{Grid, QuantizedRows, SchemeId, Zero};

/// Groups of 32 codes 0..=31: `x = d q + m`.
pub(super) struct Q5_1;

impl Scheme for Q5_1 {
    fn id(&self) -> SchemeId {
        SchemeId("q5_1")
    }

    fn grid(&self) -> Grid {
        groups::affine(5, (0, 31), Zero::Bias)
    }

    fn quantize(
        &self,
        x: &[f32],
        cols: usize,
        importance: Option<&[f32]>,
        out: &mut QuantizedRows,
    ) -> Result<(), QuantError> {
        groups::quantize(self.id(), &self.grid(), x, cols, importance, out, |x, importance, row| match importance {
            Some(weights) => groups::search_asymmetric(31, x, weights, row),
            None => groups::group_by_group(self, x, row),
        })
    }
}

/// From the smallest weight to the largest.
impl groups::Rule for &Q5_1 {
    #[inline(always)]
    fn choose(self, x: &[f32; groups::GROUP], codes: &mut [i8; groups::GROUP]) -> (f32, f32) {
        let (min, max) = groups::ends(x);
        let scale = (max - min) / 31.0;
        let id = inverse(scale);
        groups::cut(x, codes, 31, 0, id, |x| (x - min) * id + 0.5);
        (scale, min)
    }
}
