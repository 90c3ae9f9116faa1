use super::{Scheme, groups};
use crate::QuantError;
use crate::number::inverse;
use lfmq_core::{Grid, QuantizedRows, SchemeId, Zero};

/// Groups of 32 codes -16..=15: `x = d q`.
pub(super) struct Q5_0;

impl Scheme for Q5_0 {
    fn id(&self) -> SchemeId {
        SchemeId("q5_0")
    }

    fn grid(&self) -> Grid {
        groups::affine(5, (-16, 15), Zero::None)
    }

    fn quantize(
        &self,
        x: &[f32],
        cols: usize,
        importance: Option<&[f32]>,
        out: &mut QuantizedRows,
    ) -> Result<(), QuantError> {
        groups::quantize(self.id(), &self.grid(), x, cols, importance, out, |x, importance, row| match importance {
            Some(weights) => groups::search_symmetric(16, x, weights, row),
            None => groups::group_by_group(self, x, row),
        })
    }
}

/// The largest weight, with its sign, lies on the lowest code.
impl groups::Rule for &Q5_0 {
    #[inline(always)]
    fn choose(self, x: &[f32; groups::GROUP], codes: &mut [i8; groups::GROUP]) -> (f32, f32) {
        let scale = groups::peak(x) / -16.0;
        let id = inverse(scale);
        groups::cut(x, codes, 31, 16, id, |x| x * id + 16.5);
        (scale, 0.0)
    }
}
