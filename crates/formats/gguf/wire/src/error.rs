use crate::GgmlType;
use lfmq_core::{Classify, Kind};

/// Why bytes are not a GGUF file this crate reads, or a key is not what was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages say it")]
pub enum WireError {
    #[error("not a GGUF file: it starts with {found:02x?}, expected 47 47 55 46 (\"GGUF\")")]
    Magic { found: Vec<u8> },
    #[error("this is a big-endian GGUF file (version word {word:#010x}); only little-endian files are read")]
    BigEndian { word: u32 },
    #[error("GGUF version {found} is not read, expected 2 or 3")]
    Version { found: u32 },
    #[error("the file ends inside {what}: {need} bytes wanted at offset {at}, {left} left")]
    Cut { what: &'static str, at: u64, need: u64, left: u64 },
    #[error("the header announces {count} {what}, more than the {left} bytes after it can hold")]
    Count { what: &'static str, count: u64, left: u64 },
    #[error("the {what} at offset {at} is not UTF-8")]
    NotText { what: &'static str, at: u64 },
    #[error("key number {index} is empty")]
    EmptyKey { index: usize },
    #[error("key number {index} is {found} bytes long, expected at most 65535")]
    LongKey { index: usize, found: usize },
    #[error("key `{key}` appears twice")]
    DuplicateKey { key: String },
    #[error("key `{key}` has value type {found}, expected 0 to 12")]
    ValueType { key: String, found: u32 },
    #[error("key `{key}` holds an array of arrays, which no reader accepts")]
    NestedArray { key: String },
    #[error("key `{key}` holds a bool byte of {found}, expected 0 or 1")]
    Bool { key: String, found: u8 },
    #[error("key `{key}` is missing")]
    MissingKey { key: String },
    #[error("key `{key}` is {found}, expected {expected}")]
    KeyType { key: String, expected: &'static str, found: String },
    #[error("key `{key}` is {found}, expected {expected}")]
    KeyValue { key: String, expected: String, found: String },
    #[error("key `general.alignment` is {found}, expected a power of two of at least 8")]
    Alignment { found: u32 },
    #[error("tensor number {index} has a name of {found} bytes, expected 1 to 63")]
    TensorName { index: usize, found: u64 },
    #[error("tensor `{tensor}` appears twice")]
    DuplicateTensor { tensor: String },
    #[error("tensor `{tensor}` has {found} dimensions, expected 1 to 4")]
    Dimensions { tensor: String, found: u32 },
    #[error("tensor `{tensor}` has an extent of {found} in dimension {dim}, expected 1 to 2^63 - 1")]
    Extent { tensor: String, dim: usize, found: u64 },
    #[error("tensor `{tensor}` with extents {extents:?} is larger than any file")]
    Overflow { tensor: String, extents: Vec<u64> },
    #[error("tensor `{tensor}` has type number {found} ({name}), which is not read")]
    TensorType { tensor: String, found: u32, name: &'static str },
    #[error("tensor `{tensor}` has {cols} weights in a row, expected a multiple of {block} for {ty}", block = .ty.block())]
    Row { tensor: String, cols: u64, ty: GgmlType },
    #[error("tensor `{tensor}` has data offset {found}, expected {expected}: tensors follow each other in order")]
    Offset { tensor: String, expected: u64, found: u64 },
    #[error("tensor `{tensor}` ends at byte {end}, past the end of the file at {len}")]
    PastEnd { tensor: String, end: u64, len: u64 },
}

impl Classify for WireError {
    fn kind(&self) -> Kind {
        Kind::Input
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::BigEndian { .. } => "convert it with gguf-convert-endian",
            Self::Version { found: 1 } => "version 1 files are from 2023; convert the model again",
            Self::Cut { .. } | Self::PastEnd { .. } => "the file looks truncated; fetch or write it again",
            _ => return None,
        };
        Some(hint.to_owned())
    }
}
