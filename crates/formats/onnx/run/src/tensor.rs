//! Values that flow between nodes: a shape and shared elements.

use half::f16;
use lfmq_core::Activation;
use std::borrow::Cow;
use std::sync::Arc;

/// Why a node cannot do its work, in words; whoever runs the node adds where.
pub(crate) type Why = String;

/// Element types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    F32,
    F16,
    I64,
    I32,
    U8,
    I8,
    Bool,
    /// Two elements a byte in a file; one a byte in memory.
    U4,
    I4,
}

impl Kind {
    /// By the number in `TensorProto.DataType`.
    pub fn of(number: i64) -> Result<Self, Why> {
        Ok(match number {
            1 => Self::F32,
            2 => Self::U8,
            3 => Self::I8,
            6 => Self::I32,
            7 => Self::I64,
            9 => Self::Bool,
            10 => Self::F16,
            21 => Self::U4,
            22 => Self::I4,
            other => return Err(format!("element type {other} is not supported")),
        })
    }

    /// Bytes that `n` elements take in a file.
    pub fn bytes(self, n: usize) -> Option<usize> {
        match self {
            Self::U4 | Self::I4 => Some(n.div_ceil(2)),
            Self::U8 | Self::I8 | Self::Bool => Some(n),
            Self::F16 => n.checked_mul(2),
            Self::F32 | Self::I32 => n.checked_mul(4),
            Self::I64 => n.checked_mul(8),
        }
    }

    /// The type of values that flow: without roundings, floats of 16 bits are of 32.
    pub fn flowing(self, activation: Activation) -> Self {
        if self == Self::F16 && activation == Activation::F32 { Self::F32 } else { self }
    }

    pub fn is_float(self) -> bool {
        matches!(self, Self::F32 | Self::F16)
    }
}

/// Elements in row-major order.
#[derive(Clone, Debug)]
pub(crate) enum Data {
    F32(Arc<Vec<f32>>),
    F16(Arc<Vec<f16>>),
    I64(Arc<Vec<i64>>),
    I32(Arc<Vec<i32>>),
    U8(Arc<Vec<u8>>),
    I8(Arc<Vec<i8>>),
    Bool(Arc<Vec<bool>>),
}

/// Runs `$body` with the elements of any type and wraps the vector it gives in the same type.
macro_rules! map_data {
    ($data:expr, $v:ident => $body:expr) => {
        match $data {
            $crate::tensor::Data::F32($v) => $crate::tensor::Data::F32(std::sync::Arc::new($body)),
            $crate::tensor::Data::F16($v) => $crate::tensor::Data::F16(std::sync::Arc::new($body)),
            $crate::tensor::Data::I64($v) => $crate::tensor::Data::I64(std::sync::Arc::new($body)),
            $crate::tensor::Data::I32($v) => $crate::tensor::Data::I32(std::sync::Arc::new($body)),
            $crate::tensor::Data::U8($v) => $crate::tensor::Data::U8(std::sync::Arc::new($body)),
            $crate::tensor::Data::I8($v) => $crate::tensor::Data::I8(std::sync::Arc::new($body)),
            $crate::tensor::Data::Bool($v) => $crate::tensor::Data::Bool(std::sync::Arc::new($body)),
        }
    };
}
pub(crate) use map_data;

impl Data {
    pub fn len(&self) -> usize {
        match self {
            Self::F32(v) => v.len(),
            Self::F16(v) => v.len(),
            Self::I64(v) => v.len(),
            Self::I32(v) => v.len(),
            Self::U8(v) => v.len(),
            Self::I8(v) => v.len(),
            Self::Bool(v) => v.len(),
        }
    }

    pub fn kind(&self) -> Kind {
        match self {
            Self::F32(_) => Kind::F32,
            Self::F16(_) => Kind::F16,
            Self::I64(_) => Kind::I64,
            Self::I32(_) => Kind::I32,
            Self::U8(_) => Kind::U8,
            Self::I8(_) => Kind::I8,
            Self::Bool(_) => Kind::Bool,
        }
    }
}

/// A value of the graph. Copies share their elements.
#[derive(Clone, Debug)]
pub(crate) struct Tensor {
    pub shape: Vec<usize>,
    pub data: Data,
}

/// Elements of a shape; an error when there are more than `limit`.
pub(crate) fn elements(shape: &[usize], limit: usize) -> Result<usize, Why> {
    // An extent of 0 must not hide others that no product of extents could hold.
    let n = shape.iter().try_fold(1_usize, |n, d| n.checked_mul((*d).max(1))).filter(|n| *n <= limit);
    let n = n.ok_or_else(|| format!("a value of shape {shape:?} is too large"))?;
    Ok(if shape.contains(&0) { 0 } else { n })
}

/// Rounds floats to `kind`; F16 and F32 only.
pub(crate) fn floats_as(kind: Kind, values: Vec<f32>) -> Data {
    if kind == Kind::F16 {
        Data::F16(Arc::new(values.into_iter().map(f16::from_f32).collect()))
    } else {
        Data::F32(Arc::new(values))
    }
}

impl Tensor {
    pub fn new(shape: Vec<usize>, data: Data) -> Self {
        debug_assert_eq!(elements(&shape, usize::MAX).ok(), Some(data.len()), "{shape:?}");
        Self { shape, data }
    }

    pub fn f32(shape: Vec<usize>, values: Vec<f32>) -> Self {
        Self::new(shape, Data::F32(Arc::new(values)))
    }

    pub fn i64(shape: Vec<usize>, values: Vec<i64>) -> Self {
        Self::new(shape, Data::I64(Arc::new(values)))
    }

    pub fn bool(shape: Vec<usize>, values: Vec<bool>) -> Self {
        Self::new(shape, Data::Bool(Arc::new(values)))
    }

    /// Floats stored as `kind`.
    pub fn floats_of(kind: Kind, shape: Vec<usize>, values: Vec<f32>) -> Self {
        Self::new(shape, floats_as(kind, values))
    }

    pub fn len(&self) -> usize {
        self.data.len()
    }

    pub fn kind(&self) -> Kind {
        self.data.kind()
    }

    /// The values as f32; F16 is widened.
    pub fn floats(&self) -> Result<Cow<'_, [f32]>, Why> {
        match &self.data {
            Data::F32(v) => Ok(Cow::Borrowed(v)),
            Data::F16(v) => Ok(Cow::Owned(v.iter().map(|v| v.to_f32()).collect())),
            other => Err(format!("expected floats, found {:?}", other.kind())),
        }
    }

    /// The values as f32 that may be changed: without a copy when nothing else holds them.
    pub fn into_floats(self) -> Result<Vec<f32>, Why> {
        match self.data {
            Data::F32(v) => Ok(Arc::unwrap_or_clone(v)),
            _ => self.floats().map(Cow::into_owned),
        }
    }

    /// The values as i64, from any integer type.
    pub fn ints(&self) -> Result<Cow<'_, [i64]>, Why> {
        Ok(match &self.data {
            Data::I64(v) => Cow::Borrowed(v),
            Data::I32(v) => v.iter().map(|v| i64::from(*v)).collect(),
            Data::U8(v) => v.iter().map(|v| i64::from(*v)).collect(),
            Data::I8(v) => v.iter().map(|v| i64::from(*v)).collect(),
            Data::Bool(v) => v.iter().map(|v| i64::from(*v)).collect(),
            Data::F32(_) | Data::F16(_) => return Err(format!("expected integers, found {:?}", self.kind())),
        })
    }

    pub fn bools(&self) -> Result<&[bool], Why> {
        match &self.data {
            Data::Bool(v) => Ok(v),
            other => Err(format!("expected booleans, found {:?}", other.kind())),
        }
    }

    /// The only integer of a scalar or of a tensor with one element.
    pub fn int(&self) -> Result<i64, Why> {
        match *self.ints()? {
            [one] => Ok(one),
            _ => Err(format!("expected one integer, found shape {:?}", self.shape)),
        }
    }

    /// The last `n` rows, counted along the axis before the last; all if there are no more.
    pub fn last_rows(self, n: usize) -> Self {
        let Some(axis) = self.shape.len().checked_sub(2) else { return self };
        let rows = self.shape.get(axis).copied().unwrap_or(0);
        if rows > n { crate::operators::cut(&self, axis, rows - n, rows) } else { self }
    }

    /// Floats of 16 bits in 32; anything else as it is.
    pub fn widened(self) -> Self {
        match &self.data {
            Data::F16(v) => Self::f32(self.shape, v.iter().map(|v| v.to_f32()).collect()),
            _ => self,
        }
    }

    /// The same elements under another shape of as many.
    pub fn reshaped(self, shape: Vec<usize>) -> Result<Self, Why> {
        if elements(&shape, usize::MAX)? != self.len() {
            return Err(format!("{} elements do not fill {shape:?}", self.len()));
        }
        Ok(Self { shape, data: self.data })
    }
}
