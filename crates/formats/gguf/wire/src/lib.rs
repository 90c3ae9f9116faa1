//! The GGUF container as its public specification has it: block types, tensor names, and a reader of typed
//! keys and tensor infos over a byte slice. It gives no meaning to a key and writes nothing.
#![forbid(unsafe_code)]

pub mod names;
mod types;

pub use types::GgmlType;
