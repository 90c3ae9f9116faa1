use lfmq_core::{Classify, Kind, WriteError};
use lfmq_moe::MoeError;

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
    /// The experts of a layer cannot be written.
    #[error(transparent)]
    Experts(#[from] MoeError),
    /// What any format can meet.
    #[error(transparent)]
    Write(#[from] WriteError),
}

impl Classify for TfliteExportError {
    fn kind(&self) -> Kind {
        match self {
            Self::Options { .. } => Kind::Usage,
            Self::Experts(error) => error.kind(),
            Self::Write(error) => error.kind(),
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
            Self::Experts(error) => return error.hint(),
            Self::Write(error) => return error.hint(),
            _ => return None,
        };
        Some(hint.to_owned())
    }
}
