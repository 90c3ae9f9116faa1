//! Small files beside the weights.

use crate::CheckpointError;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

/// Files that are kept, if they are there.
const NAMES: [&str; 8] = [
    "README.md",
    "chat_template.jinja",
    "chat_template.json",
    "config.json",
    "generation_config.json",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
];
/// Beginnings of further names that are kept.
const PREFIXES: [&str; 2] = ["LICENSE", "NOTICE"];
/// Largest file that is kept.
const LIMIT: u64 = 64 << 20;

/// Reads the small files of `folder`.
pub fn read(folder: &Path) -> Result<BTreeMap<String, Vec<u8>>, CheckpointError> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).map_err(CheckpointError::io(folder))? {
        let entry = entry.map_err(CheckpointError::io(folder))?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let wanted = NAMES.contains(&name.as_str()) || PREFIXES.iter().any(|prefix| name.starts_with(prefix));
        if wanted && entry.path().is_file() {
            let bytes = read_limited(&entry.path(), LIMIT)?;
            files.insert(name, bytes);
        }
    }
    Ok(files)
}

/// The whole file, unless it is larger than `limit`.
pub fn read_limited(path: &Path, limit: u64) -> Result<Vec<u8>, CheckpointError> {
    let file = File::open(path).map_err(CheckpointError::io(path))?;
    let bytes = file.metadata().map_err(CheckpointError::io(path))?.len();
    if bytes > limit {
        return Err(CheckpointError::TooLarge { path: path.to_owned(), bytes, limit });
    }
    let mut out = Vec::new();
    file.take(limit).read_to_end(&mut out).map_err(CheckpointError::io(path))?;
    Ok(out)
}
