use super::{Scheme, groups};
use crate::QuantError;
use crate::lanes::magnitude;
use crate::number::{inverse, nearest_away};
use lfmq_core::{Grid, QuantizedRows, SchemeId, Zero};

/// Groups of 32 codes -127..=127: `x = d q`, `d = max |x| / 127`. The codes are rounded with the scale as it was
/// before it became a binary16.
pub(super) struct Q8_0;

impl Scheme for Q8_0 {
    fn id(&self) -> SchemeId {
        SchemeId("q8_0")
    }

    fn grid(&self) -> Grid {
        groups::affine(8, (-127, 127), Zero::None)
    }

    fn quantize(&self, x: &[f32], cols: usize, _: Option<&[f32]>, out: &mut QuantizedRows) -> Result<(), QuantError> {
        groups::quantize(self.id(), &self.grid(), x, cols, None, out, |x, _, row| {
            groups::group_by_group(self, x, row);
        })
    }
}

impl groups::Rule for &Q8_0 {
    #[inline(always)]
    fn choose(self, x: &[f32; groups::GROUP], codes: &mut [i8; groups::GROUP]) -> (f32, f32) {
        let scale = magnitude(x) / 127.0;
        let id = inverse(scale);
        // The reference's conversion of an infinity gives 0.
        let id = if id.is_finite() { id } else { 0.0 };
        for (code, x) in codes.iter_mut().zip(x) {
            *code = nearest_away(x * id) as i8;
        }
        (scale, 0.0)
    }
}
