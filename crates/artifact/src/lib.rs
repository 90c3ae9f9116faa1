//! Staging, journal, digests and atomic publication of an artifact folder.
//!
//! A run writes into `<out>.partial/`; only a complete, flushed and digested folder is renamed to its final
//! name, so a crash at any moment leaves either the old folder, nothing, or the new one. Before that, [`Staging::settle`]
//! lets the files be read and proved, and `Staging::seal` encrypts them.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

mod digest;
mod error;
mod journal;
mod licence;
mod lock;
mod names;
mod publish;
#[cfg(feature = "seal")]
mod seal;
mod staging;
#[cfg(feature = "seal")]
mod unseal;

pub use digest::{Report, SUMS, check};
pub use error::ArtifactError;
pub use licence::{SideFile, license_files};
pub use publish::{ADDED, MANIFEST, published};
#[cfg(feature = "seal")]
pub use seal::Recipients;
pub use staging::{Mode, Part, Staging};
#[cfg(feature = "seal")]
pub use unseal::{Identities, unseal};
