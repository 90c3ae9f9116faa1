//! The node graph of a [`ModelSpec`](lfmq_core::ModelSpec), free of any format: what is computed from what, in the
//! words of the model family. A writer of a graph format walks the nodes in order and says each in its own operators.
//!
//! Nodes are few and large (a whole short convolution is one), because what differs between formats is how such a
//! step is spelled; what does not differ is the wiring, and that is here, once.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

mod build;
mod node;

pub use build::build;
pub use node::{Graph, Node, Op, Rope, State, StateKind, ValueId};
