//! Names inside and beside an artifact folder.

use crate::{ArtifactError, MANIFEST, SUMS, journal};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{fs, io};

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

/// A plain file name, or one in a folder inside (`onnx/model.onnx`): it stays in the artifact on every system.
pub(crate) fn is_inside(name: &str) -> bool {
    let plain =
        |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains(['\\', '\0', '\n', '\r', ':']);
    name.split('/').count() <= 2 && name.split('/').all(plain)
}

/// The folders that `names` lie in, each once.
pub(crate) fn folders<'a>(names: impl Iterator<Item = &'a str>) -> BTreeSet<&'a str> {
    names.filter_map(|name| Some(name.split_once('/')?.0)).collect()
}

/// Name and path of everything in `root`, and in those of its folders that are among `folders`.
pub(crate) fn list(root: &Path, folders: &BTreeSet<&str>) -> io::Result<Vec<(String, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        // A link is not followed: it is a stranger.
        if !folders.contains(name.as_str()) || !entry.file_type()?.is_dir() {
            found.push((name, entry.path()));
            continue;
        }
        for inner in fs::read_dir(entry.path())? {
            let inner = inner?;
            found.push((format!("{name}/{}", inner.file_name().to_string_lossy()), inner.path()));
        }
    }
    Ok(found)
}

/// Checks a name for a new file among those `taken`.
pub(crate) fn check<'a>(name: &str, mut taken: impl Iterator<Item = &'a str>) -> Result<(), ArtifactError> {
    let refuse = |why| Err(ArtifactError::Name { name: name.to_owned(), why });
    if !is_inside(name) {
        return refuse("it is neither a plain file name nor one in a folder inside");
    }
    if [MANIFEST, SUMS, journal::FILE].iter().any(|own| name.split('/').next() == Some(own)) {
        return refuse("the name is reserved");
    }
    // A file may not have the name of a folder either.
    let clash = |a: &str, b: &str| {
        a.eq_ignore_ascii_case(b) || a.split_once('/').is_some_and(|(top, _)| top.eq_ignore_ascii_case(b))
    };
    if taken.any(|other| clash(other, name) || clash(name, other)) {
        return refuse("another file has this name");
    }
    Ok(())
}
