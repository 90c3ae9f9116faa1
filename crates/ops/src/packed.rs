//! Quantized weights laid out once, in the strips that kernels read.

use crate::OpsError;
use crate::blocks::{Blocks, Factor};
use lfmq_kernels::{Arena, Coding, Factors, STRIP, Slab, Strips32, Strips256, pack_codes, pack_values};
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
    fn weights(self) -> usize {
        match self {
            Self::Of32 => 32,
            Self::Of256 { .. } => 256,
        }
    }

    fn subs(self) -> usize {
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

/// The factors of one run.
enum KeptRun<'a> {
    F16(&'a mut [u16]),
    F32(&'a mut [f32]),
}

impl KeptRun<'_> {
    /// Packs `values [rows, per_row]`, strip by strip.
    fn fill(&mut self, what: &str, per_row: usize, values: &[f32]) -> Result<(), OpsError> {
        match self {
            Self::F32(out) => by_strip(per_row, values, out),
            Self::F16(out) => {
                let halves: Vec<u16> = values.iter().map(|v| half::f16::from_f32(*v).to_bits()).collect();
                let lossy = values.iter().zip(&halves).find(|(v, h)| half::f16::from_bits(**h).to_f32() != **v);
                if let Some((value, _)) = lossy {
                    return Err(OpsError::shape(what, "a binary16", value));
                }
                by_strip(per_row, &halves, out);
            }
        }
        Ok(())
    }
}

fn by_strip<T: Copy + Default>(per_row: usize, values: &[T], out: &mut [T]) {
    for (values, out) in values.chunks(STRIP * per_row).zip(out.chunks_exact_mut(STRIP * per_row)) {
        pack_values(per_row, values, out);
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

/// What one task fills.
struct Run<'a> {
    codes: &'a mut [u8],
    scales: KeptRun<'a>,
    mins: KeptRun<'a>,
    sub_scales: &'a mut [i8],
    sub_mins: &'a mut [u8],
}

impl Packed {
    /// Packs what `read` gives for runs of rows, several at a time on the current pool.
    pub(crate) fn new<E: From<OpsError> + Send>(
        rows: usize,
        cols: usize,
        form: Form,
        memory: &Arena,
        read: impl Fn(Range<usize>) -> Result<Blocks, E> + Sync,
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
        let done: Vec<Result<(), E>> = packed
            .runs()
            .into_par_iter()
            .enumerate()
            .map(|(r, mut run)| {
                let rows = r * RUN..rows.min((r + 1) * RUN);
                Ok(run.fill(form, rows.len(), cols, &read(rows)?)?)
            })
            .collect();
        // In order, so that the error is the first one on any number of threads.
        done.into_iter().collect::<Result<(), E>>().map(|()| packed)
    }

    fn runs(&mut self) -> Vec<Run<'_>> {
        let (runs, subs) = (self.rows.div_ceil(RUN), self.form.block.subs());
        let blocks = RUN * self.cols / self.form.block.weights();
        let codes = cut(&mut self.codes, RUN / STRIP * self.cols / 32 * self.form.coding.chunk_bytes(), runs);
        let scales = self.scales.runs(blocks, runs);
        let mins = self.mins.runs(blocks, runs);
        let sub_scales = cut(&mut self.sub_scales, blocks * subs, runs);
        let sub_mins = cut(&mut self.sub_mins, blocks * subs, runs);
        let parts = codes.into_iter().zip(scales).zip(mins).zip(sub_scales.into_iter().zip(sub_mins));
        parts
            .map(|(((codes, scales), mins), (sub_scales, sub_mins))| Run { codes, scales, mins, sub_scales, sub_mins })
            .collect()
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

impl Run<'_> {
    fn fill(&mut self, form: Form, rows: usize, cols: usize, blocks: &Blocks) -> Result<(), OpsError> {
        blocks.check(rows, cols, form)?;
        let (codes, scales, mins) = match blocks {
            Blocks::B32(b) => (&b.codes, &b.scales, &b.mins),
            Blocks::B256(b) => {
                let per_row = cols / 256 * form.block.subs();
                by_strip(per_row, &thinned(&b.sub_scales, form.block.subs()), self.sub_scales);
                if form.minima {
                    by_strip(per_row, &thinned(&b.sub_mins, form.block.subs()), self.sub_mins);
                }
                (&b.codes, &b.scales, &b.mins)
            }
        };
        let strip = cols / 32 * form.coding.chunk_bytes();
        for (codes, out) in codes.chunks(STRIP * cols.max(1)).zip(self.codes.chunks_exact_mut(strip.max(1))) {
            pack_codes(form.coding, cols, codes, out);
        }
        let per_row = cols / form.block.weights();
        self.scales.fill("scale", per_row, scales)?;
        if form.minima { self.mins.fill("minimum", per_row, mins) } else { Ok(()) }
    }
}

/// One of every two where a sub-block of 32 has named its factor twice.
fn thinned<T: Copy>(all: &[T], subs: usize) -> Vec<T> {
    all.iter().copied().step_by(16 / subs.max(1)).collect()
}
