//! Writes safetensors files: tensors in the order given, which need not be sorted.

use serde_json::{Map, Value, json};
use std::io::{self, Write};
use std::path::Path;

/// One tensor with its bytes.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// Its type in the format's words: `F32`, `F16`, `BF16`, …
    pub dtype: &'static str,
    /// Its dimensions.
    pub shape: Vec<usize>,
    /// Its data, little-endian.
    pub bytes: Vec<u8>,
}

/// Length word and header of a file that holds `tensors` (name, dtype, shape, bytes of data) back to back.
#[must_use]
pub fn header<'a>(tensors: impl IntoIterator<Item = (&'a str, &'a str, &'a [usize], u64)>) -> Vec<u8> {
    let mut map = Map::new();
    map.insert("__metadata__".into(), json!({"format": "pt"}));
    let mut at = 0;
    for (name, dtype, shape, bytes) in tensors {
        map.insert(name.into(), json!({"dtype": dtype, "shape": shape, "data_offsets": [at, at + bytes]}));
        at += bytes;
    }
    framed(&Value::Object(map).to_string())
}

/// A header text behind its length word, padded to a multiple of 8 bytes.
#[must_use]
pub fn framed(text: &str) -> Vec<u8> {
    let padded = text.len().next_multiple_of(8);
    let mut out = (padded as u64).to_le_bytes().to_vec();
    out.extend_from_slice(text.as_bytes());
    out.resize(8 + padded, b' ');
    out
}

/// Writes `tensors` to `path`.
///
/// # Errors
/// I/O.
pub fn save<'a>(path: &Path, tensors: impl IntoIterator<Item = &'a Entry> + Clone) -> io::Result<()> {
    let mut file = io::BufWriter::new(std::fs::File::create(path)?);
    let lines = tensors.clone().into_iter();
    file.write_all(&header(lines.map(|t| (t.name.as_str(), t.dtype, t.shape.as_slice(), t.bytes.len() as u64))))?;
    for tensor in tensors {
        file.write_all(&tensor.bytes)?;
    }
    file.flush()
}
