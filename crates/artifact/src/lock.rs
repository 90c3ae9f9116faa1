//! One run per output: a locked file beside the folder. The system releases the lock of a process that died,
//! so a file left behind by a crash is no obstacle.

use crate::ArtifactError;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

#[derive(Debug)]
pub(crate) struct Lock {
    path: PathBuf,
    // Held for its lock alone.
    _file: File,
}

impl Lock {
    /// Locks `path` on behalf of `folder`.
    pub(crate) fn take(path: PathBuf, folder: &Path) -> Result<Self, ArtifactError> {
        // Whoever removes the file between our opening and our locking leaves us with a lock on nothing.
        loop {
            let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
            let mut file = open.map_err(ArtifactError::io("open", &path))?;
            match file.try_lock() {
                Ok(()) if is_at(&file, &path) => {
                    let told = file.set_len(0).and_then(|()| write!(file, "{}", std::process::id()));
                    told.map_err(ArtifactError::io("write", &path))?;
                    return Ok(Self { path, _file: file });
                }
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    let mut pid = String::new();
                    let holder = file.read_to_string(&mut pid).ok().and_then(|_| pid.trim().parse().ok());
                    return Err(ArtifactError::Busy { path: folder.to_owned(), holder });
                }
                Err(TryLockError::Error(source)) => {
                    return Err(ArtifactError::io("lock", &path)(source));
                }
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // What cannot be removed is recognised as stale by the next run.
        drop(fs::remove_file(&self.path));
    }
}

#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (file.metadata(), fs::metadata(path)) {
        (Ok(held), Ok(named)) => (held.dev(), held.ino()) == (named.dev(), named.ino()),
        _ => false,
    }
}

#[cfg(not(unix))]
fn is_at(_: &File, path: &Path) -> bool {
    path.exists()
}
