//! Typed values of keys. Arrays stay the file's bytes; their elements are read as they are asked for.

use crate::WireError;
use crate::cursor::Cursor;
use std::fmt;

/// The type word of a value or of an array's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the field's own names")]
pub enum ValueType {
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    F32,
    Bool,
    Str,
    Array,
    U64,
    I64,
    F64,
}

impl ValueType {
    /// The type with this number in a file.
    #[must_use]
    pub fn from_id(id: u32) -> Option<Self> {
        use ValueType as T;
        let all =
            [T::U8, T::I8, T::U16, T::I16, T::U32, T::I32, T::F32, T::Bool, T::Str, T::Array, T::U64, T::I64, T::F64];
        all.get(usize::try_from(id).ok()?).copied()
    }

    /// Its name, e.g. `u32`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::U8 => "u8",
            Self::I8 => "i8",
            Self::U16 => "u16",
            Self::I16 => "i16",
            Self::U32 => "u32",
            Self::I32 => "i32",
            Self::F32 => "f32",
            Self::Bool => "bool",
            Self::Str => "str",
            Self::Array => "array",
            Self::U64 => "u64",
            Self::I64 => "i64",
            Self::F64 => "f64",
        }
    }

    /// Bytes of one value; `None` for strings and arrays.
    const fn size(self) -> Option<u64> {
        match self {
            Self::U8 | Self::I8 | Self::Bool => Some(1),
            Self::U16 | Self::I16 => Some(2),
            Self::U32 | Self::I32 | Self::F32 => Some(4),
            Self::U64 | Self::I64 | Self::F64 => Some(8),
            Self::Str | Self::Array => None,
        }
    }
}

impl fmt::Display for ValueType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The value of a key, borrowed from the file.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs, reason = "one variant a type of the format")]
pub enum Value<'a> {
    U8(u8),
    I8(i8),
    U16(u16),
    I16(i16),
    U32(u32),
    I32(i32),
    F32(f32),
    Bool(bool),
    Str(&'a str),
    Array(Array<'a>),
    U64(u64),
    I64(i64),
    F64(f64),
}

impl<'a> Value<'a> {
    pub(crate) fn read(key: &str, id: u32, from: &mut Cursor<'a>) -> Result<Self, WireError> {
        match value_type(key, id)? {
            ValueType::Array => Array::read(key, from).map(Self::Array),
            scalar => read_scalar(key, scalar, from),
        }
    }

    /// Its type.
    #[must_use]
    pub const fn value_type(&self) -> ValueType {
        match self {
            Self::U8(_) => ValueType::U8,
            Self::I8(_) => ValueType::I8,
            Self::U16(_) => ValueType::U16,
            Self::I16(_) => ValueType::I16,
            Self::U32(_) => ValueType::U32,
            Self::I32(_) => ValueType::I32,
            Self::F32(_) => ValueType::F32,
            Self::Bool(_) => ValueType::Bool,
            Self::Str(_) => ValueType::Str,
            Self::Array(_) => ValueType::Array,
            Self::U64(_) => ValueType::U64,
            Self::I64(_) => ValueType::I64,
            Self::F64(_) => ValueType::F64,
        }
    }

    /// The value as an integer, whatever its width and sign; `None` for anything else.
    #[must_use]
    pub fn int(&self) -> Option<i128> {
        match *self {
            Self::U8(v) => Some(v.into()),
            Self::I8(v) => Some(v.into()),
            Self::U16(v) => Some(v.into()),
            Self::I16(v) => Some(v.into()),
            Self::U32(v) => Some(v.into()),
            Self::I32(v) => Some(v.into()),
            Self::U64(v) => Some(v.into()),
            Self::I64(v) => Some(v.into()),
            _ => None,
        }
    }

    /// The value as a float; `None` for anything but f32 and f64.
    #[must_use]
    pub fn float(&self) -> Option<f64> {
        match *self {
            Self::F32(v) => Some(v.into()),
            Self::F64(v) => Some(v),
            _ => None,
        }
    }

    /// The type in words, with the element type and length of an array.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::Array(a) => format!("an array of {} {}", a.len(), a.element()),
            other => format!("{} {other}", other.value_type()),
        }
    }
}

/// For people: strings as they are, arrays with their first elements only.
impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::U8(v) => write!(f, "{v}"),
            Self::I8(v) => write!(f, "{v}"),
            Self::U16(v) => write!(f, "{v}"),
            Self::I16(v) => write!(f, "{v}"),
            Self::U32(v) => write!(f, "{v}"),
            Self::I32(v) => write!(f, "{v}"),
            Self::F32(v) => write!(f, "{v}"),
            Self::Bool(v) => write!(f, "{v}"),
            Self::Str(v) => f.write_str(v),
            Self::Array(v) => write!(f, "{v}"),
            Self::U64(v) => write!(f, "{v}"),
            Self::I64(v) => write!(f, "{v}"),
            Self::F64(v) => write!(f, "{v}"),
        }
    }
}

/// An array of scalars or strings: its bytes in the file, checked once when the container was parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Array<'a> {
    element: ValueType,
    len: usize,
    bytes: &'a [u8],
}

impl<'a> Array<'a> {
    fn read(key: &str, from: &mut Cursor<'a>) -> Result<Self, WireError> {
        let element = value_type(key, from.u32("an array's element type")?)?;
        let count = from.u64("an array's length")?;
        let too_many = || WireError::Count { what: "array elements", count, left: from.left() as u64 };
        let len = usize::try_from(count).map_err(|_| too_many())?;
        let start = *from;
        match element {
            ValueType::Array => return Err(WireError::NestedArray { key: key.to_owned() }),
            ValueType::Str => {
                // Each string costs eight bytes at least, so the loop ends with the file.
                for _ in 0..len {
                    from.text("a string array")?;
                }
            }
            scalar => {
                let bytes = scalar.size().and_then(|s| s.checked_mul(count)).ok_or_else(too_many)?;
                let taken = from.take(bytes, "an array")?;
                if scalar == ValueType::Bool
                    && let Some(&found) = taken.iter().find(|b| **b > 1)
                {
                    return Err(WireError::Bool { key: key.to_owned(), found });
                }
            }
        }
        let mut all = start;
        let bytes = all.take((from.at() - start.at()) as u64, "an array")?;
        Ok(Self { element, len, bytes })
    }

    /// Type of the elements.
    #[must_use]
    pub const fn element(&self) -> ValueType {
        self.element
    }

    /// Number of elements.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// True for an array of no elements.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The elements in order.
    pub fn iter(&self) -> impl Iterator<Item = Value<'a>> + use<'a> {
        let (element, mut from) = (self.element, Cursor::new(self.bytes));
        // The elements were checked when the array was read, so this never stops early.
        (0..self.len).map_while(move |_| read_scalar("", element, &mut from).ok())
    }

    /// The elements as strings; `None` when they are something else.
    #[must_use]
    pub fn strings(&self) -> Option<impl Iterator<Item = &'a str> + use<'a>> {
        (self.element == ValueType::Str).then(|| {
            self.iter().filter_map(|v| match v {
                Value::Str(s) => Some(s),
                _ => None,
            })
        })
    }

    /// The elements as integers of any width; `None` when they are something else.
    #[must_use]
    pub fn ints(&self) -> Option<impl Iterator<Item = i128> + use<'a>> {
        use ValueType as T;
        let whole = matches!(self.element, T::U8 | T::I8 | T::U16 | T::I16 | T::U32 | T::I32 | T::U64 | T::I64);
        whole.then(|| self.iter().filter_map(|v| v.int()))
    }

    /// The elements as floats; `None` when they are something else.
    #[must_use]
    pub fn floats(&self) -> Option<impl Iterator<Item = f64> + use<'a>> {
        matches!(self.element, ValueType::F32 | ValueType::F64).then(|| self.iter().filter_map(|v| v.float()))
    }
}

impl fmt::Display for Array<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 8;
        f.write_str("[")?;
        for (i, value) in self.iter().take(SHOWN).enumerate() {
            let comma = if i == 0 { "" } else { ", " };
            match value {
                Value::Str(s) => write!(f, "{comma}{s:?}")?,
                other => write!(f, "{comma}{other}")?,
            }
        }
        if self.len > SHOWN { write!(f, ", … {} in all]", self.len) } else { f.write_str("]") }
    }
}

fn value_type(key: &str, id: u32) -> Result<ValueType, WireError> {
    ValueType::from_id(id).ok_or_else(|| WireError::ValueType { key: key.to_owned(), found: id })
}

fn read_scalar<'a>(key: &str, ty: ValueType, from: &mut Cursor<'a>) -> Result<Value<'a>, WireError> {
    const WHAT: &str = "a value";
    Ok(match ty {
        ValueType::U8 => Value::U8(u8::from_le_bytes(from.array(WHAT)?)),
        ValueType::I8 => Value::I8(i8::from_le_bytes(from.array(WHAT)?)),
        ValueType::U16 => Value::U16(u16::from_le_bytes(from.array(WHAT)?)),
        ValueType::I16 => Value::I16(i16::from_le_bytes(from.array(WHAT)?)),
        ValueType::U32 => Value::U32(u32::from_le_bytes(from.array(WHAT)?)),
        ValueType::I32 => Value::I32(i32::from_le_bytes(from.array(WHAT)?)),
        ValueType::F32 => Value::F32(f32::from_le_bytes(from.array(WHAT)?)),
        ValueType::U64 => Value::U64(u64::from_le_bytes(from.array(WHAT)?)),
        ValueType::I64 => Value::I64(i64::from_le_bytes(from.array(WHAT)?)),
        ValueType::F64 => Value::F64(f64::from_le_bytes(from.array(WHAT)?)),
        ValueType::Bool => match from.array(WHAT)? {
            [0] => Value::Bool(false),
            [1] => Value::Bool(true),
            [found] => return Err(WireError::Bool { key: key.to_owned(), found }),
        },
        ValueType::Str => Value::Str(from.text("a string value")?),
        ValueType::Array => return Err(WireError::NestedArray { key: key.to_owned() }),
    })
}
