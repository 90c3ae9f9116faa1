//! Quantized weights laid out once, in the strips that kernels read.

use crate::OpsError;
use crate::blocks::Factor;
use crate::run::{KeptRun, Run};
use lfmq_kernels::{Arena, Coding, Factors, Isa, STRIP, Slab, Strips32, Strips256};
use rayon::prelude::*;
use std::ops::Range;

/// Rows read and packed as one task; whole strips.
const RUN: usize = 4 * STRIP;

/// How a type of blocks is kept in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form {
    /// How codes are packed; every code must fit.
    pub coding: Coding,
    /// Weights in a block and sub-blocks in it.
    pub block: BlockKind,
    /// How scales and minima are kept; every one must fit.
    pub factor: Factor,
    /// Whether blocks have minima.
    pub minima: bool,
}

/// The two kinds of blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockKind {
    /// 32 weights.
    Of32,
    /// 256 weights in so many sub-blocks, 8 or 16.
    Of256 {
        /// Number of sub-blocks.
        subs: usize,
    },
}

impl BlockKind {
    pub(crate) fn weights(self) -> usize {
        match self {
            Self::Of32 => 32,
            Self::Of256 { .. } => 256,
        }
    }

    pub(crate) fn subs(self) -> usize {
        match self {
            Self::Of32 => 0,
            Self::Of256 { subs } => subs,
        }
    }
}

/// Scales or minima in strip order.
#[derive(Clone, Debug)]
enum Kept {
    F16(Slab<u16>),
    F32(Slab<f32>),
}

impl Kept {
    fn new(factor: Factor, len: usize, memory: &Arena) -> Self {
        match factor {
            Factor::F16 => Self::F16(memory.zeros(len)),
            Factor::F32 => Self::F32(memory.zeros(len)),
        }
    }

    fn runs(&mut self, per_run: usize, runs: usize) -> Vec<KeptRun<'_>> {
        match self {
            Self::F16(all) => cut(all, per_run, runs).into_iter().map(KeptRun::F16).collect(),
            Self::F32(all) => cut(all, per_run, runs).into_iter().map(KeptRun::F32).collect(),
        }
    }

    fn view(&self, part: Range<usize>) -> Factors<'_> {
        match self {
            Self::F16(all) => Factors::F16(within(all, part)),
            Self::F32(all) => Factors::F32(within(all, part)),
        }
    }
}

/// Part of `all`, which may be empty altogether.
fn within<T>(all: &[T], part: Range<usize>) -> &[T] {
    if all.is_empty() { all } else { &all[part] }
}

/// `runs` pieces of `per_run`, the last one shorter; empty ones of an empty slice.
fn cut<T>(mut all: &mut [T], per_run: usize, runs: usize) -> Vec<&mut [T]> {
    let mut pieces = Vec::with_capacity(runs);
    for _ in 0..runs {
        let (piece, rest) = all.split_at_mut(per_run.min(all.len()));
        pieces.push(piece);
        all = rest;
    }
    pieces
}

/// A matrix in strips.
#[derive(Clone, Debug)]
pub(crate) struct Packed {
    rows: usize,
    cols: usize,
    form: Form,
    codes: Slab<u8>,
    scales: Kept,
    mins: Kept,
    sub_scales: Slab<i8>,
    sub_mins: Slab<u8>,
}

impl Packed {
    /// Has `fill` fill runs of rows, several at a time on the current pool.
    pub(crate) fn new<E: From<OpsError> + Send>(
        (rows, cols): (usize, usize),
        form: Form,
        isa: Isa,
        memory: &Arena,
        fill: impl Fn(Range<usize>, &mut Run<'_>) -> Result<(), E> + Sync,
    ) -> Result<Self, E> {
        let weights = form.block.weights();
        if !cols.is_multiple_of(weights) {
            return Err(OpsError::shape("weights in a row", format!("a multiple of {weights}"), cols).into());
        }
        let padded = rows.div_ceil(STRIP).checked_mul(STRIP * cols);
        let padded = padded.ok_or_else(|| OpsError::shape("weights", "a size", format!("[{rows}, {cols}]")))?;
        let (blocks, few) = (padded / weights, if form.minima { padded / weights } else { 0 });
        let bytes = padded / (32 * STRIP) * form.coding.chunk_bytes();
        let mut packed = Self {
            rows,
            cols,
            form,
            codes: memory.zeros(bytes),
            scales: Kept::new(form.factor, blocks, memory),
            mins: Kept::new(form.factor, few, memory),
            sub_scales: memory.zeros(blocks * form.block.subs()),
            sub_mins: memory.zeros(few * form.block.subs()),
        };
        let runs = packed.runs(isa);
        let done: Vec<Result<(), E>> =
            runs.into_par_iter().enumerate().map(|(r, mut run)| fill(r * RUN..r * RUN + run.rows, &mut run)).collect();
        // In order, so that the error is the first one on any number of threads.
        done.into_iter().collect::<Result<(), E>>().map(|()| packed)
    }

    fn runs(&mut self, isa: Isa) -> Vec<Run<'_>> {
        let (rows, cols, form) = (self.rows, self.cols, self.form);
        let (runs, subs) = (rows.div_ceil(RUN), form.block.subs());
        let blocks = RUN * cols / form.block.weights();
        let codes = cut(&mut self.codes, RUN / STRIP * cols / 32 * form.coding.chunk_bytes(), runs);
        let scales = self.scales.runs(blocks, runs);
        let mins = self.mins.runs(blocks, runs);
        let sub_scales = cut(&mut self.sub_scales, blocks * subs, runs);
        let sub_mins = cut(&mut self.sub_mins, blocks * subs, runs);
        let parts = codes.into_iter().zip(scales).zip(mins).zip(sub_scales.into_iter().zip(sub_mins));
        let run = |(r, (((codes, scales), mins), (sub_scales, sub_mins)))| {
            let rows = RUN.min(rows - r * RUN);
            Run { rows, cols, form, isa, codes, scales, mins, sub_scales, sub_mins }
        };
        parts.enumerate().map(run).collect()
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) fn cols(&self) -> usize {
        self.cols
    }

    pub(crate) fn block(&self) -> BlockKind {
        self.form.block
    }

    /// The strips of rows `r`, which begin at a strip, as 32-blocks.
    pub(crate) fn strips32(&self, r: &Range<usize>) -> Strips32<'_> {
        let strips = r.start / STRIP..r.end.div_ceil(STRIP);
        let part = |per_strip: usize| strips.start * per_strip..strips.end * per_strip;
        let chunks = self.cols / 32;
        Strips32 {
            rows: r.len(),
            cols: self.cols,
            coding: self.form.coding,
            codes: &self.codes[part(chunks * self.form.coding.chunk_bytes())],
            scales: self.scales.view(part(chunks * STRIP)),
            mins: self.mins.view(part(chunks * STRIP)),
        }
    }

    /// The same as 256-blocks.
    pub(crate) fn strips256(&self, r: &Range<usize>) -> Strips256<'_> {
        let strips = r.start / STRIP..r.end.div_ceil(STRIP);
        let part = |per_strip: usize| strips.start * per_strip..strips.end * per_strip;
        let (blocks, subs) = (self.cols / 256, self.form.block.subs());
        Strips256 {
            rows: r.len(),
            cols: self.cols,
            coding: self.form.coding,
            subs,
            codes: &self.codes[part(8 * blocks * self.form.coding.chunk_bytes())],
            scales: self.scales.view(part(blocks * STRIP)),
            sub_scales: within(&self.sub_scales, part(blocks * subs * STRIP)),
            mins: self.mins.view(part(blocks * STRIP)),
            sub_mins: within(&self.sub_mins, part(blocks * subs * STRIP)),
        }
    }
}
