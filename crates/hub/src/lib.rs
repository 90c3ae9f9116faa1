//! Checkpoints from a model hub, in the cache that Python's `huggingface_hub` uses.
//!
//! A revision is pinned to a commit first; only the wanted files are fetched, in ranges that are continued after a
//! kill or a lost network; a file becomes visible once its SHA-256 (or git object id) is what the hub announced.
//! The token goes to the endpoint's host alone.
//!
//! # Why not the `hf-hub` crate
//!
//! Its 1.0 brings 235 crates and a C library built by CMake; an interrupted file starts anew, no digest is checked,
//! `HF_HUB_OFFLINE` is not read, and two jobs that share a cache fail after ten seconds of waiting. Its lighter 0.5
//! over `ureq` lacks the same. What is left to wrap is two requests, so this crate makes them itself over `ureq`:
//! `GET /api/models/{repo}/revision/{revision}` for the commit and the names, `HEAD` and ranged `GET
//! /{repo}/resolve/{commit}/{file}` for the rest. `ureq`'s TLS is rustls on `ring`, the one crate here with C in it.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

mod api;
mod cache;
mod digest;
mod download;
mod error;
mod hub;
mod id;
mod names;
mod partial;
mod patience;
mod place;
mod settings;
mod wire;

pub use error::HubError;
pub use hub::{Hub, Snapshot};
pub use id::ModelId;
pub use names::checkpoint_files;
pub use settings::{Overrides, Pace, Settings, Token};
