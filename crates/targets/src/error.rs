use lfmq_core::{Classify, Kind};
use std::path::PathBuf;

/// Why a target cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TargetError {
    /// No built-in target and no file of this name.
    #[error("there is no target `{found}`")]
    Unknown {
        /// What was asked for.
        found: String,
        /// The built-in names, separated by blanks.
        known: String,
    },
    /// The file cannot be read.
    #[error("cannot read target {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file is not a target.
    #[error("target {name}: {why}")]
    Malformed {
        /// The file or the built-in name.
        name: String,
        /// What is wrong, naming the key.
        why: String,
    },
}

impl Classify for TargetError {
    fn kind(&self) -> Kind {
        match self {
            Self::Unknown { .. } => Kind::Usage,
            Self::Read { .. } | Self::Malformed { .. } => Kind::Input,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Unknown { known, .. } => Some(format!("one of {known}, or a file ending in .toml")),
            Self::Read { .. } => None,
            Self::Malformed { .. } => Some("configs/schema/target.schema.json says what a target holds".into()),
        }
    }
}
