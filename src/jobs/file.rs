//! Text files that the user names, read and written with errors that name them.

use lfmq_core::{Fault, Kind};
use std::path::Path;

/// The text of `path`, which is a `what` ("gates", "tasks").
///
/// # Errors
/// When it cannot be read or is not UTF-8.
pub fn read(what: &str, path: &Path) -> Result<String, Fault> {
    std::fs::read_to_string(path)
        .map_err(|e| Fault::new(Kind::Input, format!("cannot read {what} {}: {e}", path.display())))
}

/// Writes `text` as `path`.
///
/// # Errors
/// Whatever the file system says.
pub fn write(path: &Path, text: &str) -> Result<(), Fault> {
    std::fs::write(path, text)
        .map_err(|e| Fault::new(Kind::Environment, format!("cannot write {}: {e}", path.display())))
}
