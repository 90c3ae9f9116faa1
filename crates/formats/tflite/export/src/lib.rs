//! Writes TFLite: a model as LiteRT runs it (`.tflite`), and the same model bundled with its tokenizer and chat template
//! as LiteRT-LM runs it (`.litertlm`).
//!
//! The graph is built when the export is planned, from the model's shape and the plan's grids alone, so every
//! offset is known before a weight is read; rows are then packed and written wherever they belong, in any order.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

mod bundle;
mod error;
mod exporter;
mod flat;
mod grids;
mod lower;
mod model;
mod options;
mod pack;
mod schema;
mod store;
mod subgraph;

pub use error::TfliteExportError;
pub use exporter::TfliteExporter;
pub use options::{Files, TfliteOptions};
