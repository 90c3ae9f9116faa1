//! Where a checkpoint or an artifact lies: a folder, or a hub id that the local hub cache already has.

use anyhow::Result;
use lfmq_core::{Fault, Kind};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// `model` as a folder, else as `org/name[@revision]` in the hub cache.
///
/// # Errors
/// When it is neither.
pub fn resolve(model: &str) -> Result<PathBuf> {
    let folder = PathBuf::from(model);
    if folder.is_dir() {
        return Ok(folder);
    }
    if folder.exists() {
        return Err(Fault::new(Kind::Input, format!("{model} is a file, not a checkpoint folder"))
            .with_hint("name the folder that holds config.json and the .safetensors files")
            .into());
    }
    let Some((id, revision)) = hub_id(model) else {
        return Err(Fault::new(Kind::Input, format!("no such folder: {model}"))
            .with_hint("give a folder with config.json and .safetensors files, or a hub id such as LiquidAI/LFM2-350M")
            .into());
    };
    let repo = hub_cache().join(format!("models--{}", id.replace('/', "--")));
    snapshot(&repo, revision).ok_or_else(|| {
        Fault::new(Kind::Environment, format!("{model} is not in the hub cache ({})", repo.display()))
            .with_hint(format!("this version does not download; `hf download {id}` fetches it, then repeat"))
            .into()
    })
}

/// Splits `org/name@revision`; `None` for anything that cannot be an id.
fn hub_id(model: &str) -> Option<(&str, &str)> {
    let (id, revision) = model.split_once('@').unwrap_or((model, "main"));
    let (org, name) = id.split_once('/')?;
    let word = |w: &str| {
        !w.is_empty()
            && !w.starts_with('.')
            && w.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
    };
    (word(org) && word(name) && word(revision)).then_some((id, revision))
}

/// The cache that Python's tools use: `HF_HUB_CACHE`, else `HF_HOME/hub`, else `~/.cache/huggingface/hub`.
fn hub_cache() -> PathBuf {
    let set = |name: &str| std::env::var_os(name).filter(|v: &OsString| !v.is_empty()).map(PathBuf::from);
    set("HF_HUB_CACHE").or_else(|| set("HF_HOME").map(|h| h.join("hub"))).unwrap_or_else(|| {
        let home = set("HOME").or_else(|| set("USERPROFILE")).unwrap_or_default();
        home.join(".cache/huggingface/hub")
    })
}

/// The snapshot of a branch, tag or commit.
fn snapshot(repo: &Path, revision: &str) -> Option<PathBuf> {
    let commit = std::fs::read_to_string(repo.join("refs").join(revision))
        .map_or_else(|_| revision.to_owned(), |text| text.trim().to_owned());
    let folder = repo.join("snapshots").join(commit);
    folder.is_dir().then_some(folder)
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
        Fault::new(Kind::Input, why).with_hint("name a .gguf file or the folder that `lfmq quantize` wrote")
    };
    if !path.is_dir() {
        return Err(missing(format!("no such file or folder: {}", path.display())).into());
    }
    let entries =
        std::fs::read_dir(path).map_err(|e| Fault::new(Kind::Environment, format!("{}: {e}", path.display())))?;
    let mut files: Vec<PathBuf> = entries
        .filter_map(|e| e.ok().map(|e| e.path()))
        .filter(|p| p.extension().is_some_and(|x| x == "gguf"))
        .filter(|p| !is_later_part(p))
        .collect();
    files.sort();
    match files.as_slice() {
        [one] => Ok(one.clone()),
        [] => Err(missing(format!("no .gguf file in {}", path.display())).into()),
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
        assert_eq!(hub_id("LiquidAI/LFM2-1.2B"), Some(("LiquidAI/LFM2-1.2B", "main")));
        assert_eq!(hub_id("LiquidAI/LFM2-1.2B@v1"), Some(("LiquidAI/LFM2-1.2B", "v1")));
        for bad in ["LFM2", "../x/y", "a/b/c", "a/../b", "/a/b", "a/b@../c", ""] {
            assert_eq!(hub_id(bad), None, "{bad}");
        }
    }

    #[test]
    fn parts_of_a_split() {
        assert!(is_later_part(Path::new("x/m-00002-of-00003.gguf")));
        assert!(!is_later_part(Path::new("x/m-00001-of-00003.gguf")));
        assert!(!is_later_part(Path::new("x/m.gguf")));
    }
}
