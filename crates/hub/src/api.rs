//! The part of the hub's API that a download needs: what a revision holds, and what a file is.

use crate::digest::Expected;
use crate::id::{is_commit, is_lower_hex};
use crate::patience::Failure;
use crate::place::escaped;
use crate::wire::{Ask, Client};
use crate::{HubError, ModelId, names};
use lfmq_core::Observer;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::Read;

/// Longest listing that is read.
const LONGEST: u64 = 32 << 20;

/// A commit and its files, by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Listing {
    pub(crate) commit: String,
    pub(crate) files: BTreeMap<String, Entry>,
}

/// What the listing knows about a file. Mirrors may know nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) size: Option<u64>,
    /// The LFS object id.
    pub(crate) sha256: Option<String>,
}

/// A file ready to be fetched.
#[derive(Clone, Debug)]
pub(crate) struct Remote {
    /// Its name in the repository.
    pub(crate) name: String,
    /// Path below the endpoint.
    pub(crate) path: String,
    /// Its name among the blobs.
    pub(crate) blob: String,
    /// Bytes.
    pub(crate) size: u64,
    /// What its content should be.
    pub(crate) expected: Expected,
    /// The endpoint's own strong ETag, if the endpoint itself serves the bytes.
    pub(crate) etag: Option<String>,
}

/// The hub's answer; what we do not need is skipped.
#[derive(Deserialize)]
struct Answer {
    sha: String,
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
    size: Option<u64>,
    lfs: Option<Lfs>,
}

#[derive(Deserialize)]
struct Lfs {
    sha256: Option<String>,
    size: Option<u64>,
}

impl Client {
    /// `GET /api/models/{repo}/revision/{revision}`: the commit and the names.
    pub(crate) fn listing(&self, id: &ModelId, observer: &dyn Observer) -> Result<Listing, HubError> {
        let what = format!("model {id}");
        let path = format!("api/models/{}/revision/{}?blobs=true", id.repo(), escaped(id.revision(), false));
        let ask = Ask { path: &path, what: &what, repo: id.repo(), elsewhere: false, range: None, etag: None };
        let nonsense = |why: String| Failure::Last(self.nonsense(&what, why));
        self.patiently(observer, || {
            let reply = self.get(&ask)?;
            if reply.status != 200 {
                return Err(nonsense(format!("status {}", reply.status)));
            }
            let mut text = Vec::new();
            let mut body = reply.body.into_reader().take(LONGEST + 1);
            body.read_to_end(&mut text).map_err(|e| self.cut_off(&what, &e))?;
            if text.len() as u64 > LONGEST {
                return Err(nonsense(format!("a list of more than {} MiB", LONGEST >> 20)));
            }
            let answer: Answer = serde_json::from_slice(&text)
                .map_err(|e| nonsense(format!("no list of files (line {}, column {})", e.line(), e.column())))?;
            if !is_commit(&answer.sha) || id.is_pinned() && answer.sha != id.revision() {
                return Err(nonsense("it names no commit, or another than asked for".to_owned()));
            }
            Ok(Listing { commit: answer.sha, files: answer.siblings.into_iter().map(entry).collect() })
        })
    }

    /// `HEAD /{repo}/resolve/{commit}/{file}`: size, digest and blob name.
    pub(crate) fn describe(
        &self,
        id: &ModelId,
        commit: &str,
        (name, entry): (&str, &Entry),
        observer: &dyn Observer,
    ) -> Result<Remote, HubError> {
        let what = format!("{name} of {}", id.repo());
        let path = format!("{}/resolve/{commit}/{}", id.repo(), escaped(name, true));
        let ask = Ask { path: &path, what: &what, repo: id.repo(), elsewhere: false, range: None, etag: None };
        let said = self.patiently(observer, || self.head(&ask))?;
        let nonsense = |why: &str| self.nonsense(&what, why.to_owned());
        if said.commit.as_deref().is_some_and(|found| found != commit) {
            return Err(nonsense("it is of another commit"));
        }
        let linked = said.linked_etag.as_deref().map(name_of);
        if let (Some(linked), Some(sha256)) = (&linked, &entry.sha256)
            && linked != sha256
        {
            return Err(nonsense("its digest is not the one in the list of files"));
        }
        let tag = linked.or_else(|| entry.sha256.clone()).or_else(|| said.etag.as_deref().map(name_of));
        let blob = tag.ok_or_else(|| nonsense("no ETag"))?;
        if !names::is_blob(&blob) {
            return Err(nonsense("an ETag that can name no file"));
        }
        let size = said.linked_size.or(entry.size).or(said.length).ok_or_else(|| nonsense("no size"))?;
        if entry.size.is_some_and(|listed| listed != size) {
            return Err(nonsense("its size is not the one in the list of files"));
        }
        let strong = said.etag.filter(|tag| !said.moved && tag.starts_with('"'));
        Ok(Remote { name: name.to_owned(), path, expected: Expected::from_name(&blob), blob, size, etag: strong })
    }
}

fn entry(sibling: Sibling) -> (String, Entry) {
    let lfs = sibling.lfs.unwrap_or(Lfs { sha256: None, size: None });
    let sha256 = lfs.sha256.filter(|sum| sum.len() == 64 && is_lower_hex(sum));
    (sibling.rfilename, Entry { size: lfs.size.or(sibling.size), sha256 })
}

/// The name that an ETag gives a file of the cache: no quotes, no weakness mark, digests in lower case.
pub(crate) fn name_of(tag: &str) -> String {
    let bare = tag.trim().trim_start_matches("W/").trim_matches('"');
    // Where case is not told apart, `AB..` would be the file of the digest `ab..` with nothing checked.
    let digest = matches!(bare.len(), 40 | 64) && bare.bytes().all(|b| b.is_ascii_hexdigit());
    if digest { bare.to_ascii_lowercase() } else { bare.to_owned() }
}
