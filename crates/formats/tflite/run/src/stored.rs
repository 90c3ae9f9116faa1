//! Constant tensors: typed bytes in the file, mapped and never copied.

use crate::model::{Quantization, TensorProto};
use crate::tensor::{Buffer, Kind, Why, elements};
use half::f16;
use lfmq_core::Mapped;
use std::ops::Range;
use std::sync::Arc;

/// A tensor as the file has it.
#[derive(Clone)]
pub(crate) struct Stored {
    pub name: String,
    pub kind: Kind,
    pub shape: Vec<usize>,
    file: Arc<Mapped>,
    bytes: Range<usize>,
    pub scaling: Scaling,
}

/// How stored integers stand for numbers.
#[derive(Clone)]
pub(crate) enum Scaling {
    None,
    /// One scale, or one for each index of dimension `axis`; `zeros` is empty when all are 0.
    Affine {
        scales: Arc<Vec<f32>>,
        zeros: Arc<Vec<i64>>,
        axis: usize,
    },
    /// Scales `[rows, cols / block]`.
    Blocks {
        scales: Halves,
        block: usize,
    },
}

/// Numbers of binary16, where the file has them: there is one for every few weights.
#[derive(Clone)]
pub(crate) struct Halves {
    file: Arc<Mapped>,
    bytes: Range<usize>,
}

impl Halves {
    fn all(&self) -> impl Iterator<Item = f32> {
        let bytes = self.file.get(self.bytes.clone()).unwrap_or_default();
        bytes.as_chunks().0.iter().map(|b| f16::from_le_bytes(*b).to_f32())
    }

    pub fn len(&self) -> usize {
        self.bytes.len() / 2
    }

    /// Number `i`; 0 past the end.
    pub fn at(&self, i: usize) -> f32 {
        let start = self.bytes.start + 2 * i;
        let bytes = self.file.get(start..start + 2).filter(|_| i < self.len());
        bytes.and_then(|b| b.first_chunk()).map_or(0.0, |b| f16::from_le_bytes(*b).to_f32())
    }
}

/// Where a tensor's bytes are: two tensors with one place are one set of weights.
pub(crate) type Place = (usize, usize);

impl Stored {
    /// Checks kind, shape and length of `tensor`, whose values lie at `bytes` of `file`. `scales` finds the tensor that
    /// holds block scales.
    ///
    /// # Errors
    /// When the bytes are not what the shape needs, or the scales do not fit the values.
    pub fn find(
        file: &Arc<Mapped>,
        tensor: &TensorProto<'_>,
        bytes: Range<usize>,
        scales: impl FnOnce(i32) -> Result<Self, Why>,
    ) -> Result<Self, Why> {
        let kind = Kind::of(tensor.dtype)?;
        let shape = shape(&tensor.dims)?;
        let count = elements_stored(&shape)?;
        let need = kind.bytes(count).ok_or_else(|| format!("a tensor of shape {shape:?} is too large"))?;
        if bytes.len() != need || file.get(bytes.clone()).is_none() {
            return Err(format!("{} bytes for {kind:?} of shape {shape:?}, expected {need}", bytes.len()));
        }
        let scaling = match tensor.quantization {
            Quantization::None => Scaling::None,
            Quantization::Affine { scales, zeros, axis } => affine(&shape, scales.bytes, zeros.bytes, axis)?,
            Quantization::Blocks { scales: index, zeros, block } => blocks(kind, &shape, zeros, block, scales(index)?)?,
            Quantization::Other(kind) => return Err(format!("quantization of kind {kind} is not supported")),
        };
        Ok(Self { name: tensor.name.to_owned(), kind, shape, file: file.clone(), bytes, scaling })
    }

    pub fn bytes(&self) -> &[u8] {
        self.file.get(self.bytes.clone()).unwrap_or_default()
    }

    /// See [`Place`].
    pub fn place(&self) -> Place {
        (self.bytes.start, self.bytes.len())
    }

    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Rows (all but the last extent) and columns.
    pub fn matrix(&self) -> (usize, usize) {
        let cols = self.shape.last().copied().unwrap_or(1);
        (self.len().checked_div(cols).unwrap_or(0), cols)
    }

    /// Bytes of the values and of their scales.
    pub fn weight_bytes(&self) -> u64 {
        let scales = match &self.scaling {
            Scaling::None => 0,
            Scaling::Affine { scales, .. } => 4 * scales.len(),
            Scaling::Blocks { scales, .. } => 2 * scales.len(),
        };
        (self.bytes.len() + scales) as u64
    }

    /// Integer codes of elements `range`, an i8 each, into `out`.
    pub fn codes(&self, range: Range<usize>, out: &mut [i8]) -> Result<(), Why> {
        let per = match self.kind {
            Kind::I8 => 1,
            Kind::I4 => 2,
            Kind::I2 => 4,
            other => return Err(format!("expected integers of up to eight bits, found {other:?}")),
        };
        let bytes =
            self.bytes().get(range.start / per..range.end.div_ceil(per)).ok_or("elements outside the tensor")?;
        let skip = range.start % per;
        match per {
            1 => out.iter_mut().zip(bytes).for_each(|(o, b)| *o = b.cast_signed()),
            2 => {
                let nibbles = bytes.iter().flat_map(|b| [(b << 4).cast_signed() >> 4, b.cast_signed() >> 4]);
                out.iter_mut().zip(nibbles.skip(skip)).for_each(|(o, q)| *o = q);
            }
            _ => {
                let pairs = bytes.iter().flat_map(|b| [6, 4, 2, 0].map(|s| (b << s).cast_signed() >> 6));
                out.iter_mut().zip(pairs.skip(skip)).for_each(|(o, q)| *o = q);
            }
        }
        Ok(())
    }

    /// Rows `rows` of the matrix as f32, `[rows, cols]`, into `out`.
    pub fn read_rows(&self, rows: Range<usize>, out: &mut [f32]) -> Result<(), Why> {
        let (all, cols) = self.matrix();
        if rows.start > rows.end || rows.end > all || out.len() != rows.len() * cols {
            return Err(format!("rows {rows:?} of a matrix of {all}"));
        }
        let range = rows.start * cols..rows.end * cols;
        let bytes = |size: usize| self.bytes().get(range.start * size..range.end * size).unwrap_or_default();
        match self.kind {
            Kind::F32 => {
                out.iter_mut().zip(bytes(4).as_chunks().0).for_each(|(o, b)| *o = f32::from_le_bytes(*b));
                return Ok(());
            }
            Kind::F16 => {
                out.iter_mut().zip(bytes(2).as_chunks().0).for_each(|(o, b)| *o = f16::from_le_bytes(*b).to_f32());
                return Ok(());
            }
            _ => {}
        }
        let mut codes = vec![0; cols];
        for (row, out) in rows.zip(out.chunks_exact_mut(cols.max(1))) {
            self.codes(row * cols..(row + 1) * cols, &mut codes)?;
            self.widen(row, &codes, out)?;
        }
        Ok(())
    }

    /// The numbers that the codes of a row stand for.
    fn widen(&self, row: usize, codes: &[i8], out: &mut [f32]) -> Result<(), Why> {
        let cells = out.iter_mut().zip(codes);
        match &self.scaling {
            Scaling::None => return Err("integers without scales where numbers are wanted".into()),
            Scaling::Affine { scales, zeros, axis } if scales.len() == 1 || *axis + 1 < self.shape.len() => {
                // All dimensions behind the scaled one share its scale.
                let inner: usize = self.shape.get(axis + 1..self.shape.len() - 1).map_or(1, |d| d.iter().product());
                let extent = self.shape.get(*axis).copied().unwrap_or(1);
                let at = if scales.len() == 1 { 0 } else { row.checked_div(inner).unwrap_or(0) % extent.max(1) };
                let (scale, zero) = (at_or(scales, at, 0.0), at_or(zeros, at, 0));
                cells.for_each(|(o, q)| *o = scale * (i64::from(*q) - zero) as f32);
            }
            Scaling::Affine { scales, zeros, .. } => {
                cells.enumerate().for_each(|(i, (o, q))| {
                    *o = at_or(scales, i, 0.0) * (i64::from(*q) - at_or(zeros, i, 0)) as f32;
                });
            }
            Scaling::Blocks { scales, block } => {
                let per_row = codes.len() / block;
                cells.enumerate().for_each(|(i, (o, q))| {
                    *o = scales.at(row * per_row + i / block) * f32::from(*q);
                });
            }
        }
        Ok(())
    }

    /// A copy in memory, as numbers where `numbers` and as they are stored otherwise.
    pub fn load(&self, numbers: bool) -> Result<Buffer, Why> {
        let bytes = self.bytes();
        let floats = numbers || matches!(self.kind, Kind::F32 | Kind::F16);
        Ok(match self.kind {
            _ if floats && self.kind != Kind::Bool => {
                let (rows, cols) = self.matrix();
                let mut out = vec![0.0; elements(&self.shape)?];
                self.read_rows(0..rows, out.get_mut(..rows * cols).unwrap_or_default())?;
                Buffer::F32(out)
            }
            Kind::I32 => Buffer::I32(bytes.as_chunks().0.iter().map(|b| i32::from_le_bytes(*b)).collect()),
            Kind::I64 => Buffer::I64(bytes.as_chunks().0.iter().map(|b| i64::from_le_bytes(*b)).collect()),
            Kind::I8 | Kind::U8 | Kind::Bool => Buffer::Bytes(bytes.to_vec()),
            other => return Err(format!("{other:?} can only be stored")),
        })
    }
}

fn at_or<T: Copy>(all: &[T], index: usize, default: T) -> T {
    all.get(index).copied().unwrap_or(default)
}

/// A shape whose extents are all known.
pub(crate) fn shape(dims: &[i32]) -> Result<Vec<usize>, Why> {
    let extent =
        |d: &i32| usize::try_from(*d).map_err(|_| format!("a shape of {dims:?}: open extents are not supported"));
    dims.iter().map(extent).collect()
}

/// Weights may have more elements than any computed value.
fn elements_stored(shape: &[usize]) -> Result<usize, Why> {
    let n = shape.iter().try_fold(1_usize, |n, d| n.checked_mul((*d).max(1))).filter(|n| *n <= 1 << 40);
    let n = n.ok_or_else(|| format!("a tensor of shape {shape:?} is too large"))?;
    Ok(if shape.contains(&0) { 0 } else { n })
}

fn affine(shape: &[usize], scales: &[u8], zeros: &[u8], axis: i32) -> Result<Scaling, Why> {
    let scales: Vec<f32> = scales.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
    let mut zeros: Vec<i64> = zeros.as_chunks().0.iter().map(|b| i64::from_le_bytes(*b)).collect();
    let axis = usize::try_from(axis).unwrap_or(usize::MAX);
    if scales.len() > 1 && shape.get(axis) != Some(&scales.len()) {
        return Err(format!("{} scales along dimension {axis} of {shape:?}", scales.len()));
    }
    scales.iter().copied().try_for_each(sound)?;
    if zeros.iter().all(|z| *z == 0) {
        zeros = Vec::new();
    } else if zeros.iter().any(|z| !(-255..=255).contains(z)) {
        return Err("a zero point outside eight bits".into());
    }
    Ok(Scaling::Affine { scales: Arc::new(scales), zeros: Arc::new(zeros), axis })
}

fn blocks(kind: Kind, shape: &[usize], zeros: i32, block: i32, scales: Stored) -> Result<Scaling, Why> {
    let count: usize = shape.iter().product();
    let block = usize::try_from(block).ok().filter(|b| *b > 0).ok_or_else(|| format!("blocks of {block}"))?;
    let cols = shape.last().copied().unwrap_or(0);
    if zeros >= 0 {
        return Err("zero points of blocks are not supported".into());
    }
    if !cols.is_multiple_of(block) || !matches!(kind, Kind::I4 | Kind::I8 | Kind::I2) {
        return Err(format!("blocks of {block} in rows of {cols} {kind:?}"));
    }
    if scales.kind != Kind::F16 || scales.len() != count / block {
        return Err(format!("{} {:?} as scales of {} blocks", scales.len(), scales.kind, count / block));
    }
    let scales = Halves { file: scales.file, bytes: scales.bytes };
    scales.all().try_for_each(sound)?;
    Ok(Scaling::Blocks { scales, block })
}

/// XNNPACK refuses the whole model for a scale that is not.
fn sound(scale: f32) -> Result<(), Why> {
    if scale.is_normal() && scale > 0.0 {
        Ok(())
    } else {
        Err(format!("a scale of {scale}, which the runtime refuses"))
    }
}
