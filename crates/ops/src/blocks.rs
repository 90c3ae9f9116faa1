//! Quantized weights in the kernels' layout: codes widened to int8, scales to f32.

use crate::error::expect;
use crate::{Embedding, Input, Linear, OpsError, by_panels, with_scratch};
use lfmq_core::{Activation, ExecError};
use lfmq_kernels::{Kernels, Rows32, Rows256};
use std::ops::Range;

/// Weights in blocks of 32: `w = scale * code (+ min)`. For Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, IQ4_NL, MXFP4: an offset is
/// taken off the codes and a codebook applied (MXFP4: doubled levels under half the scale).
#[derive(Clone, Debug, Default)]
pub struct Block32 {
    /// Number of rows.
    pub rows: usize,
    /// Weights in a row, a multiple of 32.
    pub cols: usize,
    /// Codes `[rows, cols]`.
    pub codes: Vec<i8>,
    /// Scales `[rows, cols / 32]`.
    pub scales: Vec<f32>,
    /// What is added to each weight of a block, `[rows, cols / 32]`; empty for none.
    pub mins: Vec<f32>,
}

/// Weights in blocks of 256 of 16 sub-blocks of 16: `w = scale * sub_scale * code (- min * sub_min)`. For Q2_K to Q6_K,
/// IQ4_XS, TQ1_0 and TQ2_0. Where a type has sub-blocks of 32 each sub-scale (and sub-minimum) stands twice;
/// where it has none they are 1.
#[derive(Clone, Debug, Default)]
pub struct Block256 {
    /// Number of rows.
    pub rows: usize,
    /// Weights in a row, a multiple of 256.
    pub cols: usize,
    /// Codes `[rows, cols]`, offset taken off, codebook applied.
    pub codes: Vec<i8>,
    /// Block scales `d`, `[rows, cols / 256]`.
    pub scales: Vec<f32>,
    /// Sub-block scales, offset taken off, `[rows, cols / 16]`.
    pub sub_scales: Vec<i8>,
    /// Block scales of the minima `dmin`, *subtracted*, `[rows, cols / 256]`; empty for none.
    pub mins: Vec<f32>,
    /// Sub-block minima `[rows, cols / 16]`; empty for none.
    pub sub_mins: Vec<u8>,
}

/// Weights in either kind of block.
#[derive(Clone, Debug)]
pub enum Blocks {
    /// Blocks of 32.
    B32(Block32),
    /// Blocks of 256.
    B256(Block256),
}

/// The part of `all` that belongs to `rows` when each row has `per_row` entries; empty stays empty.
fn part<'a, T>(all: &'a [T], rows: &Range<usize>, per_row: usize) -> &'a [T] {
    if all.is_empty() { all } else { &all[rows.start * per_row..rows.end * per_row] }
}

impl Block32 {
    fn view(&self, r: &Range<usize>) -> Rows32<'_> {
        let per = self.cols / 32;
        Rows32 {
            cols: self.cols,
            codes: part(&self.codes, r, self.cols),
            scales: part(&self.scales, r, per),
            mins: part(&self.mins, r, per),
        }
    }

    fn check(&self) -> Result<(), OpsError> {
        let n = matrix(self.rows, self.cols, 32)?;
        expect(|| "codes of 32-blocks".into(), n, self.codes.len())?;
        expect(|| "scales of 32-blocks".into(), n / 32, self.scales.len())?;
        optional("minima of 32-blocks", n / 32, self.mins.len())
    }
}

impl Block256 {
    fn view(&self, r: &Range<usize>) -> Rows256<'_> {
        let (per, sub) = (self.cols / 256, self.cols / 16);
        Rows256 {
            cols: self.cols,
            codes: part(&self.codes, r, self.cols),
            scales: part(&self.scales, r, per),
            sub_scales: part(&self.sub_scales, r, sub),
            mins: part(&self.mins, r, per),
            sub_mins: part(&self.sub_mins, r, sub),
        }
    }

    fn check(&self) -> Result<(), OpsError> {
        let n = matrix(self.rows, self.cols, 256)?;
        expect(|| "codes of 256-blocks".into(), n, self.codes.len())?;
        expect(|| "scales of 256-blocks".into(), n / 256, self.scales.len())?;
        expect(|| "sub-scales of 256-blocks".into(), n / 16, self.sub_scales.len())?;
        optional("minima of 256-blocks", n / 256, self.mins.len())?;
        expect(|| "sub-minima of 256-blocks".into(), self.mins.len() * 16, self.sub_mins.len())
    }
}

fn matrix(rows: usize, cols: usize, block: usize) -> Result<usize, OpsError> {
    if !cols.is_multiple_of(block) {
        return Err(OpsError::shape("weights in a row", format!("a multiple of {block}"), cols));
    }
    rows.checked_mul(cols).ok_or_else(|| OpsError::shape("weights of a matrix", "a size", format!("[{rows}, {cols}]")))
}

fn optional(what: &str, expected: usize, found: usize) -> Result<(), OpsError> {
    if found == 0 { Ok(()) } else { expect(|| what.to_owned(), expected, found) }
}

impl Blocks {
    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        match self {
            Self::B32(b) => b.rows,
            Self::B256(b) => b.rows,
        }
    }

    /// Weights in a row.
    #[must_use]
    pub fn cols(&self) -> usize {
        match self {
            Self::B32(b) => b.cols,
            Self::B256(b) => b.cols,
        }
    }

    fn widen(&self, rows: Range<usize>, kernels: &Kernels, out: &mut [f32]) {
        match self {
            Self::B32(b) => (kernels.widen_b32)(&b.view(&rows), out),
            Self::B256(b) => (kernels.widen_b256)(&b.view(&rows), out),
        }
    }
}

/// A quantized matrix, with activations in f32 or in the 8-bit blocks that belong to its kind of blocks.
#[derive(Clone, Debug)]
pub struct BlockLinear {
    blocks: Blocks,
    activation: Activation,
    kernels: &'static Kernels,
}

impl BlockLinear {
    /// Wraps blocks. [`Activation::F32`] widens weights on the fly: what drifts then is the weights alone.
    ///
    /// # Errors
    /// When the lengths inside `blocks` do not fit its shape.
    pub fn new(blocks: Blocks, activation: Activation, kernels: &'static Kernels) -> Result<Self, OpsError> {
        match &blocks {
            Blocks::B32(b) => b.check()?,
            Blocks::B256(b) => b.check()?,
        }
        Ok(Self { blocks, activation, kernels })
    }

    /// Rows as the f32 values they stand for, into `out [rows.len(), cols]`.
    pub fn widen(&self, rows: Range<usize>, out: &mut [f32]) {
        self.blocks.widen(rows, self.kernels, out);
    }
}

impl Linear for BlockLinear {
    fn rows(&self) -> usize {
        self.blocks.rows()
    }

    fn cols(&self) -> usize {
        self.blocks.cols()
    }

    fn apply(&self, x: &Input<'_>, out: &mut [f32]) -> Result<(), ExecError> {
        let (n, kernels, cols) = (x.n(), x.kernels(), self.blocks.cols());
        match (&self.blocks, self.activation) {
            (Blocks::B32(b), Activation::Runtime) => {
                let acts = x.blocks32();
                by_panels(n, b.rows, out, |rows, part| {
                    (kernels.gemm_b32)(&acts, &b.view(&rows), part, rows.len());
                    Ok(())
                })
            }
            (Blocks::B256(b), Activation::Runtime) => {
                let acts = x.blocks256();
                by_panels(n, b.rows, out, |rows, part| {
                    (kernels.gemm_b256)(&acts, &b.view(&rows), part, rows.len());
                    Ok(())
                })
            }
            (blocks, Activation::F32) => by_panels(n, blocks.rows(), out, |rows, part| {
                with_scratch(rows.len() * cols, |w| {
                    blocks.widen(rows.clone(), kernels, w);
                    (kernels.gemm_f32)(x.values(), w, cols, part, rows.len());
                });
                Ok(())
            }),
        }
    }
}

impl Embedding for BlockLinear {
    fn vocab(&self) -> usize {
        self.blocks.rows()
    }

    fn hidden(&self) -> usize {
        self.blocks.cols()
    }

    fn lookup(&self, token: usize, out: &mut [f32]) -> Result<(), ExecError> {
        self.widen(token..token + 1, out);
        Ok(())
    }
}
