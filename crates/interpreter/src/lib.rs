//! What the interpreters of several formats' graphs share, whatever their values look like: [`layout`] of tensors, the
//! [`Routes`] that routers take, [`Names`] of traced values, and a [`Bank`] of weights that are laid out when they are
//! used.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod bank;
pub mod layout;
mod names;
mod routes;

pub use bank::{Bank, Laid, Later};
pub use names::Names;
pub use routes::{Routes, chosen};
