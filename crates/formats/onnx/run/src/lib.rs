//! Opens an ONNX file and runs it from its own bytes, node by node. Nothing here knows a model family: what is
//! computed is what the graph says, with the arithmetic ONNX Runtime's CPU kernels use.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

mod error;
mod held;
mod integer_weights;
mod model;
mod onnx;
mod operators;
mod plan;
mod ready;
mod session;
mod stored;
mod tail;
mod tensor;
mod wire;

pub use error::RunError;
pub use onnx::{Onnx, Options};
