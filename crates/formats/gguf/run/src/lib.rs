//! Opens a GGUF file of an LFM2 model and runs it from its own bytes. The file holds no graph: the forward pass is the
//! one that llama.cpp builds for the architectures `lfm2` and `lfm2moe`, from the file's keys and tensors alone.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

mod bank;
mod decode;
mod error;
mod gguf;
mod half_linear;
mod inspect;
mod load;
mod metadata;
mod shards;
mod tensors;
mod vocabulary;
mod weights;

pub use error::RunError;
pub use gguf::{Gguf, Options};
pub use inspect::{InspectedKey, InspectedTensor, Inspection, inspect};
pub use vocabulary::Vocabulary;
