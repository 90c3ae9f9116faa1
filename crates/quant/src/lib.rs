//! Chooses the values of weights: schemes put rows on a grid, recipes say which scheme a tensor gets, importance
//! weights say which columns matter, and [`quantize`] drives a whole model through it in bounded memory.
//!
//! Every scheme gives the bits of llama.cpp's quantizer on x86-64 (no fused multiply-add) on every machine: the
//! order of every sum is written down in the code and does not depend on lanes, threads or slabs.
#![forbid(unsafe_code)]

mod drive;
mod error;
mod importance;
mod lanes;
mod number;
mod plan;
mod recipe;
pub mod schemes;
mod search;
mod weight_error;

pub use drive::{DriveReport, Output, quantize, quantize_all};
pub use error::QuantError;
pub use importance::{Coverage, Importance};
pub use plan::plan;
pub use recipe::{Choice, Preset, Recipe};
pub use schemes::{Scheme, dequantize, scheme};
pub use weight_error::WeightError;
