//! Opens a TFLite file, alone or inside a `.litertlm` container, and runs it from its own bytes, node by node. Nothing
//! here knows a model family: what is computed is what the graph says, with the arithmetic that LiteRT's default CPU
//! kernels (XNNPACK) use.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

mod calls;
mod container;
mod draft;
mod error;
mod flat;
mod fuse;
mod lower;
mod model;
mod module;
mod operands;
mod operators;
mod program;
mod session;
mod shelf;
mod signatures;
mod slots;
mod stored;
mod tensor;
mod tflite;
mod weights;

pub use error::RunError;
pub use module::{Array, Module};
pub use tflite::{Options, Tflite};
