//! What the arguments mean: paths resolved, files read, choices made.

pub mod file;
pub mod model;
pub mod oracle;
pub mod quantize;
pub mod size;
pub mod speaker;
pub mod targets;
pub mod text;
pub mod usage;
