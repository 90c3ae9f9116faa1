//! The experts of a mixture's layers on their way into a file: which tensors they are, that none is missing and all of
//! a kind share a grid, in which order they stand, and where the rows of each lie where a format stacks them.
//!
//! Every exporter asks here, so that all formats hold the same experts in the same order. How rows become bytes is the
//! format's own affair; how experts lie in a checkpoint is that of the checkpoint, which hands out single experts
//! whichever way they are stored. Readers of artifacts must not see this crate: what they read back proves it.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

mod bank;
mod error;
mod stack;

pub use bank::{Bank, Banks, Expert, Part};
pub use error::MoeError;
pub use stack::{Member, Stack};
