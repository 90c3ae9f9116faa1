use crate::api::{Listing, Remote};
use crate::cache::Repo;
use crate::download::{self, Tally};
use crate::settings::{Overrides, Settings};
use crate::wire::Client;
use crate::{HubError, ModelId, names};
use lfmq_core::{Observer, Unit};
use std::path::{Path, PathBuf};

/// The wanted files of one commit, all there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The folder they are in.
    pub folder: PathBuf,
    /// The commit.
    pub commit: String,
    /// Their names below the folder, sorted.
    pub files: Vec<String>,
}

/// A hub and the cache before it.
#[derive(Debug)]
pub struct Hub {
    settings: Settings,
}

impl Hub {
    /// With what the environment says and what was typed; see [`Settings::from_env`].
    ///
    /// # Errors
    /// When a setting cannot be used.
    pub fn from_env(overrides: Overrides) -> Result<Self, HubError> {
        Ok(Self::new(Settings::from_env(overrides)?))
    }

    /// With these settings. Nothing is connected or made before [`Hub::fetch`].
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self { settings }
    }

    /// The cache folder.
    #[must_use]
    pub fn cache(&self) -> &Path {
        &self.settings.cache
    }

    /// The files of `id` that are `wanted` (see [`crate::checkpoint_files`]), fetched as far as they are not in the
    /// cache. Progress is one stage `fetch` in bytes; waiting and second attempts are noted.
    ///
    /// A pinned commit that is complete in the cache needs no network. Offline, nothing else is looked at.
    ///
    /// # Errors
    /// When the id, a file or the network is not there, the hub refuses, what came is not what was announced, or the
    /// disk is full. What came so far is kept for the next call; nothing unchecked is ever visible.
    pub fn fetch(
        &self,
        id: &ModelId,
        wanted: &dyn Fn(&str) -> bool,
        observer: &dyn Observer,
    ) -> Result<Snapshot, HubError> {
        let repo = Repo::new(&self.settings.cache, id);
        if self.settings.offline {
            return self.cached(&repo, id, wanted);
        }
        if id.is_pinned()
            && let Some(listing) = repo.listing(id.revision())
            && let Ok(files) = pick(&listing, id, wanted)
            && missing(&repo, &listing, &files).is_empty()
        {
            return Ok(snapshot(&repo, listing.commit, files));
        }
        let client = Client::new(&self.settings)?;
        let listing = client.listing(id, observer)?;
        let files = pick(&listing, id, wanted)?;
        repo.set_listing(&listing)?;
        let mut remotes = Vec::new();
        for name in missing(&repo, &listing, &files) {
            let Some(entry) = listing.files.get(&name) else { continue };
            remotes.push(client.describe(id, &listing.commit, (&name, entry), observer)?);
        }
        bring(&client, &repo, id, &listing.commit, remotes, observer)?;
        repo.set_commit(id, &listing.commit)?;
        Ok(snapshot(&repo, listing.commit, files))
    }

    /// The snapshot as the cache has it, if it is complete.
    fn cached(&self, repo: &Repo, id: &ModelId, wanted: &dyn Fn(&str) -> bool) -> Result<Snapshot, HubError> {
        let offline = |missing| HubError::Offline { id: id.to_string(), cache: self.settings.cache.clone(), missing };
        let Some(commit) = repo.commit(id) else {
            return Err(offline(vec![format!("the commit that `{}` means", id.revision())]));
        };
        let listing = match repo.listing(&commit) {
            Some(listing) => listing,
            None => found(repo, &commit)?,
        };
        if listing.files.is_empty() {
            return Err(offline(vec![format!("snapshot {commit}")]));
        }
        let files = pick(&listing, id, wanted)?;
        let missing = missing(repo, &listing, &files);
        if missing.is_empty() { Ok(snapshot(repo, commit, files)) } else { Err(offline(missing)) }
    }
}

fn snapshot(repo: &Repo, commit: String, files: Vec<String>) -> Snapshot {
    Snapshot { folder: repo.snapshot(&commit), commit, files }
}

/// The wanted names, each fit to be a path.
fn pick(listing: &Listing, id: &ModelId, wanted: &dyn Fn(&str) -> bool) -> Result<Vec<String>, HubError> {
    let files: Vec<String> = listing.files.keys().filter(|name| wanted(name)).cloned().collect();
    for name in &files {
        if let Some(why) = names::fault(name) {
            return Err(HubError::FileName { repo: id.repo().to_owned(), name: name.clone(), why });
        }
    }
    if files.is_empty() {
        return Err(HubError::Nothing { id: id.to_string() });
    }
    Ok(files)
}

/// Those of `files` that the snapshot does not have.
fn missing(repo: &Repo, listing: &Listing, files: &[String]) -> Vec<String> {
    let size = |name: &str| listing.files.get(name).and_then(|entry| entry.size);
    files.iter().filter(|name| !repo.has_file(&listing.commit, name, size(name))).cloned().collect()
}

/// Fetches and links, small files first: what is wrong shows before the long wait.
fn bring(
    client: &Client,
    repo: &Repo,
    id: &ModelId,
    commit: &str,
    mut remotes: Vec<Remote>,
    observer: &dyn Observer,
) -> Result<(), HubError> {
    if remotes.is_empty() {
        return Ok(());
    }
    remotes.sort_by(|a, b| (a.size, &a.name).cmp(&(b.size, &b.name)));
    let there: Vec<u64> = remotes.iter().map(|remote| already_there(repo, remote)).collect();
    let left = remotes.iter().zip(&there).map(|(remote, there)| remote.size.saturating_sub(*there));
    observer.begin("fetch", left.fold(0, u64::saturating_add), Unit::Bytes);
    let outcome = remotes.iter().zip(&there).try_for_each(|(remote, there)| {
        download::fetch(client, repo, id.repo(), remote, &mut Tally::new(observer, *there))?;
        repo.link(commit, &remote.name, &remote.blob)
    });
    observer.end();
    outcome
}

/// Bytes that need not be fetched.
fn already_there(repo: &Repo, remote: &Remote) -> u64 {
    if repo.has_blob(&remote.blob, remote.size) {
        return remote.size;
    }
    let partial = std::fs::metadata(repo.partial(&remote.blob)).map_or(0, |found| found.len());
    if partial > remote.size { 0 } else { partial }
}

/// What can be told of a snapshot that another program made: the files in it, and the shards its index names.
fn found(repo: &Repo, commit: &str) -> Result<Listing, HubError> {
    let root = repo.snapshot(commit);
    let mut listing = Listing { commit: commit.to_owned(), files: Default::default() };
    let mut open = vec![String::new()];
    while let Some(below) = open.pop() {
        let folder = root.join(&below);
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for entry in entries {
            let entry = entry.map_err(HubError::io(&folder))?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            let name = if below.is_empty() { name } else { format!("{below}/{name}") };
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                open.push(name);
            } else if !name.ends_with(".tmp") {
                listing.files.insert(name, Default::default());
            }
        }
    }
    let index = std::fs::read(root.join("model.safetensors.index.json")).unwrap_or_default();
    let index: serde_json::Value = serde_json::from_slice(&index).unwrap_or_default();
    let shards = index.get("weight_map").and_then(|map| map.as_object()).into_iter().flat_map(|map| map.values());
    for shard in shards.filter_map(|shard| shard.as_str()) {
        listing.files.entry(shard.to_owned()).or_default();
    }
    Ok(listing)
}
