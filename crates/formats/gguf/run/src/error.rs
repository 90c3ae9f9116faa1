use lfmq_core::{Classify, Kind};
use lfmq_gguf_wire::WireError;
use lfmq_ops::OpsError;
use std::path::PathBuf;

/// Why a GGUF file cannot be opened or run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages say it")]
pub enum RunError {
    #[error("cannot open {}: {source}", path.display())]
    Open { path: PathBuf, source: std::io::Error },
    #[error("{}: {source}", path.display())]
    Wire { path: PathBuf, source: WireError },
    #[error("{}: {why}", path.display())]
    Split { path: PathBuf, why: String },
    #[error("{}: tensor `{tensor}` is missing", path.display())]
    MissingTensor { path: PathBuf, tensor: String },
    #[error("{}: tensor `{tensor}` is not part of this architecture", path.display())]
    ExtraTensor { path: PathBuf, tensor: String },
    #[error("{}: tensor `{tensor}` has extents {found:?}, expected {expected:?}", path.display())]
    Shape { path: PathBuf, tensor: String, expected: Vec<u64>, found: Vec<u64> },
    #[error("{}: tensor `{tensor}` is stored as {found}, expected {expected}", path.display())]
    Type { path: PathBuf, tensor: String, expected: &'static str, found: String },
    #[error("{}: tensor `{tensor}` holds a value or scale that is not finite, in row {row} or shortly after", path.display())]
    NotFinite { path: PathBuf, tensor: String, row: usize },
    #[error("rows {start}..{end} of tensor `{tensor}` into {room} values: it has {rows} rows of {cols}")]
    Rows { tensor: String, start: usize, end: usize, room: usize, rows: usize, cols: usize },
    #[error("{}: {source}", path.display())]
    Parts { path: PathBuf, source: OpsError },
}

impl Classify for RunError {
    fn kind(&self) -> Kind {
        match self {
            // A path that is not there is a mistake in the input; a file that cannot be read is the machine's.
            Self::Open { source, .. } if source.kind() != std::io::ErrorKind::NotFound => Kind::Environment,
            Self::Rows { .. } => Kind::Bug,
            _ => Kind::Input,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Wire { source, .. } => source.hint(),
            Self::Split { .. } => Some("put all parts in one folder under their own names and open the first".into()),
            Self::ExtraTensor { tensor, .. } if tensor.ends_with(".bias") => {
                Some("llama.cpp does not load LFM2 files with projection biases either".into())
            }
            _ => None,
        }
    }
}
