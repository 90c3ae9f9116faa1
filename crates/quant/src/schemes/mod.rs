//! The schemes, one file each. A scheme chooses values and knows the numbers they stand for; how a file packs them
//! is the exporter's business, except for the super-block layouts, whose values are their bytes.

mod bf16;
mod blocks;
mod f16;
mod f32;
mod floats;
mod groups;
mod int4_b;
mod int4_g32;
mod int4_g32_zp;
mod int4_row;
mod int8_g32;
mod int8_row;
mod integers;
mod iq4_nl;
mod iq4_xs;
mod mxfp4;
mod q2_k;
mod q3_k;
mod q4_0;
mod q4_1;
mod q4_k;
mod q5_0;
mod q5_1;
mod q5_k;
mod q6_k;
mod q8_0;
mod steps;
mod tq1_0;
mod tq2_0;

use crate::QuantError;
use crate::lanes::LANES;
use lfmq_core::{Grid, Payload, QuantizedRows, SchemeId};
use lfmq_kernels::multiversion;
use std::ops::Range;

/// Chooses values on one grid.
pub trait Scheme: Sync {
    /// Its name, e.g. `q4_k`.
    fn id(&self) -> SchemeId;

    /// The grid its values lie on.
    fn grid(&self) -> Grid;

    /// Quantizes `x` (`[rows, cols]`, whole rows) into `out`, whose buffers are reused. `importance` is one
    /// weight a column; schemes that have no use for it ignore it.
    ///
    /// # Errors
    /// A value that is not finite, a scale that the grid cannot store, or rows that are not whole blocks.
    fn quantize(
        &self,
        x: &[f32],
        cols: usize,
        importance: Option<&[f32]>,
        out: &mut QuantizedRows,
    ) -> Result<(), QuantError>;
}

/// Every scheme.
pub static ALL: [&dyn Scheme; 27] = [
    &f32::F32,
    &f16::F16,
    &bf16::BF16,
    &q8_0::Q8_0,
    &q4_0::Q4_0,
    &q4_1::Q4_1,
    &q5_0::Q5_0,
    &q5_1::Q5_1,
    &q2_k::Q2_K,
    &q3_k::Q3_K,
    &q4_k::Q4_K,
    &q5_k::Q5_K,
    &q6_k::Q6_K,
    &iq4_nl::IQ4_NL,
    &iq4_xs::IQ4_XS,
    &mxfp4::MXFP4,
    &tq1_0::TQ1_0,
    &tq2_0::TQ2_0,
    &int4_g32::Int4G32,
    &int4_g32_zp::Int4G32Zp,
    &int8_g32::Int8G32,
    &int8_row::Int8Row,
    &int4_row::Int4Row,
    &int4_b::Int4B { id: "int4-b32", block: 32 },
    &int4_b::Int4B { id: "int4-b64", block: 64 },
    &int4_b::Int4B { id: "int4-b128", block: 128 },
    &int4_b::Int4B { id: "int4-b256", block: 256 },
];

/// The scheme of this name, in any case.
#[must_use]
pub fn scheme(name: &str) -> Option<&'static dyn Scheme> {
    ALL.iter().find(|s| s.id().0.eq_ignore_ascii_case(name)).copied()
}

/// The values that `rows` stand for on `grid`, `[rows, cols]`.
///
/// # Errors
/// When the payload is not one of `grid` or the lengths do not fit.
pub fn dequantize(grid: &Grid, rows: &QuantizedRows, out: &mut [f32]) -> Result<(), QuantError> {
    expect("the output", rows.rows * rows.cols, out.len())?;
    decode(grid, rows.cols, Chosen::of(&rows.payload), out)
}

/// Values of a part.
const PART: usize = 4096;

/// [`dequantize`], part by part: `f` gets the weights' range and their values while those are in the first cache. Parts are
/// multiples of 16 weights, but for the last one.
pub(crate) fn dequantize_parts(
    grid: &Grid,
    rows: &QuantizedRows,
    buffer: &mut Vec<f32>,
    mut f: impl FnMut(Range<usize>, &[f32]),
) -> Result<(), QuantError> {
    let (all, whole) = (rows.rows * rows.cols, Chosen::of(&rows.payload));
    let block = if let Grid::Affine { group: 0, .. } = grid { rows.cols } else { grid.block() };
    let part = PART.next_multiple_of(block.max(1));
    let part = if part.is_multiple_of(LANES) { part } else { all.max(1) };
    for start in (0..all).step_by(part) {
        let range = start..all.min(start + part);
        buffer.resize(range.len(), 0.0);
        decode(grid, rows.cols, whole.part(grid, block, range.clone()), buffer)?;
        f(range, buffer);
    }
    Ok(())
}

/// A payload, or a part of one.
#[derive(Clone, Copy)]
enum Chosen<'a> {
    Float(&'a [f32]),
    Codes { codes: &'a [i8], scales: &'a [f32], zeros: &'a [f32] },
    Blocks(&'a [u8]),
}

impl<'a> Chosen<'a> {
    fn of(payload: &'a Payload) -> Self {
        match payload {
            Payload::Float(values) => Self::Float(values),
            Payload::Codes { codes, scales, zeros } => Self::Codes { codes, scales, zeros },
            Payload::Blocks(bytes) => Self::Blocks(bytes),
        }
    }

    /// What stands for the weights `range`, whole blocks of `block` weights. Nothing where that is not all there.
    fn part(self, grid: &Grid, block: usize, range: Range<usize>) -> Self {
        let blocks = range.start / block.max(1)..range.end / block.max(1);
        match self {
            Self::Float(values) => Self::Float(values.get(range).unwrap_or_default()),
            Self::Codes { codes, scales, zeros } => Self::Codes {
                codes: codes.get(range).unwrap_or_default(),
                scales: scales.get(blocks.clone()).unwrap_or_default(),
                zeros: zeros.get(blocks).unwrap_or_default(),
            },
            Self::Blocks(bytes) => {
                let size = if let Grid::Opaque { layout } = grid { layout.block_bytes() } else { 0 };
                Self::Blocks(bytes.get(blocks.start * size..blocks.end * size).unwrap_or_default())
            }
        }
    }
}

fn decode(grid: &Grid, cols: usize, chosen: Chosen<'_>, out: &mut [f32]) -> Result<(), QuantError> {
    match (grid, chosen) {
        (Grid::Float { .. }, Chosen::Float(values)) => {
            expect("the payload", out.len(), values.len())?;
            out.copy_from_slice(values);
            Ok(())
        }
        (Grid::Affine { group, .. }, Chosen::Codes { codes, scales, zeros }) => {
            let group = if *group == 0 { cols } else { *group };
            groups::decode_affine(grid, group, codes, scales, zeros, out)
        }
        (Grid::Codebook { levels, group, .. }, Chosen::Codes { codes, scales, .. }) => {
            groups::decode_levels(levels, *group, codes, scales, out)
        }
        (Grid::Opaque { layout }, Chosen::Blocks(bytes)) => blocks::decode(*layout, bytes, out),
        _ => Err(QuantError::Payload { grid: grid.to_string() }),
    }
}

fn expect(what: &'static str, expected: usize, found: usize) -> Result<(), QuantError> {
    if expected == found { Ok(()) } else { Err(QuantError::Length { what, expected, found }) }
}

/// Checks what every scheme asks of its input: whole rows of whole blocks, finite, one importance weight a column.
fn check(scheme: SchemeId, block: usize, x: &[f32], cols: usize, importance: Option<&[f32]>) -> Result<(), QuantError> {
    if cols == 0 || !cols.is_multiple_of(block) {
        return Err(QuantError::Row { scheme: scheme.0, cols, block });
    }
    expect("the slab", x.len().next_multiple_of(cols), x.len())?;
    if let Some(weights) = importance {
        expect("the importance of columns", cols, weights.len())?;
    }
    if finite(x) {
        return Ok(());
    }
    let at = x.iter().position(|v| !v.is_finite()).unwrap_or_default();
    Err(QuantError::NotFinite { row: at / cols, col: at % cols, value: x[at] })
}

multiversion! {
    /// One pass without a branch: the greatest exponent tells.
    fn finite['a](x: &'a [f32]) -> bool {
        x.iter().fold(0, |most, v| (v.to_bits() & 0x7f80_0000).max(most)) < 0x7f80_0000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_the_whole() {
        let (rows, cols) = (3, 8192 + 256);
        let x: Vec<f32> = (0..rows * cols).map(|i| ((i * 7919 % 1013) as f32 / 1013.0 - 0.45).powi(3)).collect();
        for scheme in ALL {
            let (grid, mut chosen, mut all) = (scheme.grid(), QuantizedRows::default(), vec![0.0; x.len()]);
            scheme.quantize(&x, cols, None, &mut chosen).unwrap();
            dequantize(&grid, &chosen, &mut all).unwrap();
            let mut joined = Vec::new();
            dequantize_parts(&grid, &chosen, &mut Vec::new(), |range, values| {
                assert_eq!((range.start, range.len()), (joined.len(), values.len()), "{}", scheme.id().0);
                assert!(range.start.is_multiple_of(LANES));
                joined.extend_from_slice(values);
            })
            .unwrap();
            assert_eq!(joined, all, "{}", scheme.id().0);
        }
    }

    #[test]
    fn a_payload_that_is_not_all_there_is_an_error() {
        let payload = Payload::Codes { codes: vec![1; 8192], scales: vec![1.0; 200], zeros: vec![] };
        let rows = QuantizedRows { rows: 1, cols: 8192, payload };
        let grid = scheme("q8_0").unwrap().grid();
        assert!(dequantize_parts(&grid, &rows, &mut Vec::new(), |_, _| ()).is_err());
    }
}
