//! SHA-256 of a checkpoint's files, taken while its weights are read.

use crate::Checkpoint;
use crate::shards::Shard;
use lfmq_core::{ArtifactFile, ModelSpec, Observer, SourceError, SourceTensor, TensorSource, Unit};
use rayon::prelude::*;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Bytes hashed between two reports of progress.
const STEP: usize = 16 << 20;

/// A checkpoint whose weight files are digested as their rows are read: a model larger than memory comes from the disk
/// once.
#[derive(Debug)]
pub struct Digested<'a> {
    checkpoint: &'a Checkpoint,
    /// By weight file.
    followers: Vec<Follower>,
}

/// The digest of one file, as far as its bytes were read without a gap.
#[derive(Debug, Default)]
struct Follower {
    /// What was read and is not hashed yet: ends by starts.
    read: Mutex<BTreeMap<usize, usize>>,
    hash: Mutex<Hash>,
}

#[derive(Debug, Default)]
struct Hash {
    sha: Sha256,
    /// Bytes that are in it.
    at: usize,
}

impl<'a> Digested<'a> {
    /// Nothing is read yet.
    #[must_use]
    pub fn new(checkpoint: &'a Checkpoint) -> Self {
        Self { checkpoint, followers: checkpoint.shards().iter().map(|_| Follower::default()).collect() }
    }

    /// SHA-256 of all weight files and small files, sorted by name. Reads what no row was asked of, one file a thread.
    pub fn digests(&self, observer: &dyn Observer) -> Vec<ArtifactFile> {
        let files: Vec<(&Shard, &Follower)> = self.checkpoint.shards().iter().zip(&self.followers).collect();
        let rest = files.iter().map(|(shard, follower)| shard.file.len() - lock(&follower.hash).at);
        observer.begin("hash", rest.sum::<usize>() as u64, Unit::Bytes);
        let mut list: Vec<ArtifactFile> = files
            .par_iter()
            .map(|(shard, follower)| listed(&shard.name, &shard.file, &follower.finish(&shard.file, observer)))
            .collect();
        observer.end();
        list.extend(self.checkpoint.small_files().map(|(name, bytes)| listed(name, bytes, &Sha256::digest(bytes))));
        list.sort_by(|a, b| a.name.cmp(&b.name));
        list
    }
}

impl Follower {
    /// Notes that the bytes `range` of `file` were read, and hashes what has no gap before it.
    fn follow(&self, file: &[u8], range: Range<usize>) {
        lock(&self.read).insert(range.start, range.end);
        // Whoever finds another thread hashing leaves its rows to that one, or to the next reader.
        let Ok(mut hash) = self.hash.try_lock() else { return };
        while let Some(end) = self.next(hash.at) {
            hash.take(file, end);
        }
    }

    /// The end of what was read from before or at `at`, if it is behind that.
    fn next(&self, at: usize) -> Option<usize> {
        let mut read = lock(&self.read);
        while let Some(first) = read.first_entry().filter(|first| *first.key() <= at) {
            let end = first.remove();
            if end > at {
                return Some(end);
            }
        }
        None
    }

    fn finish(&self, file: &[u8], observer: &dyn Observer) -> Vec<u8> {
        let mut hash = lock(&self.hash);
        while hash.at < file.len() {
            let end = file.len().min(hash.at + STEP);
            observer.advance((end - hash.at) as u64);
            hash.take(file, end);
        }
        hash.sha.clone().finalize().to_vec()
    }
}

impl Hash {
    fn take(&mut self, file: &[u8], end: usize) {
        self.sha.update(file.get(self.at..end).unwrap_or_default());
        self.at = end;
    }
}

/// Bytes at the front of a tensor that tell it from another one.
const FRONT: usize = 4096;

/// See [`Checkpoint::fingerprint`].
pub(crate) fn fingerprint(checkpoint: &Checkpoint) -> String {
    let mut sha = Sha256::new();
    for (name, bytes) in checkpoint.small_files() {
        sha.update(format!("{name} {}\n", bytes.len()));
        sha.update(bytes);
    }
    for Shard { name, file } in checkpoint.shards() {
        let age = std::fs::metadata(file.path()).and_then(|meta| meta.modified()).ok();
        sha.update(format!("{name} {} {age:?}\n", file.len()));
    }
    for (index, tensor) in checkpoint.tensors().iter().enumerate() {
        let stored = checkpoint.bytes(index, 0..tensor.rows).unwrap_or_default();
        sha.update(stored.get(..FRONT).unwrap_or(stored));
    }
    hex(&sha.finalize())
}

fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn listed(name: &str, bytes: &[u8], sha256: &[u8]) -> ArtifactFile {
    ArtifactFile { name: name.to_owned(), bytes: bytes.len() as u64, sha256: hex(sha256) }
}

/// What the locks guard is whole at all times, even where a thread panicked.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl TensorSource for Digested<'_> {
    fn spec(&self) -> &ModelSpec {
        self.checkpoint.spec()
    }

    fn name(&self) -> &str {
        self.checkpoint.name()
    }

    fn tensors(&self) -> &[SourceTensor] {
        self.checkpoint.tensors()
    }

    fn read_rows(&self, index: usize, rows: Range<usize>, out: &mut [f32]) -> Result<(), SourceError> {
        self.checkpoint.read_rows(index, rows.clone(), out)?;
        if let Some((shard, range)) = self.checkpoint.place(index, rows)
            && let (Some(shard), Some(follower)) = (self.checkpoint.shards().get(shard), self.followers.get(shard))
        {
            follower.follow(&shard.file, range);
        }
        Ok(())
    }

    fn sidecar(&self, name: &str) -> Option<&[u8]> {
        self.checkpoint.sidecar(name)
    }
}
