//! Guesses what happened to a tensor that is not what it should be.

use super::tensor::{Replay, TensorComparison, pieces};
use lfmq_core::{Fault, SourceTensor, TensorSource, Weights};

/// Rows that stand for a tensor when it is looked for elsewhere.
const SAMPLE: usize = 8;
/// A cosine above this means: the same values, up to quantization.
const SAME: f64 = 0.9;

/// Writes a diagnosis into a tensor whose replay differs.
pub(super) fn diagnose(
    candidate: &dyn Weights,
    index: usize,
    source: &dyn TensorSource,
    place: usize,
    tensor: &mut TensorComparison,
) -> Result<(), Fault> {
    let cosine = tensor.cosine;
    let Replay::Differs(difference) = &mut tensor.replay else { return Ok(()) };
    let whole = if cosine.abs() < 0.7 { elsewhere(candidate, index, source, place)? } else { None };
    difference.diagnosis = if whole.is_some() {
        whole
    } else if difference.negated {
        Some(if difference.rows == 1 {
            format!(
                "sign flipped in row {}, columns {} to {}",
                difference.first.0, difference.columns.0, difference.columns.1
            )
        } else {
            "signs flipped".to_owned()
        })
    } else if difference.values == 1 {
        Some("a single value changed".to_owned())
    } else if difference.rows == 1 {
        Some(format!(
            "confined to row {}, columns {} to {}",
            difference.first.0, difference.columns.0, difference.columns.1
        ))
    } else {
        None
    };
    Ok(())
}

/// Whether the tensor holds what belongs elsewhere: another tensor of the same shape, or itself transposed.
fn elsewhere(
    candidate: &dyn Weights,
    index: usize,
    source: &dyn TensorSource,
    place: usize,
) -> Result<Option<String>, Fault> {
    let own = &source.tensors()[place];
    let rows = own.rows.min(SAMPLE);
    let mut found = vec![0.0; rows * own.cols];
    candidate.read_rows(index, 0..rows, &mut found)?;
    if own.rows == own.cols && cosine(&found, &transposed(source, place, rows)?) > SAME {
        return Ok(Some("transposed".to_owned()));
    }
    let mut other = vec![0.0; found.len()];
    for (i, tensor) in source.tensors().iter().enumerate() {
        if i != place && same_shape(tensor, own) {
            source.read_rows(i, 0..rows, &mut other)?;
            if cosine(&found, &other) > SAME {
                return Ok(Some(format!("holds the values of {}", tensor.id)));
            }
        }
    }
    Ok(None)
}

const fn same_shape(a: &SourceTensor, b: &SourceTensor) -> bool {
    a.rows == b.rows && a.cols == b.cols
}

/// The first `rows` columns of a tensor as rows.
fn transposed(source: &dyn TensorSource, place: usize, rows: usize) -> Result<Vec<f32>, Fault> {
    let tensor = &source.tensors()[place];
    let mut out = vec![0.0; rows * tensor.rows];
    let mut piece = Vec::new();
    for range in pieces(tensor.rows, tensor.cols) {
        piece.resize(range.len() * tensor.cols, 0.0);
        source.read_rows(place, range.clone(), &mut piece)?;
        for (r, values) in range.zip(piece.chunks_exact(tensor.cols)) {
            for (c, value) in values.iter().take(rows).enumerate() {
                out[c * tensor.rows + r] = *value;
            }
        }
    }
    Ok(out)
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let (mut dot, mut aa, mut bb) = (0.0, 0.0, 0.0);
    for (a, b) in a.iter().zip(b) {
        let (a, b) = (f64::from(*a), f64::from(*b));
        dot += a * b;
        aa += a * a;
        bb += b * b;
    }
    if aa > 0.0 && bb > 0.0 { dot / (aa * bb).sqrt() } else { 0.0 }
}
