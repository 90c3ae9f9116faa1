use lfmq_core::{Classify, Kind, SourceError};
use lfmq_ops::OpsError;

/// Why a checkpoint cannot be run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReferenceError {
    /// The model calls for a tensor that the checkpoint lacks.
    #[error("{model}: no tensor for {tensor}")]
    Missing {
        /// The checkpoint's name.
        model: String,
        /// What is missing.
        tensor: String,
    },
    /// A tensor has another shape than the model's numbers give it.
    #[error("{model}: tensor `{tensor}`: expected {expected}, found {found}")]
    Shape {
        /// The checkpoint's name.
        model: String,
        /// The tensor's name on disk.
        tensor: String,
        /// `[rows, cols]` by the model's numbers.
        expected: String,
        /// `[rows, cols]` on disk.
        found: String,
    },
    /// The parts do not fit together.
    #[error("{model}: {source}")]
    Unfit {
        /// The checkpoint's name.
        model: String,
        /// Which and how.
        source: OpsError,
    },
    /// A tensor cannot be read.
    #[error(transparent)]
    Source(#[from] SourceError),
}

impl Classify for ReferenceError {
    fn kind(&self) -> Kind {
        Kind::Input
    }
}
