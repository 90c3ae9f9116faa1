//! Rows as the bytes the operators read. Rows are whole bytes, so slabs of rows can be written by themselves.

use half::f16;
use lfmq_core::{Payload, QuantizedRows};

/// Which part of a tensor, and in which form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pack {
    /// Values.
    Values { half: bool },
    /// Codes, lowest bits first.
    Codes { bits: u8, shift: i16 },
    /// Scales.
    Scales { half: bool },
    /// Zeros as codes; a row of them fills its last byte with zero bits.
    Zeros { bits: u8, shift: i16 },
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
        (Pack::Values { half }, Payload::Float(values)) if values.len() == cells => {
            floats(values, half, rows.rows, "a weight that is not finite")
        }
        (Pack::Codes { bits, shift }, Payload::Codes { codes, .. }) if codes.len() == cells => {
            let codes = codes.iter().map(|c| Some(i16::from(*c)));
            integers(codes.collect(), bits, shift, rows.rows, "a code outside the grid")
        }
        (Pack::Scales { half }, Payload::Codes { scales, .. }) if whole(scales, rows.rows) => {
            floats(scales, half, rows.rows, "a scale the type cannot hold")
        }
        (Pack::Zeros { bits, shift }, Payload::Codes { zeros, .. }) if whole(zeros, rows.rows) => {
            let code = |z: &f32| (z.fract() == 0.0 && z.abs() < 1e4).then_some(*z as i16);
            integers(zeros.iter().map(code).collect(), bits, shift, rows.rows, "a zero outside the grid")
        }
        (_, Payload::Float(_)) => Err(Trouble::Shape("floats of another number or place")),
        (_, Payload::Codes { .. }) => Err(Trouble::Shape("codes of another number or place")),
        (_, Payload::Blocks(_)) => Err(Trouble::Shape("blocks")),
    }
}

fn whole(values: &[f32], rows: usize) -> bool {
    rows > 0 && !values.is_empty() && values.len().is_multiple_of(rows)
}

fn floats(values: &[f32], half: bool, rows: usize, what: &'static str) -> Result<Vec<u8>, Trouble> {
    let per_row = (values.len() / rows.max(1)).max(1);
    // A value the grid promised to be a binary16 must be one.
    let held = |v: &f32| v.is_finite() && (!half || f16::from_f32(*v).to_f32() == *v);
    if let Some(at) = values.iter().position(|v| !held(v)) {
        return Err(Trouble::Value(at / per_row, what));
    }
    Ok(match half {
        true => values.iter().flat_map(|v| f16::from_f32(*v).to_le_bytes()).collect(),
        false => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
    })
}

fn integers(
    codes: Vec<Option<i16>>,
    bits: u8,
    shift: i16,
    rows: usize,
    what: &'static str,
) -> Result<Vec<u8>, Trouble> {
    let per_row = (codes.len() / rows.max(1)).max(1);
    let mut out = Vec::with_capacity(codes.len());
    for (row, codes) in codes.chunks(per_row).enumerate() {
        let stored = |c: &Option<i16>| c.map(|c| c + shift).filter(|c| (0..1 << bits).contains(c)).map(|c| c as u8);
        let bytes: Option<Vec<u8>> = match bits {
            4 => codes.chunks(2).map(|pair| pair.iter().rev().try_fold(0, |b, c| Some(b << 4 | stored(c)?))).collect(),
            _ => codes.iter().map(stored).collect(),
        };
        out.extend(bytes.ok_or(Trouble::Value(row, what))?);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(codes: &[i8], scales: &[f32], zeros: &[f32]) -> QuantizedRows {
        let payload = Payload::Codes { codes: codes.to_vec(), scales: scales.to_vec(), zeros: zeros.to_vec() };
        QuantizedRows { rows: 2, cols: codes.len() / 2, payload }
    }

    #[test]
    fn nibbles_come_lowest_first_and_rows_of_zeros_are_filled_up() {
        let all = rows(&[1, 2, 3, 4, 15, 0, 7, 8], &[1.0; 6], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        assert_eq!(pack(Pack::Codes { bits: 4, shift: 0 }, &all).unwrap(), [0x21, 0x43, 0x0f, 0x87]);
        assert_eq!(pack(Pack::Zeros { bits: 4, shift: 0 }, &all).unwrap(), [0x21, 0x03, 0x54, 0x06]);
        assert_eq!(pack(Pack::Zeros { bits: 8, shift: 0 }, &all).unwrap(), [1, 2, 3, 4, 5, 6]);
        let signed = rows(&[-8, 7, 0, -1], &[0.5, 1.0], &[]);
        assert_eq!(pack(Pack::Codes { bits: 4, shift: 8 }, &signed).unwrap(), [0xf0, 0x78]);
        assert_eq!(pack(Pack::Codes { bits: 8, shift: 128 }, &signed).unwrap(), [120, 135, 128, 127]);
        assert_eq!(pack(Pack::Scales { half: true }, &signed).unwrap(), [0x00, 0x38, 0x00, 0x3c]);
    }

    #[test]
    fn what_does_not_fit_is_refused_by_row() {
        let bad = rows(&[0, 0, 9, 0], &[1.0, 1.0 + 1e-6], &[0.0, 0.5]);
        for (how, row) in [
            (Pack::Codes { bits: 4, shift: 8 }, 1),
            (Pack::Scales { half: true }, 1),
            (Pack::Zeros { bits: 4, shift: 0 }, 1),
        ] {
            assert!(matches!(pack(how, &bad), Err(Trouble::Value(r, _)) if r == row), "{how:?}");
        }
        assert!(pack(Pack::Scales { half: false }, &bad).is_ok());
        assert!(matches!(pack(Pack::Values { half: false }, &bad), Err(Trouble::Shape(_))));
        let nan = QuantizedRows { rows: 1, cols: 2, payload: Payload::Float(vec![0.0, f32::NAN]) };
        assert!(matches!(pack(Pack::Values { half: false }, &nan), Err(Trouble::Value(0, _))));
    }
}
