//! Reads a checkpoint folder: safetensors shards, mapped and checked, and `config.json` as a
//! [`ModelSpec`](lfmq_core::ModelSpec) by family.
//!
//! Nothing is guessed: the tensors in the files must be exactly those that the configuration calls for, in the shapes
//! it calls for, and whatever the program does not know is refused by its name. No weight is read before it is asked for.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

mod checkpoint;
mod convert;
mod digest;
mod error;
mod families;
mod fields;
mod header;
mod layout;
mod names;
mod shards;
mod sidecars;

pub use checkpoint::Checkpoint;
pub use digest::Digested;
pub use error::{CheckpointError, NameList};
pub use families::spec_from_config;
pub use header::{Header, StoredTensor};
pub use names::disk_name;
