//! Weights of products as the kernels read them.

use crate::shelf::How;
use crate::stored::{Scaling, Stored};
use crate::tensor::{Acts, Kind, Why};
use lfmq_core::{Fault, StoredTensor, Weights};
use lfmq_kernels::{ActsRow, Coding, Factors, Kernels, RowSums, STRIP, StripsRow, pack_codes, pack_values};
use lfmq_ops::{by_panels, by_tiles, with_scratch};
use rayon::prelude::*;
use std::ops::Range;
use std::sync::Arc;

/// A matrix `[rows, cols]` that multiplies activations: `out = x · Wᵀ`.
pub(crate) struct Matrix {
    rows: usize,
    cols: usize,
    form: Form,
}

enum Form {
    F32(Vec<f32>),
    F16(Vec<u16>),
    Strips(Strips),
}

/// Integer codes in strips, rows padded with zeros to whole chunks of 32 columns.
struct Strips {
    width: usize,
    group: usize,
    coding: Coding,
    codes: Vec<u8>,
    scales: Scales,
    sums: Sums,
}

enum Scales {
    F16(Vec<u16>),
    F32(Vec<f32>),
}

enum Sums {
    Codes(Vec<i32>),
    Scaled(Vec<f32>),
}

/// The nearest number of eight significant bits, halves to even: what XNNPACK keeps of a block's scale.
fn bf16(scale: f32) -> f32 {
    half::bf16::from_f32(scale).to_f32()
}

impl Matrix {
    /// `tensor` laid out as [`How::of`] it says.
    pub fn new(tensor: &Stored, how: How) -> Result<Self, Why> {
        let (rows, cols) = tensor.matrix();
        let form = match (how, &tensor.scaling) {
            (How::F16, _) => Form::F16(tensor.bytes().as_chunks().0.iter().map(|b| u16::from_le_bytes(*b)).collect()),
            (How::Strips(None), Scaling::Affine { scales, .. }) => {
                strips(tensor, None, |row, _| scales.get(row).or(scales.first()).copied().unwrap_or(0.0))?
            }
            (How::Strips(Some(block)), Scaling::Blocks { scales, .. }) => {
                let per_row = cols / block;
                strips(tensor, Some(block), |row, b| bf16(scales.at(row * per_row + b)))?
            }
            _ => Form::F32(widened(tensor)?),
        };
        Ok(Self { rows, cols, form })
    }

    /// Fills `out [n, rows]` with the products of `x [n, cols]`, in f32.
    pub fn multiply(&self, x: &[f32], out: &mut [f32], kernels: &Kernels) -> Result<(), Why> {
        let (rows, cols) = (self.rows, self.cols);
        let n = x.len().checked_div(cols).unwrap_or(0);
        let strips = match &self.form {
            Form::F32(w) => {
                return by_tiles(n, rows, out, |tokens, rows, part, ldo| {
                    let of = |r: Range<usize>| r.start * cols..r.end * cols;
                    let (x, w) = x.get(of(tokens)).zip(w.get(of(rows))).ok_or("rows outside the weights")?;
                    (kernels.gemm_f32)(x, w, cols, part, ldo);
                    Ok(())
                });
            }
            Form::F16(w) => {
                return by_panels(n, rows, out, |range, part| {
                    with_scratch(range.len() * cols, |wide| {
                        let w = w.get(range.start * cols..range.end * cols).ok_or("rows outside the weights")?;
                        (kernels.widen_f16)(w, wide);
                        (kernels.gemm_f32)(x, wide, cols, part, range.len());
                        Ok(())
                    })
                });
            }
            Form::Strips(strips) => strips,
        };
        let spread = (strips.width != cols).then(|| spread(x, cols, strips.width));
        let x = spread.as_deref().unwrap_or(x);
        by_panels(n, rows, out, |range, part| {
            with_scratch(range.len() * strips.width, |wide| {
                (kernels.widen_row)(&strips.view(&range)?, 0..range.len(), wide);
                (kernels.gemm_f32)(x, wide, strips.width, part, range.len());
                Ok(())
            })
        })
    }

    /// The same for activations as 8-bit codes. Only for integer weights.
    pub fn multiply_rounded(&self, x: &Acts, n: usize, out: &mut [f32], kernels: &Kernels) -> Result<(), Why> {
        let Form::Strips(strips) = &self.form else {
            let width = self.cols.next_multiple_of(32);
            let codes = x.codes.chunks_exact(width.max(1)).zip(x.scales.iter().zip(&x.zeros));
            let numbers: Vec<f32> = codes
                .take(n)
                .flat_map(|(row, (scale, zero))| {
                    row.iter().take(self.cols).map(move |c| scale * (i32::from(*c) - zero) as f32)
                })
                .collect();
            return self.multiply(&numbers, out, kernels);
        };
        let width = strips.width;
        by_tiles(n, self.rows, out, |tokens, rows, part, ldo| {
            let per = |each: usize| tokens.start * each..tokens.end * each;
            let acts = ActsRow {
                codes: x.codes.get(per(width)).ok_or("activations are missing")?,
                scales: x.scales.get(tokens.clone()).ok_or("activations are missing")?,
                zeros: x.zeros.get(tokens.clone()).ok_or("activations are missing")?,
                totals: x.totals.get(per(width / 32)).ok_or("activations are missing")?,
            };
            (kernels.gemm_row)(&acts, &strips.view(&rows)?, part, ldo);
            Ok(())
        })
    }
}

impl Strips {
    /// The strips of rows that begin at a strip.
    fn view(&self, rows: &Range<usize>) -> Result<StripsRow<'_>, Why> {
        fn within<'a, T>(all: &'a [T], strips: &Range<usize>, per: usize) -> Result<&'a [T], Why> {
            all.get(strips.start * per..strips.end * per).ok_or_else(|| "strips outside the weights".into())
        }
        let strips = rows.start / STRIP..rows.end.div_ceil(STRIP);
        let groups = STRIP * (self.width / self.group);
        Ok(StripsRow {
            rows: rows.len(),
            cols: self.width,
            group: self.group,
            coding: self.coding,
            codes: within(&self.codes, &strips, self.width / 32 * self.coding.chunk_bytes())?,
            scales: match &self.scales {
                Scales::F16(all) => Factors::F16(within(all, &strips, groups)?),
                Scales::F32(all) => Factors::F32(within(all, &strips, groups)?),
            },
            sums: match &self.sums {
                Sums::Codes(all) => RowSums::Codes(within(all, &strips, STRIP)?),
                Sums::Scaled(all) => RowSums::Scaled(within(all, &strips, STRIP)?),
            },
            bias: Factors::NONE,
        })
    }
}

fn widened(tensor: &Stored) -> Result<Vec<f32>, Why> {
    let (rows, cols) = tensor.matrix();
    let mut out = vec![0.0; rows * cols];
    tensor.read_rows(0..rows, &mut out)?;
    Ok(out)
}

/// Rows of `x [n, cols]` in rows of `width`.
fn spread(x: &[f32], cols: usize, width: usize) -> Vec<f32> {
    let mut out = vec![0.0; x.len() / cols * width];
    for (to, row) in out.chunks_exact_mut(width).zip(x.chunks_exact(cols)) {
        to.iter_mut().zip(row).for_each(|(to, x)| *to = *x);
    }
    out
}

/// Lays out the codes of `tensor` under the scales of (row, block), strip by strip on the current pool.
fn strips(tensor: &Stored, block: Option<usize>, scale: impl Fn(usize, usize) -> f32 + Sync) -> Result<Form, Why> {
    let (rows, cols) = tensor.matrix();
    let width = cols.next_multiple_of(32).max(32);
    let (group, padded) = (block.unwrap_or(width), rows.next_multiple_of(STRIP));
    let coding = if tensor.kind == Kind::I4 { Coding::Four { offset: 8 } } else { Coding::Byte };
    let (bytes, groups) = (width / 32 * coding.chunk_bytes(), width / group);
    let mut codes = vec![0; padded / STRIP * bytes];
    let mut scales = vec![0.0; padded * groups];
    let mut sums = vec![0_i32; padded];
    let mut scaled = vec![0.0_f32; padded];
    let strips = codes.par_chunks_mut(bytes).zip(scales.par_chunks_mut(STRIP * groups));
    let of_rows = sums.par_chunks_mut(STRIP).zip(scaled.par_chunks_mut(STRIP));
    strips.zip(of_rows).enumerate().try_for_each(|(s, ((codes, scales), (sums, scaled)))| {
        let here = s * STRIP..rows.min((s + 1) * STRIP);
        let mut plain = vec![0_i8; here.len() * width];
        let mut factors = vec![0.0; here.len() * groups];
        let lines = plain.chunks_exact_mut(width).zip(factors.chunks_exact_mut(groups));
        for ((row, (line, factors)), (sum, scaled)) in here.zip(lines).zip(sums.iter_mut().zip(scaled)) {
            tensor.codes(row * cols..(row + 1) * cols, line.get_mut(..cols).unwrap_or_default())?;
            for (b, (factor, codes)) in factors.iter_mut().zip(line.chunks_exact(group)).enumerate() {
                let total: i32 = codes.iter().map(|c| i32::from(*c)).sum();
                *factor = scale(row, b);
                *sum += total;
                *scaled += *factor * total as f32;
            }
        }
        pack_codes(coding, width, &plain, codes);
        pack_values(groups, &factors, scales);
        Ok::<(), Why>(())
    })?;
    let halves: Vec<half::f16> = scales.iter().map(|s| half::f16::from_f32(*s)).collect();
    let exact = block.is_some() && halves.iter().zip(&scales).all(|(h, s)| h.to_f32() == *s);
    let scales = if exact { Scales::F16(halves.iter().map(|h| h.to_bits()).collect()) } else { Scales::F32(scales) };
    let sums = if block.is_some() { Sums::Scaled(scaled) } else { Sums::Codes(sums) };
    Ok(Form::Strips(Strips { width, group, coding, codes, scales, sums }))
}

/// The weights of a file as the numbers they stand for, under the names they have there.
pub(crate) struct Stock {
    tensors: Vec<StoredTensor>,
    stored: Vec<Arc<Stored>>,
}

impl Stock {
    pub fn new(used: Vec<Arc<Stored>>) -> Self {
        let tensors = used.iter().map(|t| describe(t)).collect();
        Self { tensors, stored: used }
    }
}

fn describe(tensor: &Stored) -> StoredTensor {
    let (rows, cols) = tensor.matrix();
    let bits = match tensor.kind {
        Kind::F32 => "f32",
        Kind::F16 => "f16",
        Kind::I4 => "int4",
        Kind::I2 => "int2",
        _ => "int8",
    };
    let scheme = match &tensor.scaling {
        Scaling::Blocks { block, .. } => format!("{bits}-b{block}"),
        Scaling::Affine { scales, .. } if scales.len() > 1 => format!("{bits}-row"),
        Scaling::Affine { .. } => format!("{bits}-tensor"),
        Scaling::None => bits.to_owned(),
    };
    StoredTensor { id: None, name: tensor.name.clone(), scheme, rows, cols, bytes: tensor.weight_bytes() }
}

impl Weights for Stock {
    fn tensors(&self) -> &[StoredTensor] {
        &self.tensors
    }

    fn read_rows(&self, index: usize, rows: Range<usize>, out: &mut [f32]) -> Result<(), Fault> {
        let bug = |why: Why| Fault::new(lfmq_core::Kind::Bug, why);
        let tensor = self.stored.get(index).ok_or_else(|| bug(format!("no tensor {index}")))?;
        tensor.read_rows(rows, out).map_err(bug)
    }
}
