//! The cache on disk, laid out as Python's `huggingface_hub` lays it out, so that both share it:
//!
//! ```text
//! models--org--name/blobs/<digest>            the bytes; `<digest>.incomplete` while they come
//! models--org--name/snapshots/<commit>/<file> links to blobs
//! models--org--name/refs/<revision>           the commit a branch or tag meant last
//! models--org--name/.lfmq/<commit>.json       our own: which files the commit has
//! .locks/models--org--name/<digest>.lock      held while a blob is fetched
//! ```

use crate::api::Listing;
use crate::id::is_commit;
use crate::{HubError, ModelId};
use lfmq_core::Observer;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// One repository's place in the cache.
pub(crate) struct Repo {
    root: PathBuf,
    locks: PathBuf,
}

impl Repo {
    pub(crate) fn new(cache: &Path, id: &ModelId) -> Self {
        let name = format!("models--{}", id.repo().replace('/', "--"));
        Self { root: cache.join(&name), locks: cache.join(".locks").join(name) }
    }

    pub(crate) fn blob(&self, name: &str) -> PathBuf {
        self.root.join("blobs").join(name)
    }

    pub(crate) fn partial(&self, name: &str) -> PathBuf {
        self.root.join("blobs").join(format!("{name}.incomplete"))
    }

    pub(crate) fn snapshot(&self, commit: &str) -> PathBuf {
        self.root.join("snapshots").join(commit)
    }

    /// Whether the blob is there with the right length; its digest was checked before it got its name.
    pub(crate) fn has_blob(&self, name: &str, size: u64) -> bool {
        fs::metadata(self.blob(name)).is_ok_and(|found| found.is_file() && found.len() == size)
    }

    /// Whether a snapshot has `file`, of `size` bytes where that is known.
    pub(crate) fn has_file(&self, commit: &str, file: &str, size: Option<u64>) -> bool {
        fs::metadata(self.snapshot(commit).join(file))
            .is_ok_and(|found| found.is_file() && size.is_none_or(|size| size == found.len()))
    }

    /// The commit that `id` means here: itself, or what the branch or tag meant last.
    pub(crate) fn commit(&self, id: &ModelId) -> Option<String> {
        if id.is_pinned() {
            return Some(id.revision().to_owned());
        }
        let text = fs::read_to_string(self.root.join("refs").join(id.revision())).ok()?;
        Some(text.trim().to_owned()).filter(|commit| is_commit(commit))
    }

    /// Remembers what a branch or tag means.
    pub(crate) fn set_commit(&self, id: &ModelId, commit: &str) -> Result<(), HubError> {
        if id.is_pinned() || self.commit(id).as_deref() == Some(commit) {
            return Ok(());
        }
        replace(&self.root.join("refs").join(id.revision()), commit.as_bytes())
    }

    /// The files of a commit, if this program saw them.
    pub(crate) fn listing(&self, commit: &str) -> Option<Listing> {
        let text = fs::read(self.listing_path(commit)).ok()?;
        serde_json::from_slice(&text).ok().filter(|listing: &Listing| listing.commit == commit)
    }

    pub(crate) fn set_listing(&self, listing: &Listing) -> Result<(), HubError> {
        if self.listing(&listing.commit).as_ref() == Some(listing) {
            return Ok(());
        }
        let path = self.listing_path(&listing.commit);
        let text = serde_json::to_vec(listing).map_err(|e| HubError::io(&path)(e.into()))?;
        replace(&path, &text)
    }

    fn listing_path(&self, commit: &str) -> PathBuf {
        self.root.join(".lfmq").join(format!("{commit}.json"))
    }

    /// Waits for the right to fetch a blob. The lock goes with the process, however it ends.
    pub(crate) fn lock(&self, name: &str, file: &str, observer: &dyn Observer) -> Result<File, HubError> {
        let path = self.locks.join(format!("{name}.lock"));
        make_folder_of(&path)?;
        make_folder_of(&self.blob(name))?;
        let io = || HubError::io(&path);
        let mut lock =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(io())?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                observer.note(&format!("waiting for {}, which fetches {file}", holder(&mut lock)));
                lock.lock().map_err(io())?;
            }
            Err(TryLockError::Error(source)) => return Err(io()(source)),
        }
        // For whoever waits; that it cannot be written is no reason to stop.
        let _ = lock.set_len(0).and_then(|()| (&lock).write_all(format!("{}\n", std::process::id()).as_bytes()));
        Ok(lock)
    }

    /// Makes a blob visible as `file` of a snapshot.
    pub(crate) fn link(&self, commit: &str, file: &str, blob: &str) -> Result<(), HubError> {
        let path = self.snapshot(commit).join(file);
        make_folder_of(&path)?;
        let up = "../".repeat(file.split('/').count() + 1);
        let aside = beside(&path);
        symlink(Path::new(&format!("{up}blobs/{blob}")), &aside)
            .or_else(|_| fs::hard_link(self.blob(blob), &aside))
            .or_else(|_| fs::copy(self.blob(blob), &aside).map(drop))
            .map_err(HubError::write(&aside, 0))?;
        fs::rename(&aside, &path).map_err(|source| {
            let _ = fs::remove_file(&aside);
            HubError::io(&path)(source)
        })
    }
}

/// The process that holds a lock, as it says itself; Python's tools say nothing.
fn holder(lock: &mut File) -> String {
    let mut text = [0u8; 20];
    let read = lock.read(&mut text).unwrap_or(0);
    let said =
        text.get(..read).and_then(|text| std::str::from_utf8(text).ok()).and_then(|t| t.trim().parse::<u32>().ok());
    said.map_or_else(|| "another process".to_owned(), |id| format!("process {id}"))
}

#[cfg(unix)]
fn symlink(to: &Path, at: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(to, at)
}

#[cfg(windows)]
fn symlink(to: &Path, at: &Path) -> io::Result<()> {
    std::os::windows::fs::symlink_file(to, at)
}

fn make_folder_of(path: &Path) -> Result<(), HubError> {
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder).map_err(HubError::write(folder, 0))
}

/// A name in the same folder that nobody else uses.
fn beside(path: &Path) -> PathBuf {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    path.with_file_name(format!(".{}-{number}.tmp", std::process::id()))
}

/// Puts a small file in place at once.
fn replace(path: &Path, text: &[u8]) -> Result<(), HubError> {
    make_folder_of(path)?;
    let aside = beside(path);
    let put = || {
        let mut file = File::create(&aside)?;
        file.write_all(text)?;
        file.sync_all()?;
        fs::rename(&aside, path)
    };
    put().map_err(|source| {
        let _ = fs::remove_file(&aside);
        HubError::write(path, text.len() as u64)(source)
    })
}
