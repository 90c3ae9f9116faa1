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
use lfmq_core::{Grid, Payload, QuantizedRows, SchemeId};
use lfmq_kernels::multiversion;

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
    match (grid, &rows.payload) {
        (Grid::Float { .. }, Payload::Float(values)) => {
            expect("the payload", out.len(), values.len())?;
            out.copy_from_slice(values);
            Ok(())
        }
        (Grid::Affine { group, .. }, Payload::Codes { codes, scales, zeros }) => {
            let group = if *group == 0 { rows.cols } else { *group };
            groups::decode_affine(grid, group, codes, scales, zeros, out)
        }
        (Grid::Codebook { levels, group, .. }, Payload::Codes { codes, scales, .. }) => {
            groups::decode_levels(levels, *group, codes, scales, out)
        }
        (Grid::Opaque { layout }, Payload::Blocks(bytes)) => blocks::decode(*layout, bytes, out),
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
