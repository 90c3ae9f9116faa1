use crate::cursor::Cursor;
use crate::{GgmlType, WireError};
use std::ops::Range;

/// Most dimensions a tensor may have.
const MAX_DIMS: usize = 4;

/// What the file says of one tensor, and its bytes.
#[derive(Clone, Copy, Debug)]
pub struct Tensor<'a> {
    name: &'a str,
    dims: [u64; MAX_DIMS],
    rank: usize,
    ty: GgmlType,
    start: usize,
    data: &'a [u8],
}

impl<'a> Tensor<'a> {
    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &'a str {
        self.name
    }

    /// Its extents, fastest-varying first: a matrix is `[cols, rows]`. One to four of them, none zero.
    #[must_use]
    pub fn dims(&self) -> &[u64] {
        self.dims.get(..self.rank).unwrap_or(&[])
    }

    /// Its type.
    #[must_use]
    pub const fn ty(&self) -> GgmlType {
        self.ty
    }

    /// Weights in a row: the first extent.
    #[must_use]
    pub const fn cols(&self) -> usize {
        self.dims[0] as usize
    }

    /// Number of rows: the product of the extents after the first.
    #[must_use]
    pub const fn rows(&self) -> usize {
        (self.dims[1] * self.dims[2] * self.dims[3]) as usize
    }

    /// Number of weights.
    #[must_use]
    pub const fn elements(&self) -> u64 {
        self.cols() as u64 * self.rows() as u64
    }

    /// Its bytes, padding excluded.
    #[must_use]
    pub const fn data(&self) -> &'a [u8] {
        self.data
    }

    /// Where in the file its bytes lie.
    #[must_use]
    pub const fn range(&self) -> Range<usize> {
        self.start..self.start + self.data.len()
    }
}

/// A tensor info as read, before the data section is known.
pub(crate) struct Info<'a> {
    pub(crate) name: &'a str,
    dims: [u64; MAX_DIMS],
    rank: usize,
    ty: GgmlType,
    bytes: u64,
    offset: u64,
}

impl<'a> Info<'a> {
    pub(crate) fn read(index: usize, from: &mut Cursor<'a>) -> Result<Self, WireError> {
        // A name's length is judged before the name is read, so that the message is about the name.
        let mut ahead = *from;
        let length = ahead.u64("a tensor's name")?;
        if !(1..=63).contains(&length) {
            return Err(WireError::TensorName { index, found: length });
        }
        let name = from.text("a tensor's name")?;
        let (dims, rank) = read_dims(name, from)?;
        let ty = tensor_type(name, from.u32("a tensor's type")?)?;
        let offset = from.u64("a tensor's offset")?;
        let [cols, rest @ ..] = dims;
        if !cols.is_multiple_of(ty.block() as u64) {
            return Err(WireError::Row { tensor: name.to_owned(), cols, ty });
        }
        let bytes = rest
            .iter()
            .try_fold(ty.row_bytes(cols), |sum, extent| Some(sum?.checked_mul(*extent)))
            .flatten()
            .filter(|bytes| *bytes <= i64::MAX as u64)
            .ok_or_else(|| WireError::Overflow { tensor: name.to_owned(), extents: dims.to_vec() })?;
        Ok(Self { name, dims, rank, ty, bytes, offset })
    }

    /// Gives the tensor its bytes. `expected` is the offset it must have in the data section that starts at
    /// `start`; returned beside the tensor is the offset of the next.
    pub(crate) fn place(
        self,
        file: &'a [u8],
        start: u64,
        expected: u64,
        alignment: u64,
    ) -> Result<(Tensor<'a>, u64), WireError> {
        let tensor = || self.name.to_owned();
        if self.offset != expected {
            return Err(WireError::Offset { tensor: tensor(), expected, found: self.offset });
        }
        let overflow = || WireError::Overflow { tensor: tensor(), extents: self.dims.to_vec() };
        let first = start.checked_add(self.offset).ok_or_else(overflow)?;
        let end = first.checked_add(self.bytes).ok_or_else(overflow)?;
        let next = expected.checked_add(self.bytes).and_then(|n| n.checked_next_multiple_of(alignment));
        let range = usize::try_from(first).ok().zip(usize::try_from(end).ok());
        let data = range.and_then(|(a, b)| file.get(a..b)).ok_or_else(|| WireError::PastEnd {
            tensor: tensor(),
            end,
            len: file.len() as u64,
        })?;
        let next = next.ok_or_else(overflow)?;
        let (dims, rank, ty) = (self.dims, self.rank, self.ty);
        Ok((Tensor { name: self.name, dims, rank, ty, start: first as usize, data }, next))
    }
}

fn read_dims(name: &str, from: &mut Cursor<'_>) -> Result<([u64; MAX_DIMS], usize), WireError> {
    let found = from.u32("a tensor's rank")?;
    let rank = found as usize;
    if !(1..=MAX_DIMS).contains(&rank) {
        return Err(WireError::Dimensions { tensor: name.to_owned(), found });
    }
    let mut dims = [1; MAX_DIMS];
    for (dim, extent) in dims.iter_mut().enumerate().take(rank) {
        *extent = from.u64("a tensor's extents")?;
        if *extent == 0 || *extent > i64::MAX as u64 {
            return Err(WireError::Extent { tensor: name.to_owned(), dim, found: *extent });
        }
    }
    // The product bounds every partial product later: rows(), elements().
    let fits = dims.iter().try_fold(1u64, |n, e| n.checked_mul(*e)).is_some_and(|n| n <= i64::MAX as u64);
    if !fits {
        return Err(WireError::Overflow { tensor: name.to_owned(), extents: dims.to_vec() });
    }
    Ok((dims, rank))
}

fn tensor_type(tensor: &str, id: u32) -> Result<GgmlType, WireError> {
    GgmlType::from_id(id).ok_or_else(|| {
        let name = match id {
            4 | 5 | 31..=33 | 36..=38 => "removed from the format",
            9 | 15 => "a type of activations",
            16..=19 | 21 | 22 | 29 => "an IQ1, IQ2 or IQ3 type",
            24..=28 => "an integer or f64 type",
            40 => "NVFP4",
            41 => "Q1_0",
            42 => "Q2_0",
            _ => "no type of the format",
        };
        WireError::TensorType { tensor: tensor.to_owned(), found: id, name }
    })
}
