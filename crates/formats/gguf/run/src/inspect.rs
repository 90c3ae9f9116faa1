//! What a file says of itself, for people: works on any GGUF file, also on one that cannot be run.

use crate::RunError;
use crate::shards::Shards;
use std::path::Path;

/// A file's frame.
#[derive(Clone, Debug)]
pub struct Inspection {
    /// Version of the format.
    pub version: u32,
    /// What tensor data is aligned to.
    pub alignment: u32,
    /// Number of files the model lies in.
    pub files: usize,
    /// Keys of the first file, in order.
    pub keys: Vec<InspectedKey>,
    /// Tensors in order, part after part.
    pub tensors: Vec<InspectedTensor>,
    /// Oddities, each a sentence.
    pub notes: Vec<String>,
}

/// A key with its value.
#[derive(Clone, Debug)]
pub struct InspectedKey {
    /// Its name.
    pub key: String,
    /// Its type, e.g. `u32` or `array of str`.
    pub kind: String,
    /// Its value; arrays show their first elements only.
    pub value: String,
}

/// A tensor's info.
#[derive(Clone, Debug)]
pub struct InspectedTensor {
    /// Its name.
    pub name: String,
    /// Its type, e.g. `Q4_K`.
    pub ty: &'static str,
    /// Its extents, slowest first: `[rows, cols]`.
    pub shape: Vec<u64>,
    /// Its bytes, padding excluded.
    pub bytes: u64,
    /// Where it starts in its file.
    pub offset: u64,
    /// Which file it lies in, from 0.
    pub file: usize,
}

/// Reads the frame of a file, and of the parts it is the first of.
///
/// # Errors
/// When a file cannot be read or is not GGUF.
pub fn inspect(path: &Path) -> Result<Inspection, RunError> {
    frame(&Shards::open(path)?)
}

pub(crate) fn frame(shards: &Shards) -> Result<Inspection, RunError> {
    let containers = shards.parse()?;
    let first = shards.keys()?;
    let keys = first.keys().map(|(key, value)| InspectedKey {
        key: key.to_owned(),
        kind: match value {
            lfmq_gguf_wire::Value::Array(a) => format!("array of {}", a.element()),
            other => other.value_type().to_string(),
        },
        value: value.to_string(),
    });
    let tensors = containers.iter().enumerate().flat_map(|(file, c)| {
        c.tensors().iter().map(move |t| InspectedTensor {
            name: t.name().to_owned(),
            ty: t.ty().name(),
            shape: t.dims().iter().rev().copied().collect(),
            bytes: t.data().len() as u64,
            offset: t.range().start as u64,
            file,
        })
    });
    Ok(Inspection {
        version: first.version(),
        alignment: first.alignment(),
        files: containers.len(),
        keys: keys.collect(),
        tensors: tensors.collect(),
        notes: containers.iter().flat_map(|c| c.notes().iter().cloned()).collect(),
    })
}
