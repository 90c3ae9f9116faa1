//! The outsider: Python's `huggingface_hub` against the tests' hub and against this crate's cache.
//! `LFMQ_HUB_PYTHON` names an interpreter that has it (2.4 was used); without one the test says so and passes.
#![cfg(unix)]
#![allow(clippy::print_stderr)]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use support::*;

/// Runs a script; `false` where no interpreter was named.
fn python(endpoint: &str, cache: &Path, script: &str) -> bool {
    let Some(interpreter) = std::env::var_os("LFMQ_HUB_PYTHON") else {
        eprintln!("SKIPPED: LFMQ_HUB_PYTHON names no Python with huggingface_hub");
        return false;
    };
    let run = Command::new(interpreter)
        .args(["-c", script])
        .envs([("HF_ENDPOINT", endpoint), ("HF_HUB_DISABLE_XET", "1"), ("HF_HUB_DISABLE_TELEMETRY", "1")])
        .envs([("HF_HUB_CACHE", cache), ("HF_HOME", cache)])
        .env_remove("HF_TOKEN")
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    true
}

/// What a cache shows: path -> where a link points, or the content.
fn tree(cache: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut open = ["blobs", "refs", "snapshots"].map(|folder| root(cache).join(folder)).to_vec();
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(cache).unwrap().display().to_string();
            let kind = fs::symlink_metadata(&path).unwrap().file_type();
            if kind.is_dir() {
                open.push(path);
            } else if kind.is_symlink() {
                found.insert(name, format!("-> {}", fs::read_link(&path).unwrap().display()).into_bytes());
            } else {
                found.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    found
}

const DOWNLOAD: &str = "
from huggingface_hub import snapshot_download
snapshot_download('Org/Tiny', allow_patterns=['config.json', 'LICENSE', '*.safetensors', 'onnx/*'])
";

const LOOK: &str = "
import os
from huggingface_hub import snapshot_download, scan_cache_dir
folder = snapshot_download('Org/Tiny', local_files_only=True)
assert sorted(os.listdir(folder)) == ['LICENSE', 'config.json', 'model.safetensors', 'onnx'], os.listdir(folder)
seen = scan_cache_dir()
assert not seen.warnings, seen.warnings
[repo] = seen.repos
assert repo.nb_files == 4 and list(repo.refs) == ['main'], repo
";

#[test]
fn both_leave_and_read_the_same_cache() {
    let mut model = Model::tiny();
    let stored = model.clone();
    let storage = Server::start(move |asked| stored.answer(asked));
    model.storage = Some(storage.address.clone());
    let server = Server::start(move |asked| model.answer(asked));
    let (ours, theirs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let wanted = |name: &str| lfmq_hub::checkpoint_files(name) || name.starts_with("onnx/");
    let snapshot = fetch_of(settings(&server.address, ours.path()), &id(), &wanted).0.unwrap();
    if !python(&server.address, theirs.path(), DOWNLOAD) {
        return;
    }
    assert!(
        tree(ours.path()) == tree(theirs.path()),
        "{:?}\n{:?}",
        tree(ours.path()).keys(),
        tree(theirs.path()).keys()
    );
    python("http://127.0.0.1:1", ours.path(), LOOK);
    // And this crate reads what Python left, without a network.
    let mut offline = settings("http://127.0.0.1:1", theirs.path());
    offline.offline = true;
    assert_eq!(fetch_of(offline, &id(), &wanted).0.unwrap().files, snapshot.files);
}
