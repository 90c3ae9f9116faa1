use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// One file of a published artifact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArtifactFile {
    /// Name inside the folder.
    pub name: String,
    /// Size.
    pub bytes: u64,
    /// SHA-256, lower-case hex.
    pub sha256: String,
}

/// A published folder.
#[derive(Clone, Debug)]
pub struct Artifact {
    /// Where it lies.
    pub folder: PathBuf,
    /// Its files, sorted by name.
    pub files: Vec<ArtifactFile>,
}
