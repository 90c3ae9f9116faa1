use super::{Scheme, groups};
use crate::QuantError;
use crate::number::inverse;
use lfmq_core::{Grid, QuantizedRows, SchemeId, Zero};

/// Groups of 32 codes -8..=7: `x = d q`.
pub(super) struct Q4_0;

impl Scheme for Q4_0 {
    fn id(&self) -> SchemeId {
        SchemeId("q4_0")
    }

    fn grid(&self) -> Grid {
        groups::affine(4, (-8, 7), Zero::None)
    }

    fn quantize(
        &self,
        x: &[f32],
        cols: usize,
        importance: Option<&[f32]>,
        out: &mut QuantizedRows,
    ) -> Result<(), QuantError> {
        groups::quantize(self.id(), &self.grid(), x, cols, importance, out, |x, importance, row| match importance {
            Some(weights) => groups::search_symmetric(8, x, weights, row),
            None => groups::group_by_group(self, x, row),
        })
    }
}

/// The largest weight, with its sign, lies on the lowest code.
impl groups::Rule for &Q4_0 {
    #[inline(always)]
    fn choose(self, x: &[f32; groups::GROUP], codes: &mut [i8; groups::GROUP]) -> (f32, f32) {
        let scale = groups::peak(x) / -8.0;
        let id = inverse(scale);
        groups::cut(x, codes, 15, 8, id, |x| x * id + 8.5);
        (scale, 0.0)
    }
}
