//! Quantized weights: as readers give them, a code an i8 and a scale an f32, and as a matrix that multiplies.

use crate::error::expect;
use crate::packed::{BlockKind, Form, Packed};
use crate::run::{Run, Unpacked32, Unpacked256};
use crate::{Embedding, Input, Linear, OpsError, Tiles, by_panels, by_tiles, with_scratch};
use lfmq_core::{Activation, ExecError};
use lfmq_kernels::{Acts32, Acts256, Arena, Coding, Isa, Kernels};
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

/// How a scale or minimum is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Factor {
    /// As binary16, which holds it exactly.
    F16,
    /// As f32.
    F32,
}

impl Block32 {
    fn check(&self) -> Result<(), OpsError> {
        let n = matrix(self.rows, self.cols, 32)?;
        expect(|| "codes of 32-blocks".into(), n, self.codes.len())?;
        expect(|| "scales of 32-blocks".into(), n / 32, self.scales.len())?;
        optional("minima of 32-blocks", n / 32, self.mins.len())
    }
}

impl Block256 {
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

    /// The form that holds any such blocks.
    fn form(&self) -> Form {
        let (block, minima) = match self {
            Self::B32(b) => (BlockKind::Of32, !b.mins.is_empty()),
            Self::B256(b) => (BlockKind::Of256 { subs: 16 }, !b.mins.is_empty()),
        };
        Form { coding: Coding::Byte, block, factor: Factor::F32, minima }
    }

    /// Lays some of the rows out.
    fn fill(&self, rows: Range<usize>, run: &mut Run<'_>) -> Result<(), OpsError> {
        let all = |per_row: usize| (rows.start * per_row..rows.end * per_row).collect::<Vec<_>>();
        match self {
            Self::B32(b) => run.fill32(&all(b.cols / 32), |i| Unpacked32 {
                codes: b.codes.as_chunks().0[*i],
                scale: b.scales[*i],
                min: b.mins.get(*i).copied().unwrap_or_default(),
            }),
            Self::B256(b) => run.fill256(&all(b.cols / 256), |i| Unpacked256 {
                codes: b.codes.as_chunks().0[*i],
                scale: b.scales[*i],
                sub_scales: b.sub_scales.as_chunks().0[*i],
                min: b.mins.get(*i).copied().unwrap_or_default(),
                sub_mins: b.sub_mins.as_chunks().0.get(*i).copied().unwrap_or_default(),
            }),
        }
    }
}

/// A quantized matrix, with activations in f32 or in the 8-bit blocks that belong to its kind of blocks.
#[derive(Clone, Debug)]
pub struct BlockLinear {
    weights: Packed,
    activation: Activation,
    kernels: &'static Kernels,
}

impl BlockLinear {
    /// Lays out blocks of any kind, a byte a code. [`Activation::F32`] widens weights on the fly: what drifts then is
    /// the weights alone.
    ///
    /// # Errors
    /// When the lengths inside `blocks` do not fit its shape.
    pub fn new(blocks: &Blocks, activation: Activation, kernels: &'static Kernels) -> Result<Self, OpsError> {
        match blocks {
            Blocks::B32(b) => b.check()?,
            Blocks::B256(b) => b.check()?,
        }
        let (rows, cols, form) = (blocks.rows(), blocks.cols(), blocks.form());
        let fill = |rows, run: &mut Run<'_>| blocks.fill(rows, run);
        Self::read((rows, cols), form, activation, kernels, &Arena::default(), fill)
    }

    /// Lays out a matrix `[rows, cols]` in the given form in some of `memory`. `fill` fills runs of its rows, several at a
    /// time on the current pool.
    ///
    /// # Errors
    /// Of `fill`, the one with the lowest rows.
    pub fn read<E: From<OpsError> + Send>(
        (rows, cols): (usize, usize),
        form: Form,
        activation: Activation,
        kernels: &'static Kernels,
        memory: &Arena,
        fill: impl Fn(Range<usize>, &mut Run<'_>) -> Result<(), E> + Sync,
    ) -> Result<Self, E> {
        let weights = Packed::new((rows, cols), form, Isa::of(kernels), memory, fill)?;
        Ok(Self { weights, activation, kernels })
    }

    /// Rows as the f32 values they stand for, into `out [rows.len(), cols]`.
    pub fn widen(&self, rows: Range<usize>, out: &mut [f32]) {
        let all = 0..self.weights.rows();
        match self.weights.block() {
            BlockKind::Of32 => (self.kernels.widen_b32)(&self.weights.strips32(&all), rows, out),
            BlockKind::Of256 { .. } => (self.kernels.widen_b256)(&self.weights.strips256(&all), rows, out),
        }
    }
}

impl Linear for BlockLinear {
    fn rows(&self) -> usize {
        self.weights.rows()
    }

    fn cols(&self) -> usize {
        self.weights.cols()
    }

    fn apply(&self, x: &Input<'_>, out: &mut [f32]) -> Result<(), ExecError> {
        let (n, kernels, weights) = (x.n(), x.kernels(), &self.weights);
        if let Some(tile) = self.tiles(x) {
            return by_tiles(n, weights.rows(), out, |tokens, rows, part, ldo| {
                tile(tokens, rows, part, ldo);
                Ok(())
            });
        }
        match (weights.block(), n) {
            // One token would cost more in writing weights out than in using them.
            (kind, 1) => by_panels(n, weights.rows(), out, |rows, part| {
                match kind {
                    BlockKind::Of32 => (kernels.single_b32)(x.values(), &weights.strips32(&rows), part),
                    BlockKind::Of256 { .. } => (kernels.single_b256)(x.values(), &weights.strips256(&rows), part),
                }
                Ok(())
            }),
            _ => by_panels(n, weights.rows(), out, |rows, part| {
                with_scratch(rows.len() * weights.cols(), |w| {
                    self.widen(rows.clone(), w);
                    (kernels.gemm_f32)(x.values(), w, weights.cols(), part, rows.len());
                });
                Ok(())
            }),
        }
    }

    fn tiles<'a>(&'a self, x: &'a Input<'_>) -> Option<Tiles<'a>> {
        let (cols, kernels, weights) = (x.cols(), x.kernels(), &self.weights);
        match (self.activation, weights.block()) {
            (Activation::F32, _) => None,
            (Activation::Runtime, BlockKind::Of32) => {
                let acts = x.blocks32();
                Some(Box::new(move |tokens, rows, out, ldo| {
                    (kernels.gemm_b32)(&some32(&acts, tokens, cols), &weights.strips32(&rows), out, ldo);
                }))
            }
            (Activation::Runtime, BlockKind::Of256 { .. }) => {
                let acts = x.blocks256();
                Some(Box::new(move |tokens, rows, out, ldo| {
                    (kernels.gemm_b256)(&some256(&acts, tokens, cols), &weights.strips256(&rows), out, ldo);
                }))
            }
        }
    }
}

/// The activations of some of the tokens.
fn some32<'a>(x: &Acts32<'a>, tokens: Range<usize>, cols: usize) -> Acts32<'a> {
    let blocks = tokens.start * cols / 32..tokens.end * cols / 32;
    Acts32 {
        codes: &x.codes[tokens.start * cols..tokens.end * cols],
        scales: &x.scales[blocks.clone()],
        sums: &x.sums[blocks.clone()],
        totals: &x.totals[blocks],
    }
}

/// The activations of some of the tokens.
fn some256<'a>(x: &Acts256<'a>, tokens: Range<usize>, cols: usize) -> Acts256<'a> {
    Acts256 {
        codes: &x.codes[tokens.start * cols..tokens.end * cols],
        scales: &x.scales[tokens.start * cols / 256..tokens.end * cols / 256],
        sums: &x.sums[tokens.start * cols / 16..tokens.end * cols / 16],
    }
}

impl Embedding for BlockLinear {
    fn vocab(&self) -> usize {
        self.weights.rows()
    }

    fn hidden(&self) -> usize {
        self.weights.cols()
    }

    fn lookup(&self, token: usize, out: &mut [f32]) -> Result<(), ExecError> {
        self.widen(token..token + 1, out);
        Ok(())
    }
}
