//! The text drift is measured on: a file, or the one that comes with the program.

use super::file;
use lfmq_core::Fault;
use lfmq_digest::{Sha256, hex};
use std::path::Path;

const BUILT_IN: &str = include_str!("../../fixtures/text/eval.txt");

pub struct Text {
    pub name: String,
    pub text: String,
    pub sha256: String,
}

impl Text {
    /// Reads `path`, or takes the built-in text.
    ///
    /// # Errors
    /// When the file cannot be read or is not UTF-8.
    pub fn read(path: Option<&Path>) -> Result<Self, Fault> {
        let (name, text) = match path {
            None => ("built-in".to_owned(), BUILT_IN.to_owned()),
            Some(path) => {
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                (name, file::read("text", path)?)
            }
        };
        let sha256 = sha256_hex(text.as_bytes());
        Ok(Self { name, text, sha256 })
    }
}

/// SHA-256 in lower-case hex.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::of(bytes))
}
