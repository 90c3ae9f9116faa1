//! The GGUF container as its public specification has it: block types, tensor names, and a reader of typed
//! keys and tensor infos over a byte slice. It gives no meaning to a key and writes nothing.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

mod container;
mod cursor;
mod error;
pub mod names;
pub mod split;
mod tensor;
mod types;
mod value;

pub use container::{Container, FromValue};
pub use error::WireError;
pub use split::Split;
pub use tensor::Tensor;
pub use types::GgmlType;
pub use value::{Array, Value, ValueType};
