//! What the float schemes share: every weight is rounded by itself.

use super::check;
use crate::QuantError;
use lfmq_core::{Payload, QuantizedRows, SchemeId};

/// Rounds every weight by `round`, which works on a row in place.
pub(super) fn quantize(
    scheme: SchemeId,
    x: &[f32],
    cols: usize,
    out: &mut QuantizedRows,
    round: impl Fn(&mut [f32]),
) -> Result<(), QuantError> {
    check(scheme, 1, x, cols, None)?;
    (out.rows, out.cols) = (x.len() / cols, cols);
    if !matches!(out.payload, Payload::Float(_)) {
        out.payload = Payload::Float(Vec::new());
    }
    let Payload::Float(values) = &mut out.payload else { return Ok(()) };
    values.clear();
    values.extend_from_slice(x);
    round(values);
    match values.iter().position(|v| !v.is_finite()) {
        Some(at) => Err(QuantError::Scale { scheme: scheme.0, row: at / cols, col: at % cols, value: x[at] }),
        None => Ok(()),
    }
}
