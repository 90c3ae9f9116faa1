//! Roundings, each with the bits that the reference has for every input.

use half::f16;
use half::slice::HalfFloatSliceExt;

/// 1.5 * 2^23: a number within +-2^22 that is added to it loses its fraction, ties to even, and leaves its integer in
/// the low bits.
const CUTTER: f32 = 12_582_912.0;

/// Nearest integer, ties to even: wraps beyond +-2^22, NaN gives 0.
#[inline(always)]
pub(crate) fn nearest(v: f32) -> i32 {
    ((v + CUTTER).to_bits() & 0x007f_ffff) as i32 - 0x0040_0000
}

/// [`nearest`] of a value within +-2^22, as a float.
#[inline(always)]
pub(crate) fn rounded(v: f32) -> f32 {
    (v + CUTTER) - CUTTER
}

/// [`nearest`] within `low..=high`, as a float.
#[inline(always)]
pub(crate) fn nearest_within(v: f32, low: f32, high: f32) -> f32 {
    within(nearest(v) as f32, low, high)
}

/// `v`, or the end of `low..=high` that it is beyond.
#[inline(always)]
pub(crate) fn within(v: f32, low: f32, high: f32) -> f32 {
    let v = if v > low { v } else { low };
    if v < high { v } else { high }
}

/// A whole number in `0..=255` as a byte.
#[inline(always)]
pub(crate) fn small(v: f32) -> u8 {
    (v + CUTTER).to_bits() as u8
}

/// Nearest integer, ties away from zero, of a value within +-2^22.
#[inline(always)]
pub(crate) fn nearest_away(v: f32) -> i32 {
    let even = rounded(v.abs());
    // The subtraction is exact; adding a half before cutting would not be.
    let away = if v.abs() - even == 0.5 { even + 1.0 } else { even };
    nearest(away.copysign(v))
}

/// Rounded to binary16.
#[inline]
pub(crate) fn half(v: f32) -> f32 {
    f16::from_f32(v).to_f32()
}

/// Rounds values to binary16; the first that is not finite then is the error, as it was, with its index.
pub(crate) fn halves(values: &mut [f32]) -> Result<(), (usize, f32)> {
    const PART: usize = 64;
    let mut rounded = [f16::ZERO; PART];
    for (part, values) in values.chunks_mut(PART).enumerate() {
        let rounded = &mut rounded[..values.len()];
        rounded.convert_from_f32_slice(values);
        if let Some(at) = rounded.iter().position(|h| !h.is_finite()) {
            return Err((part * PART + at, values[at]));
        }
        rounded.convert_to_f32_slice(values);
    }
    Ok(())
}

/// The binary16 number in two bytes.
#[inline]
pub(crate) fn half_at(bytes: &[u8], at: usize) -> f32 {
    f16::from_le_bytes([bytes[at], bytes[at + 1]]).to_f32()
}

/// Stores `v` rounded to binary16 and returns what was stored; a value that is not finite then is the error.
#[inline]
pub(crate) fn put_half(bytes: &mut [u8], at: usize, v: f32) -> Result<f32, f32> {
    let h = f16::from_f32(v);
    bytes[at..at + 2].copy_from_slice(&h.to_le_bytes());
    if h.is_finite() { Ok(h.to_f32()) } else { Err(v) }
}

/// `1 / d`, or 0 for 0.
#[inline(always)]
pub(crate) fn inverse(d: f32) -> f32 {
    if d == 0.0 { 0.0 } else { 1.0 / d }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties() {
        for (v, even, away) in [
            (0.5, 0, 1),
            (1.5, 2, 2),
            (-2.5, -2, -3),
            (0.499_999_97, 0, 0),
            (126.5, 126, 127),
            (-0.5, 0, -1),
            (-1.499_999_9, -1, -1),
        ] {
            assert_eq!((nearest(v), nearest_away(v)), (even, away), "{v}");
        }
        assert_eq!(nearest(f32::NAN), 0);
        assert!((0..=255u8).all(|v| small(v.into()) == v));
        assert_eq!(nearest_within(1e30, 0.0, 15.0), nearest(1e30).clamp(0, 15) as f32);
    }
}
