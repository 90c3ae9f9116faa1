//! Names inside and beside an artifact folder.

use crate::{ArtifactError, MANIFEST, SUMS, journal};
use std::path::{Path, PathBuf};

/// `path` with `suffix` after its last component.
pub(crate) fn beside(path: &Path, suffix: &str) -> Result<PathBuf, ArtifactError> {
    let mut name = path.file_name().ok_or_else(|| ArtifactError::Nameless { path: path.to_owned() })?.to_owned();
    name.push(suffix);
    Ok(path.with_file_name(name))
}

/// The folder above, `.` for a bare name.
pub(crate) fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A plain file name: it stays in the folder on every system.
pub(crate) fn is_plain(name: &str) -> bool {
    !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '\\', '\0', '\n', '\r'])
}

/// Checks a name for a new file among those `taken`.
pub(crate) fn check<'a>(name: &str, mut taken: impl Iterator<Item = &'a str>) -> Result<(), ArtifactError> {
    let refuse = |why| Err(ArtifactError::Name { name: name.to_owned(), why });
    if !is_plain(name) {
        return refuse("it is not a plain file name");
    }
    if [MANIFEST, SUMS, journal::FILE].contains(&name) {
        return refuse("the name is reserved");
    }
    if taken.any(|other| other.eq_ignore_ascii_case(name)) {
        return refuse("another file has this name");
    }
    Ok(())
}
