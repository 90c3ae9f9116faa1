use crate::{Classify, Kind};
use std::io;

/// What can go wrong in any [`crate::ExportPlan`], whatever the format.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The plan is not one of this checkpoint.
    #[error("the plan does not belong to the checkpoint: expected {expected}, found {found}")]
    Plan {
        /// What the checkpoint has.
        expected: String,
        /// What the plan has.
        found: String,
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
    /// A value that the type cannot hold, or that a runtime refuses a whole model for.
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

impl Classify for WriteError {
    fn kind(&self) -> Kind {
        match self {
            Self::Plan { .. } | Self::Rows { .. } => Kind::Bug,
            Self::Value { .. } => Kind::Input,
            Self::Write { .. } => Kind::Environment,
        }
    }

    fn hint(&self) -> Option<String> {
        let full = matches!(self, Self::Write { source, .. } if source.kind() == io::ErrorKind::StorageFull);
        full.then(|| "free some space or choose another output folder, then continue with --resume".to_owned())
    }
}
