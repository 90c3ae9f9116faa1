//! What tests stand on: checkpoints made by arithmetic, importance files, goldens made by outsiders, and the
//! digests that llama.cpp's own tools gave for everything derived from them. Not for release.
//!
//! The tiny checkpoints of [`kit`] are the same bytes on every machine, so a digest is all that has to be kept of
//! whatever another program makes of them; see [`expected_sha`].
#![forbid(unsafe_code)]

pub mod arith;
pub mod golden;
pub mod hollow;
mod importance;
pub mod kit;
pub mod node;
mod pyjson;
pub mod python;
pub mod safetensors;
mod shape;
pub mod sink;
pub mod synth;
mod tokenizer;

pub use shape::{Moe, Shape};

use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// `<digest>  <path>` lines of the files that llama.cpp's converter and quantizer made of [`kit`]'s checkpoints.
const LLAMA_SUMS: &str = include_str!("../data/llama-SHA256SUMS");

/// The SHA-256 (lower-case hex) that an outsider's run gave for `path`, e.g. `conv/dense-bf16.gguf`,
/// `quant/moe-Q4_K_M.im.gguf` or `hf/LFM2-Tiny-dense/config.json`.
#[must_use]
pub fn expected_sha(path: &str) -> Option<&'static str> {
    LLAMA_SUMS.lines().filter_map(|line| line.split_once("  ")).find(|(_, p)| *p == path).map(|(sha, _)| sha)
}

/// Every path that [`expected_sha`] knows, in the order of the list.
pub fn expected_paths() -> impl Iterator<Item = &'static str> {
    LLAMA_SUMS.lines().filter_map(|line| line.split_once("  ")).map(|(_, path)| path)
}

/// SHA-256 of `bytes` as lower-case hex.
#[must_use]
pub fn sha256_hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The workspace's `fixtures` folder.
#[must_use]
pub fn fixtures() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.ancestors().nth(2).unwrap_or(manifest).join("fixtures")
}
