//! Weights as the file holds them: what nodes compute with, read back row by row from the stored bytes.

use crate::RunError;
use crate::onnx::Onnx;
use crate::operators::BlockRows;
use crate::stored::{Place, Stored};
use crate::tensor::{Kind, Why};
use lfmq_core::{Fault, StoredTensor, Weights};
use std::ops::Range;
use std::sync::Arc;

/// One matrix or vector that a node computes with.
#[derive(Clone)]
pub(crate) struct Held {
    pub tensor: StoredTensor,
    values: Values,
}

#[derive(Clone)]
enum Values {
    /// Floats `[rows, cols]`.
    Floats(Stored),
    /// Row `i` is row `first + i * step` of these.
    Blocks { rows: Arc<BlockRows>, first: usize, step: usize },
    /// `(code - zero) * scale`, one scale a row.
    Rows { codes: Stored, zero: i64, scales: Stored },
}

impl Held {
    /// An initializer of floats, under its own name. A vector is one row; what is deeper than a matrix is flattened.
    pub fn floats(name: &str, stored: &Stored) -> Self {
        let scheme = if stored.kind == Kind::F16 { "f16" } else { "f32" };
        let (rows, cols) = match *stored.shape {
            [] => (1, 1),
            [n] => (1, n),
            [rows, ref rest @ ..] => (rows, rest.iter().product()),
        };
        Self { tensor: entry(name, scheme, (rows, cols), stored.bytes().len()), values: Values::Floats(stored.clone()) }
    }

    /// All rows of a matrix in blocks.
    pub fn blocks(name: &str, rows: &Arc<BlockRows>) -> Self {
        let all = rows.shape().0;
        Self::part(name, rows, (0, 1), all)
    }

    /// Every `step`th row from `first` on, `count` of them.
    pub fn part(name: &str, rows: &Arc<BlockRows>, (first, step): (usize, usize), count: usize) -> Self {
        let tensor = entry(name, &rows.scheme(), (count, rows.shape().1), count * rows.row_bytes());
        Self { tensor, values: Values::Blocks { rows: rows.clone(), first, step } }
    }

    /// Codes `[rows, cols]` with one scale a row.
    pub fn rows(name: &str, codes: &Stored, zero: i64, scales: &Stored) -> Option<Self> {
        let [rows, cols] = *codes.shape else { return None };
        let fits = matches!(codes.kind, Kind::U8 | Kind::I8) && scales.kind.is_float() && scales.count() == rows;
        let bytes = codes.bytes().len() + scales.bytes().len();
        let values = Values::Rows { codes: codes.clone(), zero, scales: scales.clone() };
        fits.then(|| Self { tensor: entry(name, "int8-row", (rows, cols), bytes), values })
    }

    /// The stored row that its first row is. Two of one name, the same places and the same first row are one.
    pub fn first(&self) -> usize {
        if let Values::Blocks { first, .. } = &self.values { *first } else { 0 }
    }

    /// Where all its parts begin.
    pub fn places(&self) -> Vec<Place> {
        match &self.values {
            Values::Floats(stored) => vec![stored.place()],
            Values::Blocks { rows, .. } => rows.places(),
            Values::Rows { codes, scales, .. } => vec![codes.place(), scales.place()],
        }
    }

    fn row(&self, row: usize, out: &mut Vec<f32>) -> Result<(), Why> {
        let cols = self.tensor.cols;
        match &self.values {
            Values::Floats(stored) => stored.floats(row * cols..(row + 1) * cols, out),
            Values::Blocks { rows, first, step } => rows.widen(first + row * step, out),
            Values::Rows { codes, zero, scales } => {
                let bytes = codes.bytes().get(row * cols..(row + 1) * cols).ok_or("a row outside the codes")?;
                let mut scale = Vec::new();
                scales.floats(row..row + 1, &mut scale)?;
                let scale = scale.first().copied().unwrap_or_default();
                let signed = codes.kind == Kind::I8;
                let code = |b: &u8| if signed { i64::from(b.cast_signed()) } else { i64::from(*b) };
                out.extend(bytes.iter().map(|b| (code(b) - zero) as f32 * scale));
                Ok(())
            }
        }
    }
}

fn entry(name: &str, scheme: &str, (rows, cols): (usize, usize), bytes: usize) -> StoredTensor {
    StoredTensor { id: None, name: name.to_owned(), scheme: scheme.to_owned(), rows, cols, bytes: bytes as u64 }
}

/// What the names of one matrix's codes and scales have in common, without the mark that ends it: `x.w` for `x.w.codes`
/// and `x.w.scales`; the name of the codes where they have nothing in common.
pub(crate) fn common_name<'a>(codes: &'a str, scales: &str) -> &'a str {
    let same = codes.char_indices().zip(scales.chars()).take_while(|((_, a), b)| a == b);
    let length = same.map(|((at, c), _)| at + c.len_utf8()).last().unwrap_or(0);
    let common = codes.get(..length).unwrap_or_default();
    // What follows the last mark only happens to begin alike.
    let ends = if common == codes { None } else { common.rfind(['.', '_', '/']) };
    match ends.and_then(|at| common.get(..at)) {
        None | Some("") => codes,
        Some(name) => name,
    }
}

impl Weights for Onnx {
    fn tensors(&self) -> &[StoredTensor] {
        &self.tensors
    }

    fn read_rows(&self, index: usize, rows: Range<usize>, out: &mut [f32]) -> Result<(), Fault> {
        let refuse = |why: String| -> RunError { self.fault(why) };
        let held = self.plan.held.get(index).ok_or_else(|| refuse(format!("no stored tensor {index}")))?;
        let tensor = &held.tensor;
        if rows.start > rows.end || rows.end > tensor.rows || (rows.end - rows.start) * tensor.cols != out.len() {
            let why =
                format!("rows {rows:?} of `{}`, [{}, {}], into {}", tensor.name, tensor.rows, tensor.cols, out.len());
            return Err(refuse(why).into());
        }
        let mut one = Vec::with_capacity(tensor.cols);
        for (row, to) in rows.zip(out.chunks_exact_mut(tensor.cols.max(1))) {
            one.clear();
            held.row(row, &mut one).map_err(|why| refuse(format!("`{}`: {why}", tensor.name)))?;
            to.copy_from_slice(&one);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::common_name;

    #[test]
    fn codes_and_scales_share_a_name() {
        for (codes, scales, name) in [
            ("a.weight.codes", "a.weight.scales", "a.weight"),
            ("w_quant", "w_scales", "w"),
            ("m.w_qcodes", "m.w_qscales", "m.w"),
            ("onnx::1", "other", "onnx::1"),
            ("same", "same", "same"),
        ] {
            assert_eq!(common_name(codes, scales), name);
        }
    }
}
