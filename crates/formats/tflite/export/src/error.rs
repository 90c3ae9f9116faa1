use lfmq_core::{Classify, Kind};
use std::io;

/// Why a model cannot be written as TFLite.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TfliteExportError {
    /// An option that makes no model.
    #[error("{what} needs {needs}")]
    Options {
        /// The option.
        what: String,
        /// What it needs.
        needs: String,
    },
    /// A planned grid is not one of the format's.
    #[error("tensor `{tensor}`: {why}")]
    Grid {
        /// Its name in the checkpoint.
        tensor: String,
        /// Why not, and the nearest grid.
        why: String,
    },
    /// The plan is not one of this checkpoint.
    #[error("the plan does not belong to the checkpoint: expected {expected}, found {found}")]
    Plan {
        /// What the checkpoint has.
        expected: String,
        /// What the plan has.
        found: String,
    },
    /// More than a flatbuffer can address.
    #[error("the flatbuffer takes {bytes} bytes, more than its limit of {limit}")]
    TooLarge {
        /// Its size.
        bytes: u64,
        /// The largest size there is.
        limit: u64,
    },
    /// A file beside the weights is absent or cannot be understood.
    #[error("cannot use `{file}`: {why}")]
    Sidecar {
        /// Its name.
        file: &'static str,
        /// What is wrong.
        why: String,
    },
    /// Rows that do not fit their tensor.
    #[error("tensor `{tensor}`: expected {expected}, found {found}")]
    Rows {
        /// Its name in the checkpoint.
        tensor: String,
        /// What fits.
        expected: String,
        /// What came.
        found: String,
    },
    /// A value that the type cannot hold, or that the runtime refuses a whole model for.
    #[error("tensor `{tensor}`, row {row}: {what}")]
    Value {
        /// Its name in the checkpoint.
        tensor: String,
        /// The row within the tensor.
        row: usize,
        /// Which value.
        what: &'static str,
    },
    /// The output could not be written.
    #[error("cannot write {file}: {source}")]
    Write {
        /// Its name.
        file: String,
        /// What the system said.
        source: io::Error,
    },
}

impl Classify for TfliteExportError {
    fn kind(&self) -> Kind {
        match self {
            Self::Options { .. } => Kind::Usage,
            Self::Plan { .. } | Self::Rows { .. } => Kind::Bug,
            Self::Write { .. } => Kind::Environment,
            _ => Kind::Input,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Grid { .. } => {
                "choose one of the recipes tflite-q4, tflite-q8, tflite-q4-mixed, tflite-fp16, tflite-fp32"
            }
            Self::TooLarge { .. } => "leave out --tflite-inline-weights: weights after the flatbuffer have no limit",
            Self::Sidecar { .. } => "--tflite-files tflite writes the model alone",
            Self::Write { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                "free some space or choose another output folder, then continue with --resume"
            }
            _ => return None,
        };
        Some(hint.to_owned())
    }
}
