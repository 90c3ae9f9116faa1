use super::{Scheme, groups};
use crate::QuantError;
use crate::lanes::magnitude;
use lfmq_core::{Grid, QuantizedRows, ScaleKind, SchemeId};

/// Twice the E2M1 numbers; 8 is minus zero, which is never chosen.
const LEVELS: [i8; 16] = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12];

/// OCP MXFP4: groups of 32 four-bit floats under a power of two. Importance does not matter to it.
pub(super) struct MXFP4;

impl Scheme for MXFP4 {
    fn id(&self) -> SchemeId {
        SchemeId("mxfp4")
    }

    fn grid(&self) -> Grid {
        Grid::Codebook { levels: &LEVELS, group: groups::GROUP, scale: ScaleKind::E8M0 }
    }

    fn quantize(&self, x: &[f32], cols: usize, _: Option<&[f32]>, out: &mut QuantizedRows) -> Result<(), QuantError> {
        groups::quantize(self.id(), &self.grid(), x, cols, None, out, |x, _, row| {
            groups::group_by_group(self, x, row);
        })
    }
}

impl groups::Rule for &MXFP4 {
    #[inline(always)]
    fn choose(self, x: &[f32; groups::GROUP], codes: &mut [i8; groups::GROUP]) -> (f32, f32) {
        let scale = power(exponent(magnitude(x)));
        let levels = LEVELS.map(|l| f32::from(l) * scale);
        for (code, x) in codes.iter_mut().zip(x) {
            *code = nearest(&levels, *x);
        }
        (scale, 0.0)
    }
}

/// The scale's exponent byte: the largest weight lands between 4 and 8 (doubled: 8 and 16). Below 2^-125 the byte
/// wraps, as the reference's does.
fn exponent(max: f32) -> u8 {
    if max > 0.0 { ((f64::from(max).log2() as f32).floor() - 2.0 + 127.0) as i32 as u8 } else { 0 }
}

/// Half the E8M0 number, since the levels are doubled; its NaN is no scale.
fn power(e: u8) -> f32 {
    match e {
        255 => f32::NAN,
        0 => f32::from_bits(0x0020_0000),
        1 => f32::from_bits(0x0040_0000),
        e => f32::from_bits(u32::from(e - 1) << 23),
    }
}

/// The first of the nearest levels.
fn nearest(levels: &[f32; 16], x: f32) -> i8 {
    let (mut best, mut least) = (0, (levels[0] - x).abs());
    for (i, level) in (1i8..).zip(&levels[1..]) {
        let d = (level - x).abs();
        if d < least {
            (best, least) = (i, d);
        }
    }
    best
}
