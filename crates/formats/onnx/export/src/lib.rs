//! Writes ONNX: a graph spelled out node by node and its weights in external data files.
//!
//! The graph is built when the export is planned, from the model's shape and the plan's grids alone, so every
//! offset is known before a weight is read; rows are then packed and written wherever they belong, in any order.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

mod companions;
mod error;
mod exporter;
mod flavour;
mod grids;
mod lower;
mod model;
mod options;
mod pack;
mod proto;
mod store;

pub use error::OnnxExportError;
pub use exporter::OnnxExporter;
pub use options::{Accuracy, ConvForm, ConvState, Float, MinOrt, MoeForm, OnnxOptions};
