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

/// What made an artifact: no clock, host or path.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Provenance {
    /// Name and version of the program.
    pub tool: String,
    /// The input files with their digests.
    pub inputs: Vec<ArtifactFile>,
    /// The recipe.
    pub recipe: String,
}
