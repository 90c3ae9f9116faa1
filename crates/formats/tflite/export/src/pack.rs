//! Rows as the bytes the kernels read. Rows are whole bytes, so slabs of rows can be written by themselves.

use half::{bf16, f16};
use lfmq_core::{Payload, QuantizedRows};

/// Which part of a tensor, and in which form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pack {
    /// Values, binary16 if `half`, else binary32.
    Values { half: bool },
    /// Codes; of 4 bits the first lies in the lower half of a byte.
    Codes { bits: u8 },
    /// Scales, binary16 on bfloat16's grid if `half`, else binary32.
    Scales { half: bool },
}

/// What does not fit.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The payload is of another kind or length; what it is.
    Shape(&'static str),
    /// Row and what.
    Value(usize, &'static str),
}

/// The bytes of `rows`.
pub(crate) fn pack(pack: Pack, rows: &QuantizedRows) -> Result<Vec<u8>, Trouble> {
    let cells = rows.rows.saturating_mul(rows.cols);
    match (pack, &rows.payload) {
        (Pack::Values { half }, Payload::Float(values)) if values.len() == cells => values_of(values, half, rows.cols),
        (Pack::Codes { bits }, Payload::Codes { codes, .. }) if codes.len() == cells => {
            codes_of(codes, bits, rows.cols.max(1))
        }
        (Pack::Scales { half }, Payload::Codes { scales, zeros, .. }) if zeros.is_empty() && !scales.is_empty() => {
            scales_of(scales, half, (scales.len() / rows.rows.max(1)).max(1))
        }
        (_, Payload::Float(_)) => Err(Trouble::Shape("floats of another number or place")),
        (_, Payload::Codes { .. }) => Err(Trouble::Shape("codes of another number or place")),
        (_, Payload::Blocks(_)) => Err(Trouble::Shape("blocks")),
    }
}

fn values_of(values: &[f32], half: bool, per_row: usize) -> Result<Vec<u8>, Trouble> {
    // A value the grid promised to be a binary16 must be one.
    let held = |v: &f32| v.is_finite() && (!half || f16::from_f32(*v).to_f32() == *v);
    if !values.iter().fold(true, |sound, v| sound & held(v)) {
        let at = values.iter().position(|v| !held(v)).unwrap_or_default();
        return Err(Trouble::Value(at / per_row.max(1), "a weight the type cannot hold"));
    }
    Ok(floats(values, half))
}

/// A scale that is zero, negative, infinite or subnormal makes the runtime refuse the whole model; one between two
/// bfloat16 would be another number in one kernel than in the next.
fn scales_of(scales: &[f32], half: bool, per_row: usize) -> Result<Vec<u8>, Trouble> {
    let exact = |v: f32| f16::from_f32(v).to_f32() == v && bf16::from_f32(v).to_f32() == v;
    let least = if half { f16::MIN_POSITIVE.to_f32() } else { f32::MIN_POSITIVE };
    let sound = |v: &f32| v.is_finite() && *v >= least && (!half || exact(*v));
    match scales.iter().position(|v| !sound(v)) {
        Some(at) => Err(Trouble::Value(at / per_row, "a scale that kernels do not take")),
        None => Ok(floats(scales, half)),
    }
}

fn floats(values: &[f32], half: bool) -> Vec<u8> {
    match half {
        true => values.iter().flat_map(|v| f16::from_f32(*v).to_le_bytes()).collect(),
        false => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
    }
}

fn codes_of(codes: &[i8], bits: u8, per_row: usize) -> Result<Vec<u8>, Trouble> {
    if bits == 8 {
        return Ok(codes.iter().map(|c| c.cast_unsigned()).collect());
    }
    if !codes.iter().fold(true, |sound, c| sound & (-8..8).contains(c)) {
        let at = codes.iter().position(|c| !(-8..8).contains(c)).unwrap_or_default();
        return Err(Trouble::Value(at / per_row, "a code outside the grid"));
    }
    let (pairs, _) = codes.as_chunks::<2>();
    Ok(pairs.iter().map(|[low, high]| low.cast_unsigned() & 15 | high.cast_unsigned() << 4).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn coded(codes: &[i8], scales: &[f32]) -> QuantizedRows {
        let payload = Payload::Codes { codes: codes.to_vec(), scales: scales.to_vec(), zeros: Vec::new() };
        QuantizedRows { rows: 2, cols: codes.len() / 2, payload }
    }

    #[test]
    fn bytes_by_hand() {
        let all = coded(&[-8, 7, 0, -1], &[0.5, 1.0]);
        assert_eq!(pack(Pack::Codes { bits: 4 }, &all).unwrap(), [0x78, 0xf0]);
        assert_eq!(pack(Pack::Codes { bits: 8 }, &all).unwrap(), [0xf8, 7, 0, 0xff]);
        assert_eq!(pack(Pack::Scales { half: true }, &all).unwrap(), [0x00, 0x38, 0x00, 0x3c]);
    }

    #[test]
    fn scales_that_break_a_model_are_refused() {
        let subnormal = f32::MIN_POSITIVE / 2.0;
        for bad in [0.0, -0.5, f32::INFINITY, f32::NAN, subnormal] {
            for half in [false, true] {
                let found = pack(Pack::Scales { half }, &coded(&[0; 4], &[1.0, bad]));
                assert!(matches!(found, Err(Trouble::Value(1, _))), "{bad}");
            }
        }
        // Off bfloat16's grid, and below binary16's normal numbers: fine only where scales are binary32.
        for bad in [1.0 + 1.0 / 1024.0, 1e-6, 7e4] {
            assert!(pack(Pack::Scales { half: false }, &coded(&[0; 4], &[bad, 1.0])).is_ok());
            assert!(matches!(
                pack(Pack::Scales { half: true }, &coded(&[0; 4], &[bad, 1.0])),
                Err(Trouble::Value(0, _))
            ));
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_by_row() {
        assert_eq!(
            pack(Pack::Codes { bits: 4 }, &coded(&[0, 0, 8, 0], &[1.0; 2])),
            Err(Trouble::Value(1, "a code outside the grid"))
        );
        assert!(matches!(pack(Pack::Values { half: false }, &coded(&[0; 4], &[1.0; 2])), Err(Trouble::Shape(_))));
        let nan = QuantizedRows { rows: 1, cols: 2, payload: Payload::Float(vec![0.0, f32::NAN]) };
        assert!(matches!(pack(Pack::Values { half: false }, &nan), Err(Trouble::Value(0, _))));
    }
}
