use lfmq_core::{Classify, Kind};
use std::path::PathBuf;

/// Why a TFLite file or a `.litertlm` container cannot be opened or run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages say it")]
pub enum RunError {
    #[error("cannot open {}: {source}", path.display())]
    Open { path: PathBuf, source: std::io::Error },
    #[error("{}: byte {at}: {why}", path.display())]
    Wire { path: PathBuf, at: usize, why: String },
    #[error("{}: {why}", path.display())]
    Graph { path: PathBuf, why: String },
    #[error("{}: tensor `{tensor}`: {why}", path.display())]
    Tensor { path: PathBuf, tensor: String, why: String },
    #[error("{}: node `{node}`: no operator {operator}", path.display())]
    UnknownOperator { path: PathBuf, node: String, operator: String },
    #[error("{}: node `{node}` ({operator}): {why}", path.display())]
    Node { path: PathBuf, node: String, operator: String, why: String },
}

impl Classify for RunError {
    fn kind(&self) -> Kind {
        match self {
            // A path that is not there is a mistake in the input; a file that cannot be read is the machine's.
            Self::Open { source, .. } if source.kind() != std::io::ErrorKind::NotFound => Kind::Environment,
            _ => Kind::Input,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::UnknownOperator { .. } => {
                Some("lfmq runs the operators that LFM2 exports use; this file needs another".into())
            }
            _ => None,
        }
    }
}
