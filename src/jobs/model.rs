//! Where a checkpoint or an artifact lies: a folder, or an id of the hub.

use anyhow::Result;
use lfmq_core::{Fault, Kind, Observer};
#[cfg(feature = "hub")]
use lfmq_hub::{Hub, ModelId, Overrides, checkpoint_files};
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

/// A checkpoint in the local cache.
pub struct Fetched {
    pub folder: PathBuf,
    pub commit: String,
    /// Names below the folder.
    pub files: Vec<String>,
}

/// Brings a checkpoint of the hub into the local cache.
///
/// # Errors
/// An id that is none, or whatever keeps it from being fetched.
#[cfg(feature = "hub")]
pub fn fetch(id: &str, offline: bool, observer: &dyn Observer) -> Result<Fetched, Fault> {
    let hub = Hub::from_env(Overrides { offline, ..Overrides::default() })?;
    let snapshot = hub.fetch(&id.parse::<ModelId>()?, &checkpoint_files, observer)?;
    Ok(Fetched { folder: snapshot.folder, commit: snapshot.commit, files: snapshot.files })
}

/// What a program without network code says.
///
/// # Errors
/// Always.
#[cfg(not(feature = "hub"))]
pub fn fetch(id: &str, _offline: bool, _observer: &dyn Observer) -> Result<Fetched, Fault> {
    let fault = Fault::new(Kind::Usage, format!("{id}: this build of lfmq has no hub in it"));
    Err(fault.with_hint("name a folder, or build with the cargo feature `hub`"))
}

/// `org/name` with an optional revision; anything else is meant as a path.
fn looks_like_id(model: &str) -> bool {
    let (id, revision) = model.split_once('@').map_or((model, None), |(id, revision)| (id, Some(revision)));
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let name = |part: &str| part.chars().all(plain) && part.starts_with(|c: char| c.is_ascii_alphanumeric());
    id.split('/').count() == 2 && id.split('/').all(name) && revision.is_none_or(|r| !r.is_empty())
}

/// Where on the hub a checkpoint is from.
pub struct Origin {
    /// `owner/name`.
    pub repo: String,
    pub commit: String,
}

impl Origin {
    /// Of a folder of the hub's cache, `models--<owner>--<name>/snapshots/<commit>`; `None` elsewhere.
    pub fn of(folder: &Path) -> Option<Self> {
        let word = |path: &Path| Some(path.file_name()?.to_str()?.to_owned());
        let snapshots = folder.parent().filter(|p| word(p).is_some_and(|w| w == "snapshots"))?;
        let repo = word(snapshots.parent()?)?;
        let (owner, name) = repo.strip_prefix("models--")?.split_once("--")?;
        let commit = word(folder)?;
        let is_commit = commit.len() == 40 && commit.bytes().all(|b| b.is_ascii_hexdigit());
        is_commit.then(|| Self { repo: format!("{owner}/{name}"), commit })
    }
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
    let mut files = model_files(path)?;
    // Some runtimes look for graphs in a folder of their own.
    let inside = path.join("onnx");
    if files.is_empty() && inside.is_dir() {
        files = model_files(&inside)?;
    }
    match files.as_slice() {
        [one] => Ok(one.clone()),
        [] if is_sealed(path) => {
            let sealed = Fault::new(Kind::Input, format!("{} is sealed", path.display()));
            Err(sealed.with_hint("`lfmq unseal DIR --identity FILE --out OTHER` opens it").into())
        }
        [] => Err(missing(format!("no artifact in {}", path.display())).into()),
        _ => Err(missing(format!("{} holds {} artifacts", path.display(), files.len())).into()),
    }
}

/// Whether the files in `folder`, or in the folder of graphs inside, are encrypted.
fn is_sealed(folder: &Path) -> bool {
    let has = |folder: PathBuf| {
        let mut entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        entries.any(|e| e.path().extension().is_some_and(|x| x == "age"))
    };
    has(folder.to_owned()) || has(folder.join("onnx"))
}

/// The files in `folder` that a format of ours may have, the later parts of a split left out, sorted.
fn model_files(folder: &Path) -> Result<Vec<PathBuf>, Fault> {
    let entries =
        std::fs::read_dir(folder).map_err(|e| Fault::new(Kind::Environment, format!("{}: {e}", folder.display())))?;
    let mut files: Vec<PathBuf> = entries
        .filter_map(|e| e.ok().map(|e| e.path()))
        .filter(|p| crate::registry::FORMATS.iter().any(|f| f.has(p) && !f.repeats(p)))
        .filter(|p| !is_later_part(p))
        .collect();
    files.sort();
    Ok(files)
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
    fn the_cache_knows_where_a_checkpoint_is_from() {
        let commit = "0123456789abcdef0123456789abcdef01234567";
        let of = |folder: &str| Origin::of(Path::new(folder)).map(|o| (o.repo, o.commit));
        let found = of(&format!("/c/models--LiquidAI--LFM2-1.2B/snapshots/{commit}"));
        assert_eq!(found, Some(("LiquidAI/LFM2-1.2B".to_owned(), commit.to_owned())));
        for other in ["/c/LFM2-1.2B", "/c/models--LiquidAI--LFM2-1.2B/snapshots/main", "/c/snapshots/x", "x"] {
            assert_eq!(of(other), None, "{other}");
        }
    }

    #[test]
    fn parts_of_a_split() {
        assert!(is_later_part(Path::new("x/m-00002-of-00003.gguf")));
        assert!(!is_later_part(Path::new("x/m-00001-of-00003.gguf")));
        assert!(!is_later_part(Path::new("x/m.gguf")));
    }
}
