//! What stands in for the library where none can be loaded.

use crate::OracleError;
use lfmq_core::Executor;
use std::path::Path;

pub(crate) fn open(library: &Path, _: &Path, _: usize) -> Result<Box<dyn Executor>, OracleError> {
    Err(OracleError::Static { path: library.to_owned() })
}
