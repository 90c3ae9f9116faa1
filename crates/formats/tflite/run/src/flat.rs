//! FlatBuffers, read where they lie. Every offset, length and vtable is checked against the bytes before it is followed.

use std::cell::Cell;

/// Tables visited, at most; what the runtime's own verifier allows.
const TABLES: u32 = 1_000_000;

/// Where and why a buffer cannot be read.
#[derive(Debug)]
pub(crate) struct WireFault {
    pub at: usize,
    pub why: String,
}

pub(crate) type Read<T> = Result<T, WireFault>;

fn fault<T>(at: usize, why: impl Into<String>) -> Read<T> {
    Err(WireFault { at, why: why.into() })
}

/// Counts the tables of one file: a vector may name one table many times over.
pub(crate) struct Budget(Cell<u32>);

impl Budget {
    pub fn new() -> Self {
        Self(Cell::new(TABLES))
    }
}

/// A table inside `bytes`.
#[derive(Clone, Copy)]
pub(crate) struct Table<'a> {
    bytes: &'a [u8],
    budget: &'a Budget,
    at: usize,
    /// The vtable without its two lengths: where each field lies, counted from `at`.
    fields: &'a [[u8; 2]],
    /// Bytes of the table itself.
    size: usize,
}

/// Elements of one size inside the file.
#[derive(Clone, Copy, Default)]
pub(crate) struct Vector<'a> {
    pub at: usize,
    pub bytes: &'a [u8],
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Read<[u8; N]> {
    match at.checked_add(N).and_then(|end| bytes.get(at..end)).and_then(|b| b.first_chunk()) {
        Some(bytes) => Ok(*bytes),
        None => fault(at, format!("{N} bytes are wanted, the file has {}", bytes.len())),
    }
}

/// The place that the offset at `at` points to, always ahead.
fn follow(bytes: &[u8], at: usize) -> Read<usize> {
    let offset = u32::from_le_bytes(array(bytes, at)?);
    match at.checked_add(offset as usize) {
        Some(to) if offset > 0 && to < bytes.len() => Ok(to),
        _ => fault(at, format!("an offset of {offset} leads out of the file")),
    }
}

impl<'a> Table<'a> {
    /// The table that the offset at `at` points to.
    pub fn root(bytes: &'a [u8], at: usize, budget: &'a Budget) -> Read<Self> {
        Self::read(bytes, follow(bytes, at)?, budget)
    }

    fn read(bytes: &'a [u8], at: usize, budget: &'a Budget) -> Read<Self> {
        match budget.0.get().checked_sub(1) {
            Some(left) => budget.0.set(left),
            None => return fault(at, format!("more than {TABLES} tables")),
        }
        let back = i32::from_le_bytes(array(bytes, at)?);
        let vtable = i64::try_from(at).ok().and_then(|at| usize::try_from(at - i64::from(back)).ok());
        let Some(vtable) = vtable.filter(|v| *v < bytes.len()) else {
            return fault(at, format!("a table's vtable at {back} before it is outside the file"));
        };
        let length = usize::from(u16::from_le_bytes(array(bytes, vtable)?));
        let size = usize::from(u16::from_le_bytes(array(bytes, vtable + 2)?));
        let whole = length >= 4 && length.is_multiple_of(2) && size >= 4;
        let fields = bytes.get(vtable + 4..vtable.saturating_add(length)).filter(|_| whole);
        let Some(fields) = fields else { return fault(vtable, format!("a vtable of {length} bytes")) };
        if at.checked_add(size).is_none_or(|end| end > bytes.len()) {
            return fault(at, format!("a table of {size} bytes passes the end of the file"));
        }
        Ok(Self { bytes, budget, at, fields: fields.as_chunks().0, size })
    }

    /// The place of field `id` of `size` bytes, if the table has it.
    fn field(&self, id: usize, size: usize) -> Read<Option<usize>> {
        let offset = self.fields.get(id).map_or(0, |f| usize::from(u16::from_le_bytes(*f)));
        if offset == 0 {
            return Ok(None);
        }
        if offset < 4 || offset + size > self.size {
            return fault(self.at, format!("field {id} at {offset} is outside its table"));
        }
        Ok(Some(self.at + offset))
    }

    fn scalar<const N: usize>(&self, id: usize) -> Read<Option<[u8; N]>> {
        self.field(id, N)?.map(|at| array(self.bytes, at)).transpose()
    }

    pub fn u8(&self, id: usize) -> Read<u8> {
        Ok(self.scalar::<1>(id)?.map_or(0, |[b]| b))
    }

    pub fn bool(&self, id: usize) -> Read<bool> {
        Ok(self.u8(id)? != 0)
    }

    pub fn i32(&self, id: usize) -> Read<i32> {
        Ok(self.scalar(id)?.map_or(0, i32::from_le_bytes))
    }

    pub fn i32_or(&self, id: usize, default: i32) -> Read<i32> {
        Ok(self.scalar(id)?.map_or(default, i32::from_le_bytes))
    }

    pub fn u32(&self, id: usize) -> Read<u32> {
        Ok(self.scalar(id)?.map_or(0, u32::from_le_bytes))
    }

    pub fn u64(&self, id: usize) -> Read<u64> {
        Ok(self.scalar(id)?.map_or(0, u64::from_le_bytes))
    }

    pub fn f32(&self, id: usize) -> Read<f32> {
        Ok(self.scalar(id)?.map_or(0.0, f32::from_le_bytes))
    }

    pub fn table(&self, id: usize) -> Read<Option<Self>> {
        match self.field(id, 4)? {
            Some(at) => Self::root(self.bytes, at, self.budget).map(Some),
            None => Ok(None),
        }
    }

    /// A vector of elements of `size` bytes; empty when there is none.
    pub fn vector(&self, id: usize, size: usize) -> Read<Vector<'a>> {
        let Some(field) = self.field(id, 4)? else { return Ok(Vector::default()) };
        let at = follow(self.bytes, field)?;
        let count = u32::from_le_bytes(array(self.bytes, at)?) as usize;
        let bytes = count.checked_mul(size).and_then(|n| self.bytes.get(at + 4..)?.get(..n));
        match bytes {
            Some(bytes) => Ok(Vector { at: at + 4, bytes }),
            None => fault(at, format!("a vector of {count} elements of {size} bytes passes the end of the file")),
        }
    }

    /// All tables of a vector of tables.
    pub fn tables(&self, id: usize) -> Read<Vec<Self>> {
        let offsets = self.vector(id, 4)?;
        let count = offsets.bytes.len() / 4;
        (0..count).map(|i| Self::root(self.bytes, offsets.at + 4 * i, self.budget)).collect()
    }

    pub fn i32s(&self, id: usize) -> Read<Vec<i32>> {
        Ok(self.vector(id, 4)?.bytes.as_chunks().0.iter().map(|b| i32::from_le_bytes(*b)).collect())
    }

    pub fn text(&self, id: usize) -> Read<&'a str> {
        let vector = self.vector(id, 1)?;
        std::str::from_utf8(vector.bytes).or_else(|_| fault(vector.at, "a text that is not UTF-8"))
    }

    /// A fault at this table.
    pub fn fault<T>(&self, why: impl Into<String>) -> Read<T> {
        fault(self.at, why)
    }
}
