use lfmq_core::{Classify, Kind, WriteError};
use lfmq_moe::MoeError;

/// Why a model cannot be written as ONNX.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OnnxExportError {
    /// Two options exclude each other.
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
    /// A tensor that no data file can hold.
    #[error("tensor `{tensor}` takes {bytes} bytes, more than a data file of {limit}")]
    Chunk {
        /// Its name in the checkpoint.
        tensor: String,
        /// Its size.
        bytes: u64,
        /// The largest size of a data file.
        limit: u64,
    },
    /// A file beside the weights cannot be understood.
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

impl Classify for OnnxExportError {
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
            Self::Grid { .. } => "choose one of the recipes onnx-q4, onnx-q8, onnx-q4f16, onnx-fp16, onnx-fp32",
            Self::Chunk { .. } => "allow larger data files",
            Self::Experts(error) => return error.hint(),
            Self::Write(error) => return error.hint(),
            _ => return None,
        };
        Some(hint.to_owned())
    }
}
