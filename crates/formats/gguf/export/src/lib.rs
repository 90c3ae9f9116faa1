//! Writes GGUF files, byte for byte as llama.cpp's converter and quantizer would.
//!
//! Everything but the weights follows from the checkpoint's header files and the plan, so the exact layout is
//! known before a weight is read; rows are then packed and written wherever they belong, in any order.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

mod arch;
mod card;
mod error;
mod exporter;
mod grids;
mod identity;
mod kv;
mod layout;
mod options;
mod pack;
mod sidecar;
mod sizes;
mod special;
mod vocab;
mod yaml;

pub use error::GgufExportError;
pub use exporter::GgufExporter;
pub use options::{GgufOptions, KvOverride, OverrideValue, Profile, Split, SplitLimit};
