use lfmq_core::{Classify, Kind, WriteError};
use lfmq_moe::MoeError;

/// Why a model cannot be written as GGUF.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GgufExportError {
    /// An override of a key is malformed.
    #[error("cannot read override `{text}`: {why}")]
    Override {
        /// As typed.
        text: String,
        /// What is wrong.
        why: &'static str,
    },
    /// The configuration asks for arithmetic that the format cannot express and its runtime does not do.
    #[error("GGUF cannot carry `{field}` = {found} of config.json: {why}")]
    Semantics {
        /// The field.
        field: &'static str,
        /// Its value.
        found: String,
        /// What a runtime would do instead.
        why: &'static str,
    },
    /// A file beside the weights is not there.
    #[error("the checkpoint has no `{file}`, which a GGUF file needs")]
    Missing {
        /// Its name.
        file: &'static str,
    },
    /// A file beside the weights cannot be understood.
    #[error("cannot use `{file}`: {why}")]
    Sidecar {
        /// Its name.
        file: &'static str,
        /// What is wrong.
        why: String,
    },
    /// The tokenizer cuts text in a way for which llama.cpp has no name we know.
    #[error("tokenizer.json splits text by an unknown pattern: {found}")]
    PreTokenizer {
        /// The pattern.
        found: String,
    },
    /// A planned grid is not one of the format's.
    #[error("tensor `{tensor}`: {why}")]
    Grid {
        /// Its name in the checkpoint.
        tensor: String,
        /// Why not, and the nearest grid.
        why: String,
    },
    /// The layout does not fit the format.
    #[error("cannot lay out the file: {why}")]
    Layout {
        /// Why.
        why: String,
    },
    /// The experts of a layer cannot be written.
    #[error(transparent)]
    Experts(#[from] MoeError),
    /// What any format can meet.
    #[error(transparent)]
    Write(#[from] WriteError),
}

impl Classify for GgufExportError {
    fn kind(&self) -> Kind {
        match self {
            Self::Override { .. } => Kind::Usage,
            Self::Experts(error) => error.kind(),
            Self::Write(error) => error.kind(),
            _ => Kind::Input,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Override { .. } => "for example lfm2.context_length=int:4096",
            Self::Semantics { .. } => "export to another format, which carries the graph itself",
            Self::PreTokenizer { .. } => "only LFM2's own tokenizers can be named in a GGUF file",
            Self::Write(WriteError::Value { .. }) => "choose a scheme with a wider range for this tensor, e.g. bf16",
            Self::Experts(error) => return error.hint(),
            Self::Write(error) => return error.hint(),
            _ => return None,
        };
        Some(hint.to_owned())
    }
}
