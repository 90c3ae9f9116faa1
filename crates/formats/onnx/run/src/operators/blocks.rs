//! Weights in blocks along a row, laid out once for the integer kernels, and the activations that meet them.

use crate::tensor::Why;
use lfmq_kernels::{Acts32, Coding, Factors, Kernels, STRIP, Strips32, pack_codes, pack_values};
use lfmq_ops::{by_panels, with_scratch};
use rayon::prelude::*;

/// Blocks of the kernels.
const UNIT: usize = 32;

/// What the weights of a matrix are before they are laid out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Form {
    /// Outputs.
    pub rows: usize,
    /// Inputs.
    pub cols: usize,
    /// Bits of a code.
    pub bits: u32,
    /// Weights under one scale.
    pub block: usize,
}

impl Form {
    pub fn new(rows: usize, cols: usize, bits: usize, block: usize) -> Result<Self, Why> {
        let bits = match bits {
            2 => 2,
            4 => 4,
            8 => 8,
            other => return Err(format!("{other} bits are not supported")),
        };
        if block == 0 || cols == 0 || block.checked_mul(bits as usize).is_none_or(|b| b % 8 != 0) {
            return Err(format!("blocks of {block} in rows of {cols}"));
        }
        let form = Self { rows, cols, bits, block };
        let slots = form.blocks().checked_mul(block.next_multiple_of(UNIT));
        slots.and_then(|k| k.checked_mul(rows)).ok_or_else(|| format!("a matrix of [{rows}, {cols}] is too large"))?;
        Ok(form)
    }

    /// Blocks of a row.
    pub fn blocks(&self) -> usize {
        self.cols.div_ceil(self.block)
    }

    /// Bytes of a row of packed codes, whole blocks.
    pub fn row_bytes(&self) -> usize {
        self.blocks() * self.block * self.bits as usize / 8
    }

    /// Bytes of the packed zero points of a row.
    pub fn zero_bytes(&self) -> usize {
        (self.blocks() * self.bits as usize).div_ceil(8)
    }

    /// The code of a weight that is 0 under no zero point.
    fn middle(&self) -> i32 {
        1 << (self.bits - 1)
    }

    /// Code `i` of a run of packed codes, lowest bits first.
    pub fn code(&self, packed: &[u8], i: usize) -> u8 {
        let bit = i * self.bits as usize;
        (packed[bit / 8] >> (bit % 8)) & (u8::MAX >> (8 - self.bits))
    }
}

/// Zero points of a matrix: none (the middle code), packed codes `[rows, zero_bytes]`, or floats `[rows, blocks]`.
#[derive(Clone, Copy)]
pub(super) enum Zeros<'z> {
    Middle,
    Packed(&'z [u8]),
    Floats(&'z [f32]),
}

impl Zeros<'_> {
    /// Zero point of block `block` of row `row`.
    pub fn at(&self, form: &Form, row: usize, block: usize) -> f32 {
        match self {
            Self::Middle => form.middle() as f32,
            Self::Packed(packed) => f32::from(form.code(&packed[row * form.zero_bytes()..], block)),
            Self::Floats(zeros) => zeros[row * form.blocks() + block],
        }
    }
}

/// Weights `scale * code (+ min)` in slots of whole kernel blocks: `block` weights, then zeros.
pub(super) struct BlockWeights {
    form: Form,
    /// Width of a block's slot.
    slot: usize,
    coding: Coding,
    /// Strips as the kernels read them.
    codes: Vec<u8>,
    scales: Vec<f32>,
    /// Empty when all zero points are the middle code.
    mins: Vec<f32>,
}

impl BlockWeights {
    /// Lays out packed codes `[rows, row_bytes]` with scales `[rows, blocks]`: `(code - zero) * scale`.
    pub fn new(form: Form, packed: &[u8], scales: &[f32], zeros: Zeros<'_>) -> Result<Self, Why> {
        let blocks = form.rows * form.blocks();
        let zeros_fit = match zeros {
            Zeros::Middle => true,
            Zeros::Packed(packed) => packed.len() == form.rows * form.zero_bytes(),
            Zeros::Floats(zeros) => zeros.len() == blocks,
        };
        if packed.len() != form.rows * form.row_bytes() || scales.len() != blocks || !zeros_fit {
            return Err(format!("{} bytes of codes and {} scales for {form:?}", packed.len(), scales.len()));
        }
        let per_row = |row: usize, i: usize| form.code(&packed[row * form.row_bytes()..], i);
        Ok(Self::from_codes(form, per_row, |row, b| scales[row * form.blocks() + b], |row, b| zeros.at(&form, row, b)))
    }

    /// Lays out weights that are read one by one: the code at (row, column), scale and zero point at (row, block).
    pub fn from_codes(
        form: Form,
        code: impl Fn(usize, usize) -> u8 + Sync,
        scale: impl Fn(usize, usize) -> f32 + Sync,
        zero: impl Fn(usize, usize) -> f32 + Sync,
    ) -> Self {
        let slot = form.block.next_multiple_of(UNIT);
        let (width, units, strips) = (form.blocks() * slot, slot / UNIT, form.rows.div_ceil(STRIP));
        let coding = if form.bits == 8 { Coding::Byte } else { Coding::Four { offset: 8 } };
        let (bytes, per) = (width / UNIT * coding.chunk_bytes(), width / UNIT);
        let mut codes = vec![0; strips * bytes];
        let mut scales = vec![0.0; strips * per * STRIP];
        let mut mins = scales.clone();
        let each =
            codes.par_chunks_mut(bytes).zip(scales.par_chunks_mut(per * STRIP)).zip(mins.par_chunks_mut(per * STRIP));
        each.enumerate().for_each(|(strip, ((codes, scales), mins))| {
            let rows = strip * STRIP..form.rows.min((strip + 1) * STRIP);
            let mut of_rows =
                (vec![0_i8; rows.len() * width], vec![0.0; rows.len() * per], vec![0.0; rows.len() * per]);
            for (r, row) in rows.enumerate() {
                for b in 0..form.blocks() {
                    let inside = form.block.min(form.cols - b * form.block);
                    for (i, to) in of_rows.0[r * width + b * slot..][..inside].iter_mut().enumerate() {
                        *to = (i32::from(code(row, b * form.block + i)) - form.middle()) as i8;
                    }
                    // What the zero point is off the middle becomes a minimum, exact but for one rounding.
                    let (scale, at) = (scale(row, b), r * per + b * units);
                    of_rows.1[at..][..units].fill(scale);
                    of_rows.2[at..][..units].fill(scale * (form.middle() as f32 - zero(row, b)));
                }
            }
            pack_codes(coding, width, &of_rows.0, codes);
            pack_values(per, &of_rows.1, scales);
            pack_values(per, &of_rows.2, mins);
        });
        if mins.iter().all(|m| *m == 0.0) {
            mins = Vec::new();
        }
        Self { form, slot, coding, codes, scales, mins }
    }

    pub fn rows(&self) -> usize {
        self.form.rows
    }

    pub fn cols(&self) -> usize {
        self.form.cols
    }

    fn width(&self) -> usize {
        self.form.blocks() * self.slot
    }

    /// The strips of rows that begin at a strip.
    fn view(&self, rows: &std::ops::Range<usize>) -> Strips32<'_> {
        let (strips, per) = (rows.start / STRIP..rows.end.div_ceil(STRIP), self.width() / UNIT);
        let part = |each: usize| strips.start * each..strips.end * each;
        let factors = part(per * STRIP);
        Strips32 {
            rows: rows.len(),
            cols: self.width(),
            coding: self.coding,
            codes: &self.codes[part(per * self.coding.chunk_bytes())],
            scales: Factors::F32(&self.scales[factors.clone()]),
            mins: if self.mins.is_empty() { Factors::NONE } else { Factors::F32(&self.mins[factors]) },
        }
    }

    /// Rows of `x [n, cols]` in slots.
    fn spread(&self, x: &[f32]) -> Vec<f32> {
        let (width, form) = (self.width(), &self.form);
        let mut out = vec![0.0; x.len() / form.cols * width];
        for (row, to) in x.chunks_exact(form.cols).zip(out.chunks_exact_mut(width)) {
            for (block, to) in row.chunks(form.block).zip(to.chunks_exact_mut(self.slot)) {
                to[..block.len()].copy_from_slice(block);
            }
        }
        out
    }

    /// `x [n, cols]` times these weights, `[n, rows]`, in f32.
    pub fn multiply(&self, x: &[f32], kernels: &Kernels) -> Result<Vec<f32>, Why> {
        let (n, rows, width) = (x.len() / self.form.cols, self.form.rows, self.width());
        let spread;
        let x = if width == self.form.cols {
            x
        } else {
            spread = self.spread(x);
            &spread
        };
        let mut out = vec![0.0; n * rows];
        by_panels(n, rows, &mut out, |range, part| {
            with_scratch(range.len() * width, |wide| {
                (kernels.widen_b32)(&self.view(&range), 0..range.len(), wide);
                (kernels.gemm_f32)(x, wide, width, part, range.len());
            });
            Ok::<(), Why>(())
        })?;
        Ok(out)
    }

    /// The same as ONNX Runtime does at accuracy level 4: each block of each row of `x` becomes 8-bit codes under
    /// `max|x| / 127`, rounded to nearest even; products of codes are exact.
    pub fn multiply_rounded(&self, x: &[f32], kernels: &Kernels) -> Result<Vec<f32>, Why> {
        let (n, rows) = (x.len() / self.form.cols, self.form.rows);
        let x = self.spread(x);
        let mut codes = vec![0_i8; x.len()];
        let mut scales = vec![0.0; x.len() / UNIT];
        let mut sums = vec![0.0; x.len() / UNIT];
        let mut totals = vec![0_i16; x.len() / UNIT];
        let units = self.slot / UNIT;
        let blocks = x.par_chunks(self.slot).zip(codes.par_chunks_mut(self.slot));
        let factors = scales.par_chunks_mut(units).zip(sums.par_chunks_mut(units)).zip(totals.par_chunks_mut(units));
        blocks.zip(factors).for_each(|((x, codes), ((scales, sums), totals))| round(x, codes, scales, sums, totals));
        let acts = Acts32 { codes: &codes, scales: &scales, sums: &sums, totals: &totals };
        let mut out = vec![0.0; n * rows];
        by_panels(n, rows, &mut out, |range, part| {
            (kernels.gemm_b32)(&acts, &self.view(&range), part, range.len());
            Ok::<(), Why>(())
        })?;
        Ok(out)
    }
}

/// One block of activations under one scale; the kernels want scale and sums for each of their own blocks.
fn round(x: &[f32], codes: &mut [i8], scales: &mut [f32], sums: &mut [f32], totals: &mut [i16]) {
    let most = x.iter().fold(0.0_f32, |m, v| if v.abs() > m { v.abs() } else { m });
    let scale = most / 127.0;
    let inverse = if most == 0.0 { 0.0 } else { 127.0 / most };
    for (to, x) in codes.iter_mut().zip(x) {
        *to = (x * inverse).round_ties_even().clamp(-127.0, 127.0) as i8;
    }
    scales.fill(scale);
    for ((sum, total), codes) in sums.iter_mut().zip(totals).zip(codes.chunks_exact(UNIT)) {
        *total = codes.iter().map(|c| i16::from(*c)).sum();
        *sum = scale * f32::from(*total);
    }
}
