//! SHA-256 of a checkpoint's files, taken while its weights are read.

use crate::Checkpoint;
use crate::shards::Shard;
use lfmq_core::{ArtifactFile, ModelSpec, Observer, SourceError, SourceTensor, TensorSource, Unit};
use lfmq_digest::{Digests, Follower, Sha256, hex};
use std::ops::Range;

/// A checkpoint whose weight files are digested as their rows are read: a model larger than memory comes from the disk
/// once.
#[derive(Debug)]
pub struct Digested<'a> {
    checkpoint: &'a Checkpoint,
    digests: Digests,
    /// By weight file.
    followers: Vec<Follower>,
}

impl<'a> Digested<'a> {
    /// Nothing is read yet. What else `digests` follows is hashed beside the weight files.
    #[must_use]
    pub fn new(checkpoint: &'a Checkpoint, digests: &Digests) -> Self {
        let followers = checkpoint.shards().iter().map(|shard| digests.follow(shard.file.clone())).collect();
        Self { checkpoint, digests: digests.clone(), followers }
    }

    /// SHA-256 of all weight files and small files, sorted by name. Reads what no row was asked of.
    pub fn digests(&self, observer: &dyn Observer) -> Vec<ArtifactFile> {
        observer.begin("hash", self.followers.iter().map(Follower::rest).sum::<usize>() as u64, Unit::Bytes);
        let followers: Vec<&Follower> = self.followers.iter().collect();
        let found = self.digests.finish(&followers, &|bytes| observer.advance(bytes as u64));
        observer.end();
        let shards = self.checkpoint.shards().iter().zip(found);
        let mut list: Vec<ArtifactFile> =
            shards.map(|(shard, digest)| listed(&shard.name, &shard.file, &digest)).collect();
        list.extend(self.checkpoint.small_files().map(|(name, bytes)| listed(name, bytes, &Sha256::of(bytes))));
        list.sort_by(|a, b| a.name.cmp(&b.name));
        list
    }
}

/// Bytes at the front of a tensor that tell it from another one.
const FRONT: usize = 4096;

/// See [`Checkpoint::fingerprint`].
pub(crate) fn fingerprint(checkpoint: &Checkpoint) -> String {
    let mut sha = Sha256::default();
    for (name, bytes) in checkpoint.small_files() {
        sha.update(format!("{name} {}\n", bytes.len()).as_bytes());
        sha.update(bytes);
    }
    for Shard { name, file } in checkpoint.shards() {
        let age = std::fs::metadata(file.path()).and_then(|meta| meta.modified()).ok();
        sha.update(format!("{name} {} {age:?}\n", file.len()).as_bytes());
    }
    for (index, tensor) in checkpoint.tensors().iter().enumerate() {
        let stored = checkpoint.bytes(index, 0..tensor.rows).unwrap_or_default();
        sha.update(stored.get(..FRONT).unwrap_or(stored));
    }
    hex(&sha.finish())
}

fn listed(name: &str, bytes: &[u8], sha256: &[u8]) -> ArtifactFile {
    ArtifactFile { name: name.to_owned(), bytes: bytes.len() as u64, sha256: hex(sha256) }
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
            && let Some(follower) = self.followers.get(shard)
        {
            follower.read(range);
        }
        Ok(())
    }

    fn sidecar(&self, name: &str) -> Option<&[u8]> {
        self.checkpoint.sidecar(name)
    }
}
