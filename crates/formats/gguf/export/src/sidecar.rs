//! The small files beside the weights.

use crate::GgufExportError;
use lfmq_core::TensorSource;
use serde_json::Value as Json;
use std::borrow::Cow;

/// A text file, if it is there. Bytes that are not UTF-8 are replaced.
pub(crate) fn text<'a>(source: &'a dyn TensorSource, file: &str) -> Option<Cow<'a, str>> {
    source.sidecar(file).map(String::from_utf8_lossy)
}

/// A JSON file, if it is there.
pub(crate) fn json(source: &dyn TensorSource, file: &'static str) -> Result<Option<Json>, GgufExportError> {
    let Some(bytes) = source.sidecar(file) else { return Ok(None) };
    match serde_json::from_slice(bytes) {
        Ok(value) => Ok(Some(value)),
        Err(e) => Err(GgufExportError::Sidecar { file, why: e.to_string() }),
    }
}
