//! Values that flow between nodes: a type known when the file is opened, and buffers that stay.

/// Why a node cannot do its work, in words; whoever runs the node adds where.
pub(crate) type Why = String;

/// Elements of any value, at most.
pub(crate) const LIMIT: usize = 1 << 28;

/// Element types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    F32,
    /// Only stored.
    F16,
    I32,
    I64,
    I8,
    U8,
    Bool,
    /// Two elements a byte; only stored.
    I4,
    /// Four elements a byte; only stored.
    I2,
}

impl Kind {
    /// By the number in `TensorType`.
    pub fn of(number: u8) -> Result<Self, Why> {
        Ok(match number {
            0 => Self::F32,
            1 => Self::F16,
            2 => Self::I32,
            3 => Self::U8,
            4 => Self::I64,
            6 => Self::Bool,
            9 => Self::I8,
            17 => Self::I4,
            19 => Self::I2,
            other => return Err(format!("element type {other} is not supported")),
        })
    }

    /// Bytes that `n` elements take in a file.
    pub fn bytes(self, n: usize) -> Option<usize> {
        match self {
            Self::I2 => Some(n.div_ceil(4)),
            Self::I4 => Some(n.div_ceil(2)),
            Self::U8 | Self::I8 | Self::Bool => Some(n),
            Self::F16 => n.checked_mul(2),
            Self::F32 | Self::I32 => n.checked_mul(4),
            Self::I64 => n.checked_mul(8),
        }
    }
}

/// What is known of a value before it is computed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Type {
    pub kind: Kind,
    pub shape: Vec<usize>,
}

impl Type {
    pub fn new(kind: Kind, shape: Vec<usize>) -> Self {
        Self { kind, shape }
    }

    pub fn f32(shape: Vec<usize>) -> Self {
        Self::new(Kind::F32, shape)
    }

    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }
}

/// Elements of a shape; an error when there are more than [`LIMIT`].
pub(crate) fn elements(shape: &[usize]) -> Result<usize, Why> {
    // An extent of 0 must not hide others that no product of extents could hold.
    let n = shape.iter().try_fold(1_usize, |n, d| n.checked_mul((*d).max(1))).filter(|n| *n <= LIMIT);
    let n = n.ok_or_else(|| format!("a value of shape {shape:?} is too large"))?;
    Ok(if shape.contains(&0) { 0 } else { n })
}

/// Rows of activations as 8-bit codes under one scale and one zero each.
#[derive(Clone, Debug, Default)]
pub(crate) struct Acts {
    pub codes: Vec<i8>,
    pub scales: Vec<f32>,
    pub zeros: Vec<i32>,
    pub totals: Vec<i16>,
}

impl Acts {
    /// Room for `n` rows of `width` codes, whole chunks.
    pub fn resize(&mut self, n: usize, width: usize) {
        self.codes.resize(n * width, 0);
        self.totals.resize(n * width / 32, 0);
        self.scales.resize(n, 0.0);
        self.zeros.resize(n, 0);
    }
}

/// Elements in row-major order; bytes for `I8`, `U8` and `Bool`.
#[derive(Clone, Debug)]
pub(crate) enum Buffer {
    F32(Vec<f32>),
    I32(Vec<i32>),
    I64(Vec<i64>),
    Bytes(Vec<u8>),
    Acts(Acts),
}

/// Kinds of buffers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Class {
    F32,
    I32,
    I64,
    Bytes,
    Acts,
}

impl Class {
    pub fn of(kind: Kind) -> Result<Self, Why> {
        match kind {
            Kind::F32 => Ok(Self::F32),
            Kind::I32 => Ok(Self::I32),
            Kind::I64 => Ok(Self::I64),
            Kind::I8 | Kind::U8 | Kind::Bool => Ok(Self::Bytes),
            Kind::F16 | Kind::I4 | Kind::I2 => Err(format!("{kind:?} can only be stored")),
        }
    }

    pub fn empty(self) -> Buffer {
        match self {
            Self::F32 => Buffer::F32(Vec::new()),
            Self::I32 => Buffer::I32(Vec::new()),
            Self::I64 => Buffer::I64(Vec::new()),
            Self::Bytes => Buffer::Bytes(Vec::new()),
            Self::Acts => Buffer::Acts(Acts::default()),
        }
    }
}

impl Buffer {
    pub fn zeros(class: Class, len: usize) -> Self {
        let mut buffer = class.empty();
        buffer.at_least(len);
        buffer
    }

    pub fn class(&self) -> Class {
        match self {
            Self::F32(_) => Class::F32,
            Self::I32(_) => Class::I32,
            Self::I64(_) => Class::I64,
            Self::Bytes(_) => Class::Bytes,
            Self::Acts(_) => Class::Acts,
        }
    }

    /// Grows to `len` elements; never shrinks.
    pub fn at_least(&mut self, len: usize) {
        fn grow<T: Clone + Default>(v: &mut Vec<T>, len: usize) {
            if v.len() < len {
                v.resize(len, T::default());
            }
        }
        match self {
            Self::F32(v) => grow(v, len),
            Self::I32(v) => grow(v, len),
            Self::I64(v) => grow(v, len),
            Self::Bytes(v) => grow(v, len),
            Self::Acts(_) => {}
        }
    }

    /// Copies `len` elements of `from`, from `start` on, to the front.
    pub fn copy_from(&mut self, from: &Self, start: usize, len: usize) -> Result<(), Why> {
        fn part<T: Copy>(to: &mut [T], from: &[T], start: usize, len: usize) -> Option<()> {
            to.get_mut(..len)?.copy_from_slice(from.get(start..)?.get(..len)?);
            Some(())
        }
        self.at_least(len);
        let done = match (self, from) {
            (Self::F32(to), Self::F32(from)) => part(to, from, start, len),
            (Self::I32(to), Self::I32(from)) => part(to, from, start, len),
            (Self::I64(to), Self::I64(from)) => part(to, from, start, len),
            (Self::Bytes(to), Self::Bytes(from)) => part(to, from, start, len),
            _ => None,
        };
        done.ok_or_else(|| "a value of another type than planned".to_owned())
    }

    pub fn f32_mut(&mut self) -> Result<&mut [f32], Why> {
        if let Self::F32(v) = self { Ok(v) } else { Err("expected floats".into()) }
    }

    pub fn i32_mut(&mut self) -> Result<&mut [i32], Why> {
        if let Self::I32(v) = self { Ok(v) } else { Err("expected 32-bit integers".into()) }
    }

    pub fn bytes_mut(&mut self) -> Result<&mut [u8], Why> {
        if let Self::Bytes(v) = self { Ok(v) } else { Err("expected bytes".into()) }
    }
}
