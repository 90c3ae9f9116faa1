//! Where a checkpoint or an artifact lies: a folder, or an id of the hub.

use anyhow::Result;
use lfmq_core::{Fault, Kind, Observer};
use lfmq_hub::{Hub, ModelId, Overrides, Snapshot, checkpoint_files};
use std::path::{Path, PathBuf};

/// `model` as a folder, else as `org/name[@revision]` fetched from the hub as far as the cache does not have it.
///
/// # Errors
/// When it is neither, or cannot be fetched.
pub fn resolve(model: &str, offline: bool, observer: &dyn Observer) -> Result<PathBuf> {
    let folder = PathBuf::from(model);
    if folder.is_dir() {
        return Ok(folder);
    }
    if folder.exists() {
        return Err(Fault::new(Kind::Input, format!("{model} is a file, not a checkpoint folder"))
            .with_hint("name the folder that holds config.json and the .safetensors files")
            .into());
    }
    if !looks_like_id(model) {
        return Err(Fault::new(Kind::Input, format!("no such folder: {model}"))
            .with_hint("give a folder with config.json and .safetensors files, or a hub id such as LiquidAI/LFM2-350M")
            .into());
    }
    Ok(fetch(model, offline, observer)?.folder)
}

/// Brings a checkpoint of the hub into the local cache.
///
/// # Errors
/// An id that is none, or whatever keeps it from being fetched.
pub fn fetch(id: &str, offline: bool, observer: &dyn Observer) -> Result<Snapshot, Fault> {
    let hub = Hub::from_env(Overrides { offline, ..Overrides::default() })?;
    Ok(hub.fetch(&id.parse::<ModelId>()?, &checkpoint_files, observer)?)
}

/// `org/name` with an optional revision; anything else is meant as a path.
fn looks_like_id(model: &str) -> bool {
    let id = model.split('@').next().unwrap_or(model);
    id.split('/').count() == 2 && !id.starts_with(['.', '/', '~']) && model.parse::<ModelId>().is_ok()
}

/// True for a folder with a configuration and safetensors weights: a checkpoint, not an artifact.
pub fn is_checkpoint(folder: &Path) -> bool {
    let weights = ["model.safetensors", "model.safetensors.index.json"];
    folder.join("config.json").is_file() && weights.iter().any(|w| folder.join(w).is_file())
}

/// The file an artifact argument means: itself, or the one artifact inside the folder (first of a split).
///
/// # Errors
/// When there is none, or more than one.
pub fn artifact_file(path: &Path) -> Result<PathBuf> {
    if path.is_file() {
        return Ok(path.to_owned());
    }
    let missing = |why: String| {
        Fault::new(Kind::Input, why).with_hint("name a model file or the folder that `lfmq quantize` wrote")
    };
    if !path.is_dir() {
        return Err(missing(format!("no such file or folder: {}", path.display())).into());
    }
    let entries =
        std::fs::read_dir(path).map_err(|e| Fault::new(Kind::Environment, format!("{}: {e}", path.display())))?;
    let mut files: Vec<PathBuf> = entries
        .filter_map(|e| e.ok().map(|e| e.path()))
        .filter(|p| crate::registry::FORMATS.iter().any(|f| p.extension().is_some_and(|x| x == f.extension)))
        .filter(|p| !is_later_part(p))
        .collect();
    files.sort();
    match files.as_slice() {
        [one] => Ok(one.clone()),
        [] => Err(missing(format!("no artifact in {}", path.display())).into()),
        _ => Err(missing(format!("{} holds {} artifacts", path.display(), files.len())).into()),
    }
}

/// True for `…-00002-of-00003.gguf` and later parts.
fn is_later_part(path: &Path) -> bool {
    let Some(stem) = path.file_stem().and_then(|s| s.to_str()) else { return false };
    let Some((head, total)) = stem.rsplit_once("-of-") else { return false };
    let Some((_, part)) = head.rsplit_once('-') else { return false };
    total.len() == 5 && part.len() == 5 && part.parse::<u32>().is_ok_and(|n| n > 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_told_from_paths() {
        for id in ["LiquidAI/LFM2-1.2B", "LiquidAI/LFM2-1.2B@v1"] {
            assert!(looks_like_id(id), "{id}");
        }
        for path in ["LFM2", "../x/y", "a/b/c", "./a/b", "/a/b", "a/../b", "~/a", ""] {
            assert!(!looks_like_id(path), "{path}");
        }
    }

    #[test]
    fn parts_of_a_split() {
        assert!(is_later_part(Path::new("x/m-00002-of-00003.gguf")));
        assert!(!is_later_part(Path::new("x/m-00001-of-00003.gguf")));
        assert!(!is_later_part(Path::new("x/m.gguf")));
    }
}
