//! The last steps: durable small files, and the rename that makes a folder public.

use crate::digest::{self, SUMS};
use crate::{ArtifactError, names};
use lfmq_core::Artifact;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Name of the manifest.
pub const MANIFEST: &str = "lfmq.json";

/// Fields of the manifest that a run adds when it publishes: what it wrote, and how far that drifts.
pub const ADDED: [&str; 2] = ["outputs", "drift"];

/// Whether anything has this name, a dangling link included.
pub(crate) fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// Removes a file or folder if it is there. Links are not followed.
pub(crate) fn remove(path: &Path) -> Result<(), ArtifactError> {
    let removed = match path.symlink_metadata() {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(e),
    };
    removed.map_err(ArtifactError::io("remove", path))
}

/// Removes an unfinished folder, unless it holds what no run of ours left there.
pub(crate) fn remove_unfinished(folder: &Path) -> Result<(), ArtifactError> {
    let ours = [crate::journal::FILE, SUMS].iter().any(|name| folder.join(name).is_file());
    let empty = || fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none());
    if is_there(folder) && !ours && !empty() {
        return Err(ArtifactError::Foreign { path: folder.to_owned() });
    }
    remove(folder)
}

/// Writes a whole file through to the disk.
pub(crate) fn write_synced(path: &Path, bytes: &[u8]) -> Result<(), ArtifactError> {
    let written = File::create(path).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    written.map_err(ArtifactError::io("write", path))
}

/// Removes from `folder` what an earlier run left: everything that is neither in `known` nor one of the `folders`
/// that the known files lie in.
pub(crate) fn remove_strangers(
    folder: &Path,
    known: &BTreeSet<&str>,
    folders: &BTreeSet<&str>,
) -> Result<(), ArtifactError> {
    let found = names::list(folder, folders).map_err(ArtifactError::io("list", folder))?;
    // The journal goes with the rename, so that a crash before it can still be resumed.
    let stays = |name: &str| known.contains(name) || name == crate::journal::FILE;
    found.iter().filter(|(name, _)| !stays(name)).try_for_each(|(_, path)| remove(path))
}

/// The folder that a run with this very `manifest` published as `target`, if it is there, unharmed, and no unfinished one
/// stands beside it.
///
/// # Errors
/// A file of it cannot be read, or its list of digests makes no sense.
pub fn published(target: &Path, manifest: &serde_json::Value) -> Result<Option<Artifact>, ArtifactError> {
    if is_there(&names::beside(target, ".partial")?) {
        return Ok(None);
    }
    let found = fs::read(target.join(MANIFEST)).ok().and_then(|text| serde_json::from_slice(&text).ok());
    let Some(serde_json::Value::Object(mut found)) = found else { return Ok(None) };
    // What is only known at the end.
    ADDED.iter().for_each(|field| drop(found.remove(*field)));
    // Written and read again, as the one found was: a real may lose its last bit on the way.
    let expected: Option<serde_json::Value> = serde_json::from_str(&manifest.to_string()).ok();
    if Some(serde_json::Value::Object(found)) != expected {
        return Ok(None);
    }
    let report = digest::check(target)?;
    Ok(report.is_sound().then(|| Artifact { folder: target.to_owned(), files: report.sound }))
}

fn old(target: &Path) -> Result<PathBuf, ArtifactError> {
    names::beside(target, ".lfmq-old")
}

/// Puts right what a crash in the middle of [`rename`] left: the old folder comes back, or goes for good.
pub(crate) fn recover(target: &Path) -> Result<(), ArtifactError> {
    let old = old(target)?;
    if is_there(target) || !is_there(&old) {
        return remove(&old);
    }
    fs::rename(&old, target).map_err(ArtifactError::io("restore", target))
}

/// Gives the complete `folder` its final name. An existing folder steps aside first and is removed after.
pub(crate) fn rename(folder: &Path, target: &Path, overwrite: bool) -> Result<(), ArtifactError> {
    let old = old(target)?;
    let occupied = is_there(target);
    if occupied && !overwrite {
        return Err(ArtifactError::Exists { path: target.to_owned() });
    }
    remove(&folder.join(crate::journal::FILE))?;
    sync_folder(folder)?;
    if occupied {
        remove(&old)?;
        fs::rename(target, &old).map_err(ArtifactError::io("move aside", target))?;
    }
    if let Err(e) = fs::rename(folder, target) {
        if occupied {
            // The first error is the one to tell.
            drop(fs::rename(&old, target));
        }
        return Err(ArtifactError::io("name the finished folder", target)(e));
    }
    sync_folder(names::parent(target))?;
    if occupied { remove(&old) } else { Ok(()) }
}

/// Makes names durable. Only Unix lets a folder be flushed.
pub(crate) fn sync_folder(folder: &Path) -> Result<(), ArtifactError> {
    if cfg!(unix) {
        File::open(folder).and_then(|f| f.sync_all()).map_err(ArtifactError::io("flush", folder))?;
    }
    Ok(())
}
