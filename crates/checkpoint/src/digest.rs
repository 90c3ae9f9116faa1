//! SHA-256 of a checkpoint's files.

use lfmq_core::{ArtifactFile, Observer};
use rayon::prelude::*;
use sha2::{Digest, Sha256};

/// Bytes hashed between two reports of progress.
const STEP: usize = 16 << 20;

/// Hashes `files` (name, content), one file a thread, and lists them by name.
pub fn digests(files: &[(&str, &[u8])], observer: &dyn Observer) -> Vec<ArtifactFile> {
    let hash = |(name, bytes): &(&str, &[u8])| {
        let mut sha = Sha256::new();
        for step in bytes.chunks(STEP) {
            sha.update(step);
            observer.advance(step.len() as u64);
        }
        let sha256 = sha.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        ArtifactFile { name: (*name).to_owned(), bytes: bytes.len() as u64, sha256 }
    };
    let mut list: Vec<ArtifactFile> = files.par_iter().map(hash).collect();
    list.sort_by(|a, b| a.name.cmp(&b.name));
    list
}
