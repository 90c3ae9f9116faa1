//! The header of a safetensors file: an 8-byte length, a JSON object of tensors, then their data back to back
//! without gaps (<https://huggingface.co/docs/safetensors>).

use crate::CheckpointError;
use lfmq_core::DType;
use serde::Deserialize;
use serde::de::{MapAccess, Visitor};
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

/// Size of the length word.
const WORD: usize = 8;
/// The format's own limit on the header.
const LIMIT: u64 = 100_000_000;

/// One tensor of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredTensor {
    /// Its name.
    pub name: String,
    /// Its type.
    pub dtype: DType,
    /// Its dimensions, slowest first.
    pub shape: Vec<u64>,
    /// Where its data begins in the file.
    pub offset: usize,
    /// Size of its data.
    pub bytes: usize,
}

/// A header whose tensors fill the file exactly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The tensors in the order of their data.
    pub tensors: Vec<StoredTensor>,
}

/// What the JSON says of a tensor; offsets count from the end of the header.
#[derive(Deserialize)]
struct Line {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: (u64, u64),
}

impl Header {
    /// Reads and checks the header of the file at `path`, whose content is `file`.
    ///
    /// # Errors
    /// A header that does not describe exactly this file, or an element type other than F32, F16 and BF16.
    pub fn parse(path: &Path, file: &[u8]) -> Result<Self, CheckpointError> {
        let text = text(path, file)?;
        let mut lines = serde_json::from_slice::<Lines>(text)
            .map_err(|e| CheckpointError::HeaderText { path: path.to_owned(), why: e.to_string() })?
            .0;
        if let Some(tensor) = duplicate(&lines) {
            return Err(CheckpointError::DuplicateTensor { path: path.to_owned(), tensor });
        }
        lines.sort_by_key(|(_, line)| line.data_offsets);
        let data = WORD + text.len();
        let mut end = 0;
        let mut tensors = Vec::with_capacity(lines.len());
        for (name, line) in lines {
            let tensor = check(path, name, line, end, data)?;
            end += tensor.bytes as u64;
            tensors.push(tensor);
        }
        let expected = (data as u64).saturating_add(end);
        if expected != file.len() as u64 {
            return Err(CheckpointError::FileSize { path: path.to_owned(), expected, found: file.len() as u64 });
        }
        Ok(Self { tensors })
    }
}

/// The JSON part of the file.
fn text<'a>(path: &Path, file: &'a [u8]) -> Result<&'a [u8], CheckpointError> {
    let word = file.first_chunk::<WORD>().map_or(0, |word| u64::from_le_bytes(*word));
    let length = usize::try_from(word).ok().filter(|_| word <= LIMIT);
    length.and_then(|length| file.get(WORD..WORD.checked_add(length)?)).ok_or_else(|| CheckpointError::HeaderLength {
        path: path.to_owned(),
        length: word,
        bytes: file.len() as u64,
        limit: LIMIT,
    })
}

/// Checks one tensor that must start at `start` of the data, which begins at byte `data` of the file.
fn check(path: &Path, name: String, line: Line, start: u64, data: usize) -> Result<StoredTensor, CheckpointError> {
    let dtype = match line.dtype.as_str() {
        "F32" => DType::F32,
        "F16" => DType::F16,
        "BF16" => DType::BF16,
        _ => {
            return Err(CheckpointError::UnsupportedDtype { path: path.to_owned(), tensor: name, found: line.dtype });
        }
    };
    let (begin, end) = line.data_offsets;
    let elements = line.shape.iter().try_fold(1u64, |n, dim| n.checked_mul(*dim));
    let needed = elements.and_then(|n| n.checked_mul(dtype.size() as u64));
    let found = end.checked_sub(begin);
    let (Some(bytes), true) = (found.and_then(|n| usize::try_from(n).ok()), needed == found) else {
        let found = found.map_or_else(|| format!("{begin}..{end}"), |n| n.to_string());
        return Err(CheckpointError::TensorSize { path: path.to_owned(), tensor: name, shape: line.shape, found });
    };
    if begin != start {
        let path = path.to_owned();
        return Err(CheckpointError::NotContiguous { path, tensor: name, expected: start, found: begin });
    }
    // `begin` is the sum of sizes that were checked before, far below the range of an address.
    let offset = usize::try_from(begin).ok().and_then(|begin| data.checked_add(begin));
    match offset {
        Some(offset) if offset.checked_add(bytes).is_some() => {
            Ok(StoredTensor { name, dtype, shape: line.shape, offset, bytes })
        }
        _ => Err(CheckpointError::FileSize { path: path.to_owned(), expected: u64::MAX, found: end }),
    }
}

/// A name that occurs twice.
fn duplicate<T>(lines: &[(String, T)]) -> Option<String> {
    let mut seen = std::collections::HashSet::with_capacity(lines.len());
    lines.iter().map(|(name, _)| name).find(|name| !seen.insert(name.as_str())).cloned()
}

/// The entries of the header in order. A map type would swallow one of two equal names.
struct Lines(Vec<(String, Line)>);

impl<'de> Deserialize<'de> for Lines {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Lines;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Lines, A::Error> {
                let mut lines = Vec::new();
                while let Some(name) = map.next_key::<String>()? {
                    if name == "__metadata__" {
                        map.next_value::<Option<BTreeMap<String, String>>>()?;
                    } else {
                        lines.push((name, map.next_value()?));
                    }
                }
                Ok(Lines(lines))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}
