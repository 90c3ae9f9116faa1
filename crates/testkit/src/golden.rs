//! Logits that the transformers library made, as `fixtures/golden/transformers/<case>/` keeps them.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// One case: a checkpoint, the tokens fed to it, and what came out three ways.
#[derive(Clone, Debug)]
pub struct Golden {
    /// Its name.
    pub name: String,
    /// The checkpoint's folder.
    pub model: PathBuf,
    /// The tokens.
    pub ids: Vec<u32>,
    /// Sizes of the pieces of the third run; they add up to the number of tokens.
    pub chunks: Vec<usize>,
    /// Columns of the logits.
    pub vocab: usize,
    /// Logits `[ids, vocab]` of one pass over all tokens.
    pub prefill: Vec<f32>,
    /// The same fed token by token.
    pub decode: Vec<f32>,
    /// The same fed in [`Self::chunks`].
    pub chunked: Vec<f32>,
}

/// Names of all cases, sorted; empty when the folder is absent.
///
/// # Errors
/// When the folder cannot be listed.
pub fn names() -> io::Result<Vec<String>> {
    let root = root();
    if !root.is_dir() {
        return Ok(Vec::new());
    }
    let mut names = Vec::new();
    for entry in fs::read_dir(root)? {
        let entry = entry?;
        if entry.path().join("golden.json").is_file() {
            names.extend(entry.file_name().into_string());
        }
    }
    names.sort();
    Ok(names)
}

/// All cases, sorted by name.
///
/// # Errors
/// As [`load`].
pub fn all() -> io::Result<Vec<Golden>> {
    names()?.iter().map(|name| load(name)).collect()
}

/// The case called `name`.
///
/// # Errors
/// When a file is absent or is not what it should be.
pub fn load(name: &str) -> io::Result<Golden> {
    let folder = root().join(name);
    let bad = |what: &str| io::Error::new(io::ErrorKind::InvalidData, format!("golden case {name}: {what}"));
    let about: Value = serde_json::from_slice(&fs::read(folder.join("golden.json"))?)?;
    let numbers = |key: &str| -> Option<Vec<u64>> { about[key].as_array()?.iter().map(Value::as_u64).collect() };
    let ids: Vec<u32> = numbers("ids").ok_or_else(|| bad("ids"))?.iter().map(|&id| id as u32).collect();
    let chunks: Vec<usize> = numbers("chunks").ok_or_else(|| bad("chunks"))?.iter().map(|&n| n as usize).collect();
    let vocab = about["vocab"].as_u64().ok_or_else(|| bad("vocab"))? as usize;
    if chunks.iter().sum::<usize>() != ids.len() {
        return Err(bad("the chunks do not add up to the tokens"));
    }
    let logits = |run: &str| -> io::Result<Vec<f32>> {
        let values = read_f32(&folder.join(run))?;
        if values.len() == ids.len() * vocab { Ok(values) } else { Err(bad(&format!("{run} has another size"))) }
    };
    Ok(Golden {
        name: name.to_owned(),
        model: folder.join(about["model"].as_str().unwrap_or(".")),
        prefill: logits("prefill.f32")?,
        decode: logits("decode.f32")?,
        chunked: logits("chunks.f32")?,
        ids,
        chunks,
        vocab,
    })
}

/// A file of little-endian f32.
///
/// # Errors
/// I/O, or a size that is not a multiple of 4.
pub fn read_f32(path: &Path) -> io::Result<Vec<f32>> {
    let bytes = fs::read(path)?;
    let (words, rest) = bytes.as_chunks::<4>();
    if !rest.is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("{}: not a row of f32", path.display())));
    }
    Ok(words.iter().map(|word| f32::from_le_bytes(*word)).collect())
}

fn root() -> PathBuf {
    crate::fixtures().join("golden/transformers")
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_case_loads() {
        for golden in super::all().unwrap() {
            assert!(golden.prefill.iter().all(|x| x.is_finite()), "{}", golden.name);
            assert!(golden.model.join("config.json").is_file(), "{}", golden.name);
        }
    }
}
