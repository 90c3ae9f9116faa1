//! Weights in blocks along a row, laid out once for the integer kernels, and the activations that meet them.

use crate::tensor::Why;
use lfmq_kernels::{Acts32, Coding, Factors, Kernels, STRIP, Strips32, pack_codes, pack_values};
use lfmq_ops::{by_panels, by_tiles, with_scratch};
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

    /// Bytes of a matrix once it is laid out, scales and perhaps minima included.
    pub fn laid_out(&self, minima: bool) -> usize {
        let units = self.rows * self.blocks() * self.block.div_ceil(UNIT);
        units.saturating_mul(if self.bits == 8 { UNIT } else { UNIT / 2 } + if minima { 8 } else { 4 })
    }

    /// The code of a weight that is 0 under no zero point.
    fn middle(&self) -> i32 {
        1 << (self.bits - 1)
    }

    /// The first codes of a run of packed ones, lowest bits first.
    pub fn unpack(&self, packed: &[u8], out: &mut [u8]) {
        match self.bits {
            4 => {
                let (pairs, rest) = out.as_chunks_mut::<2>();
                for (pair, byte) in pairs.iter_mut().zip(packed) {
                    *pair = [byte & 15, byte >> 4];
                }
                let last = packed.get(pairs.len()).copied().unwrap_or_default();
                rest.iter_mut().for_each(|code| *code = last & 15);
            }
            8 => out.copy_from_slice(&packed[..out.len()]),
            _ => out.iter_mut().enumerate().for_each(|(i, code)| *code = self.code(packed, i)),
        }
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
        let per_row = |row: usize, codes: &mut [u8]| form.unpack(&packed[row * form.row_bytes()..], codes);
        Ok(Self::from_codes(form, per_row, |row, b| scales[row * form.blocks() + b], |row, b| zeros.at(&form, row, b)))
    }

    /// Lays out weights whose codes are read row by row; scale and zero point at (row, block).
    pub fn from_codes(
        form: Form,
        codes_of: impl Fn(usize, &mut [u8]) + Sync,
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
            let (mut plain, middle) = (vec![0; form.cols], form.middle() as u8);
            for (r, row) in rows.enumerate() {
                codes_of(row, &mut plain);
                for (b, from) in plain.chunks(form.block).enumerate() {
                    for (to, code) in of_rows.0[r * width + b * slot..].iter_mut().zip(from) {
                        *to = code.wrapping_sub(middle).cast_signed();
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

    /// The same as ONNX Runtime does at accuracy level 4, on activations that were rounded for weights of this form.
    pub fn multiply_rounded(&self, x: &Rounded, kernels: &Kernels) -> Result<Vec<f32>, Why> {
        let (n, rows, width) = (x.codes.len() / self.width(), self.form.rows, self.width());
        let mut out = vec![0.0; n * rows];
        by_tiles(n, rows, &mut out, |tokens, range, part, ldo| {
            (kernels.gemm_b32)(&x.view(tokens, width), &self.view(&range), part, ldo);
            Ok::<(), Why>(())
        })?;
        Ok(out)
    }

    /// The rows of `x [n, cols]` as codes for these weights.
    pub fn round(&self, x: &[f32]) -> Rounded {
        Rounded::new(&self.form, x)
    }

    /// Activations rounded for weights of equal width and block serve these too.
    pub fn rounding(&self) -> (usize, usize) {
        (self.form.cols, self.form.block)
    }
}

/// Activations as ONNX Runtime makes them at accuracy level 4: each block of each row becomes 8-bit codes under
/// `max|x| / 127`, rounded to nearest even. In slots like the weights.
pub(crate) struct Rounded {
    codes: Vec<i8>,
    scales: Vec<f32>,
    sums: Vec<f32>,
    totals: Vec<i16>,
}

impl Rounded {
    fn new(form: &Form, x: &[f32]) -> Self {
        let slot = form.block.next_multiple_of(UNIT);
        let (width, units) = (form.blocks() * slot, slot / UNIT);
        let n = x.len() / form.cols;
        let of_units = n * width / UNIT;
        let mut all = Self {
            codes: vec![0; n * width],
            scales: vec![0.0; of_units],
            sums: vec![0.0; of_units],
            totals: vec![0; of_units],
        };
        let rows = x.par_chunks_exact(form.cols).zip(all.codes.par_chunks_mut(width));
        let per = width / UNIT;
        let factors =
            all.scales.par_chunks_mut(per).zip(all.sums.par_chunks_mut(per)).zip(all.totals.par_chunks_mut(per));
        rows.zip(factors).for_each(|((x, codes), ((scales, sums), totals))| {
            let blocks = x.chunks(form.block).zip(codes.chunks_exact_mut(slot));
            let factors =
                scales.chunks_exact_mut(units).zip(sums.chunks_exact_mut(units)).zip(totals.chunks_exact_mut(units));
            for ((x, codes), ((scales, sums), totals)) in blocks.zip(factors) {
                round(x, codes, scales, sums, totals);
            }
        });
        all
    }

    /// Some of the rows, `width` slots each.
    fn view(&self, rows: std::ops::Range<usize>, width: usize) -> Acts32<'_> {
        let units = rows.start * width / UNIT..rows.end * width / UNIT;
        Acts32 {
            codes: &self.codes[rows.start * width..rows.end * width],
            scales: &self.scales[units.clone()],
            sums: &self.sums[units.clone()],
            totals: &self.totals[units],
        }
    }
}

/// Added to a float below 2^22 it leaves the nearest integer, ties to even, in the lowest bits.
const NEAREST: f32 = 12_582_912.0;

/// One block of activations under one scale; the kernels want scale and sums for each of their own blocks.
fn round(x: &[f32], codes: &mut [i8], scales: &mut [f32], sums: &mut [f32], totals: &mut [i16]) {
    // Several maxima side by side fill a register; which of them is taken last cannot matter.
    let (whole, rest) = x.as_chunks::<16>();
    let mut lanes = [0.0_f32; 16];
    for x in whole {
        for (m, v) in lanes.iter_mut().zip(x) {
            *m = if v.abs() > *m { v.abs() } else { *m };
        }
    }
    let most = lanes.iter().chain(rest).fold(0.0_f32, |m, v| if v.abs() > m { v.abs() } else { m });
    let scale = most / 127.0;
    let inverse = if most == 0.0 { 0.0 } else { 127.0 / most };
    for (to, x) in codes.iter_mut().zip(x) {
        // At most 127 away from 0, so the lowest byte is the code.
        *to = (x * inverse + NEAREST).to_bits() as i8;
    }
    scales.fill(scale);
    for ((sum, total), codes) in sums.iter_mut().zip(totals).zip(codes.chunks_exact(UNIT)) {
        *total = codes.iter().map(|c| i16::from(*c)).sum();
        *sum = scale * f32::from(*total);
    }
}
