use lfmq_core::{Classify, Kind};
use std::io;
use std::path::{Path, PathBuf};

/// What can go wrong between the plan of a folder and its publication.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArtifactError {
    /// The file system refused.
    #[error("cannot {doing} {}: {source}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The final name is taken.
    #[error("{} already exists", path.display())]
    Exists {
        /// The folder.
        path: PathBuf,
    },
    /// Another run is writing there.
    #[error("another run{} is writing {}", holder.map(|pid| format!(" (process {pid})")).unwrap_or_default(), path.display())]
    Busy {
        /// The folder.
        path: PathBuf,
        /// Its process, if it told.
        holder: Option<u32>,
    },
    /// An unfinished run was made from other inputs or another plan.
    #[error("{} was begun with other inputs or another plan: expected {expected}, found {found}", path.display())]
    Fingerprint {
        /// The unfinished folder.
        path: PathBuf,
        /// Fingerprint of this run.
        expected: String,
        /// Fingerprint of the unfinished one.
        found: String,
    },
    /// Something else has the name of the unfinished folder.
    #[error("{} is needed for the unfinished output, but holds other files", path.display())]
    Foreign {
        /// The folder.
        path: PathBuf,
    },
    /// A file name that cannot stand in the folder.
    #[error("`{name}` cannot be a file of an artifact: {why}")]
    Name {
        /// The name.
        name: String,
        /// Why not.
        why: &'static str,
    },
    /// The output cannot be a folder of this name.
    #[error("{} cannot be an output folder: it has no name", path.display())]
    Nameless {
        /// As given.
        path: PathBuf,
    },
    /// The checkpoint brings no licence.
    #[error("the checkpoint `{name}` has no licence file, and a derivative must carry one")]
    NoLicence {
        /// The checkpoint.
        name: String,
    },
    /// Not a key that can be sealed for.
    #[error("`{found}` is no recipient: {why}")]
    Recipient {
        /// As typed.
        found: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A file without usable identities. What it holds is not repeated.
    #[error("{} holds no identity: {why}", path.display())]
    Identity {
        /// The file.
        path: PathBuf,
        /// What is wrong, by line.
        why: String,
    },
    /// Sealed for others.
    #[error("none of the identities opens {}", path.display())]
    Closed {
        /// The sealed file.
        path: PathBuf,
    },
    /// A sealed file that is not what was sealed.
    #[error("{} cannot be unsealed: {why}", path.display())]
    Damaged {
        /// The sealed file.
        path: PathBuf,
        /// What is wrong.
        why: &'static str,
    },
    /// There is nothing to unseal.
    #[error("{} holds no sealed file", path.display())]
    NotSealed {
        /// The folder.
        path: PathBuf,
    },
    /// The list of digests cannot be understood.
    #[error("{}, line {line}: expected `<sha256>  <name>`", path.display())]
    Sums {
        /// The list.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
}

impl ArtifactError {
    /// For `map_err`: the file system refused `doing` on `path`.
    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { doing, path: path.to_owned(), source }
    }
}

impl Classify for ArtifactError {
    fn kind(&self) -> Kind {
        match self {
            Self::Io { .. } | Self::Busy { .. } => Kind::Environment,
            Self::Exists { .. }
            | Self::Foreign { .. }
            | Self::Fingerprint { .. }
            | Self::Nameless { .. }
            | Self::Recipient { .. }
            | Self::NotSealed { .. } => Kind::Usage,
            Self::Name { .. } => Kind::Bug,
            Self::NoLicence { .. } | Self::Sums { .. } | Self::Identity { .. } | Self::Damaged { .. } => Kind::Input,
            Self::Closed { .. } => Kind::Authentication,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Io { source, .. } => match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    "free some space or choose another output folder, then continue with --resume"
                }
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                    "choose an output folder you may write to"
                }
                _ => return None,
            },
            Self::Exists { .. } => "--overwrite replaces it once the new one is complete",
            Self::Foreign { .. } => "move it away, or choose another output folder",
            Self::Busy { .. } => "wait for it, or choose another output folder",
            Self::Fingerprint { .. } => "leave out --resume to begin anew, or repeat the first run's options",
            Self::NoLicence { .. } => "--license-file names the licence to hand on",
            Self::Recipient { .. } => "a recipient is the public key that `age-keygen` prints, age1...",
            Self::Identity { .. } => "an identity file is what `age-keygen -o FILE` writes",
            Self::Closed { .. } => "--identity names the file of a key that it was sealed for",
            Self::Damaged { .. } => {
                "nothing was written; fetch the folder again (`lfmq check` tells which files differ)"
            }
            Self::NotSealed { .. } => "`lfmq quantize --seal RECIPIENT` makes sealed folders",
            Self::Name { .. } | Self::Nameless { .. } | Self::Sums { .. } => return None,
        };
        Some(hint.to_owned())
    }
}
