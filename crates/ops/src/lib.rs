//! Operators of the LFM2 forward pass over slices, on kernels, and the forward pass itself.
//!
//! [`Decoder`] is the model: plain numbers, norms, and weights behind [`Linear`] and [`Embedding`]. Whoever opens an
//! artifact builds one and asks it for sessions. Results depend neither on the thread count nor on the kernel
//! rung: work is cut along outputs, every output has one written order of operations, and nothing is
//! reduced across threads. Threads come from the current rayon pool.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod attention;
pub mod blocks;
pub mod conv;
pub mod decoder;
mod error;
pub mod ffn;
mod fit;
mod input;
mod linear;
pub mod moe;
pub mod norm;
mod packed;
mod panels;
pub mod rope;
pub mod route;
mod run;
mod session;
mod spare;
mod team;

pub use blocks::{Block32, Block256, BlockLinear, Blocks, Factor};
pub use decoder::{Decoder, DecoderConfig, Layer, LayerState, Mixer, Step};
pub use error::OpsError;
pub use ffn::{DenseFfn, Ffn};
pub use input::Input;
pub use linear::{Embedding, F32Linear, Linear, Tiles};
pub use moe::Moe;
pub use packed::{BlockKind, Form};
pub use panels::{by_panels, by_tiles, with_scratch};
pub use route::{Gate, Routing};
pub use run::{Run, Unpacked32, Unpacked256};
pub use session::DecoderSession;
