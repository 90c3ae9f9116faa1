//! SHA-256 of files while they are read and written, so that a file larger than memory comes from the disk once.
//!
//! A digest takes a file's bytes in their order. Threads that work through files in another order tell a [`Follower`]
//! which bytes they are done with, and what has no gap before it is hashed by whoever comes along. Two files side by side
//! take less time than one after the other (see [`Sha256`]); so the followers of one [`Digests`] are hashed in pairs, and one that is
//! alone waits a little for company.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

mod follower;
mod progress;

pub use follower::{Digests, Follower};
pub use lfmq_kernels::Sha256;

/// A digest as `sha256sum` writes it.
#[must_use]
pub fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
