//! The file or files a model lies in.

use crate::RunError;
use lfmq_core::Mapped;
use lfmq_gguf_wire::{Container, Split, split};
use std::path::{Path, PathBuf};

/// Mapped files in order; the first holds the model's keys.
pub(crate) struct Shards {
    files: Vec<Mapped>,
}

impl Shards {
    /// Opens `path` and, when it is the first part of a split model, the other parts beside it.
    pub(crate) fn open(path: &Path) -> Result<Self, RunError> {
        let first = map(path)?;
        let Some(whole) = split_of(&first)? else { return Ok(Self { files: vec![first] }) };
        let wrong = |path: &Path, why: String| RunError::Split { path: path.to_owned(), why };
        if whole.no != 0 {
            let why =
                format!("this is part {} of {}; a split model is opened by its first part", whole.no + 1, whole.count);
            return Err(wrong(path, why));
        }
        let mut files = vec![first];
        for no in 1..whole.count {
            let sibling = sibling(path, no, whole.count).ok_or_else(|| {
                let name = split::file_name("PREFIX", 0, whole.count);
                wrong(path, format!("the first part of a split model must be named {name}"))
            })?;
            let file = map(&sibling)?;
            let found = split_of(&file)?;
            if found != Some(Split { no, ..whole }) {
                let why = format!("expected part {} of {}, found {found:?}", no + 1, whole.count);
                return Err(wrong(&sibling, why));
            }
            files.push(file);
        }
        let shards = Self { files };
        let found: u64 = shards.parse()?.iter().map(|c| c.tensors().len() as u64).sum();
        if found != whole.tensors {
            let why = format!("split.tensors.count is {}, the parts hold {found} tensors", whole.tensors);
            return Err(wrong(path, why));
        }
        Ok(shards)
    }

    /// The containers, in order. Cheap beside the weights, so nobody keeps them.
    pub(crate) fn parse(&self) -> Result<Vec<Container<'_>>, RunError> {
        self.files.iter().map(parse).collect()
    }

    /// The container with the model's keys.
    pub(crate) fn keys(&self) -> Result<Container<'_>, RunError> {
        self.files.first().map_or_else(|| Container::parse(&[]).map_err(|e| at(Path::new(""), e)), parse)
    }

    /// Gives the memory under bytes of file `shard` back.
    pub(crate) fn release(&self, shard: usize, bytes: std::ops::Range<usize>) {
        if let Some(file) = self.files.get(shard) {
            file.release(bytes);
        }
    }

    /// The bytes of file `shard`.
    pub(crate) fn bytes(&self, shard: usize) -> &[u8] {
        self.files.get(shard).map_or(&[], |f| f)
    }

    /// The path of file `shard`.
    pub(crate) fn path(&self, shard: usize) -> &Path {
        self.files.get(shard).map_or(Path::new(""), Mapped::path)
    }
}

/// Says in which file a container error happened.
pub(crate) fn at(path: &Path, source: lfmq_gguf_wire::WireError) -> RunError {
    RunError::Wire { path: path.to_owned(), source }
}

fn map(path: &Path) -> Result<Mapped, RunError> {
    Mapped::open(path).map_err(|source| RunError::Open { path: path.to_owned(), source })
}

fn parse(file: &Mapped) -> Result<Container<'_>, RunError> {
    Container::parse(file).map_err(|e| at(file.path(), e))
}

fn split_of(file: &Mapped) -> Result<Option<Split>, RunError> {
    Split::of(&parse(file)?).map_err(|e| at(file.path(), e))
}

/// The path of part `no` beside the first part; `None` when the first part's name does not follow the pattern.
fn sibling(first: &Path, no: u16, count: u16) -> Option<PathBuf> {
    let (prefix, 0, found) = split::parse_file_name(first.file_name()?.to_str()?)? else { return None };
    (found == count).then(|| first.with_file_name(split::file_name(prefix, no, count)))
}
