//! An honest hub: what is asked for, what lies where afterwards, and what works without it.

mod support;

use lfmq_core::{Classify, Kind};
use lfmq_hub::{HubError, ModelId};
use std::fs;
use support::*;

fn honest() -> (Model, Server) {
    let model = Model::tiny();
    let answering = model.clone();
    (model, Server::start(move |asked| answering.answer(asked)))
}

fn pinned() -> ModelId {
    ModelId::new(REPO, COMMIT).unwrap()
}

#[test]
fn a_checkpoint_arrives_in_pythons_layout() {
    let (model, server) = honest();
    let cache = tempfile::tempdir().unwrap();
    let (result, witness) = fetch(settings(&server.address, cache.path()));
    let snapshot = result.unwrap();
    model.check(&snapshot);
    assert_eq!(snapshot.commit, COMMIT);
    assert_eq!(snapshot.folder, root(cache.path()).join("snapshots").join(COMMIT));
    assert_eq!(fs::read_to_string(root(cache.path()).join("refs/main")).unwrap(), COMMIT);
    assert_eq!(visible(cache.path()), ["LICENSE", "config.json", "model.safetensors"]);
    let mut blobs: Vec<String> = snapshot.files.iter().map(|name| model.oid(name)).collect();
    blobs.sort();
    assert_eq!(sound(cache.path()), blobs);
    #[cfg(unix)]
    assert_eq!(
        fs::read_link(snapshot.folder.join("model.safetensors")).unwrap(),
        std::path::Path::new("../../blobs").join(model.oid("model.safetensors"))
    );

    // 300 000 bytes in ranges of 65 536, each asked for once and in order; nothing unwanted is touched.
    assert_eq!(server.starts("model.safetensors"), [0, 65536, 131_072, 196_608, 262_144]);
    let log = server.log();
    assert!(log.iter().all(|asked| !asked.path.contains("onnx") && !asked.path.contains("gitattributes")));
    assert!(log.iter().all(|asked| asked.header("accept-encoding") == Some("identity")));
    assert!(log[0].path.starts_with("/api/models/Org/Tiny/revision/main"));
    let bytes: u64 = snapshot.files.iter().map(|name| model.content(name).len() as u64).sum();
    assert_eq!((witness.totals.lock().unwrap().clone(), *witness.done.lock().unwrap()), (vec![bytes], bytes));
    assert_eq!(*witness.notes.lock().unwrap(), [] as [&str; 0]);
}

#[test]
fn a_second_fetch_asks_for_the_commit_only_and_a_pinned_one_for_nothing() {
    let (model, server) = honest();
    let cache = tempfile::tempdir().unwrap();
    fetch(settings(&server.address, cache.path())).0.unwrap();
    let before = server.log().len();
    model.check(&fetch(settings(&server.address, cache.path())).0.unwrap());
    assert_eq!(server.log().len(), before + 1);
    let wanted = lfmq_hub::checkpoint_files;
    model.check(&fetch_of(settings(&server.address, cache.path()), &pinned(), &wanted).0.unwrap());
    assert_eq!(server.log().len(), before + 1);
    // More wanted than there is: only the rest is fetched.
    let more =
        fetch_of(settings(&server.address, cache.path()), &pinned(), &|name| name != ".gitattributes").0.unwrap();
    assert_eq!(more.files, ["LICENSE", "config.json", "model.safetensors", "onnx/model.onnx"]);
    assert_eq!(fs::read(more.folder.join("onnx/model.onnx")).unwrap(), model.content("onnx/model.onnx"));
    assert_eq!(server.starts("model.safetensors").len(), 5);
}

#[test]
fn a_new_commit_fetches_what_changed() {
    let (model, server) = honest();
    let cache = tempfile::tempdir().unwrap();
    fetch(settings(&server.address, cache.path())).0.unwrap();
    let mut newer = model.clone();
    newer.commit = "f".repeat(40);
    newer.files.get_mut("config.json").unwrap().0 = b"{}".to_vec();
    let answering = newer.clone();
    let next = Server::start(move |asked| answering.answer(asked));
    let snapshot = fetch(settings(&next.address, cache.path())).0.unwrap();
    newer.check(&snapshot);
    assert_eq!(snapshot.commit, newer.commit);
    assert_eq!(next.starts("model.safetensors"), [] as [usize; 0]);
    assert_eq!(fs::read_to_string(root(cache.path()).join("refs/main")).unwrap(), newer.commit);
    let old = root(cache.path()).join("snapshots").join(COMMIT).join("config.json");
    assert_eq!(fs::read(old).unwrap(), model.content("config.json"));
}

#[test]
fn offline_is_the_cache_alone() {
    let (model, server) = honest();
    let cache = tempfile::tempdir().unwrap();
    let offline = || {
        // Nobody listens there.
        let mut settings = settings("http://127.0.0.1:1", cache.path());
        settings.offline = true;
        settings
    };
    let error = fetch(offline()).0.unwrap_err();
    assert!(error.to_string().contains("the commit that `main` means"), "{error}");
    assert_eq!(error.kind(), Kind::Environment);
    assert!(error.hint().unwrap().contains("HF_HUB_OFFLINE"));

    let snapshot = fetch(settings(&server.address, cache.path())).0.unwrap();
    let before = server.log().len();
    model.check(&fetch(offline()).0.unwrap());
    model.check(&fetch_of(offline(), &pinned(), &lfmq_hub::checkpoint_files).0.unwrap());
    assert_eq!(server.log().len(), before);

    fs::remove_file(root(cache.path()).join("blobs").join(model.oid("model.safetensors"))).unwrap();
    fs::remove_file(snapshot.folder.join("LICENSE")).unwrap();
    let error = fetch(offline()).0.unwrap_err();
    assert!(
        matches!(&error, HubError::Offline { missing, .. } if *missing == ["LICENSE", "model.safetensors"]),
        "{error}"
    );
    let error = fetch_of(offline(), &ModelId::new(REPO, "v9").unwrap(), &|_| true).0.unwrap_err();
    assert!(error.to_string().contains("`v9`"), "{error}");
    // And online what is missing comes back.
    model.check(&fetch(settings(&server.address, cache.path())).0.unwrap());
}

/// A snapshot that Python's tools fetched has no list of its files; the index still names the shards.
#[cfg(unix)]
#[test]
fn offline_over_a_foreign_snapshot() {
    let cache = tempfile::tempdir().unwrap();
    let folder = root(cache.path()).join("snapshots").join(COMMIT);
    fs::create_dir_all(&folder).unwrap();
    fs::create_dir_all(root(cache.path()).join("refs")).unwrap();
    fs::write(root(cache.path()).join("refs/main"), COMMIT).unwrap();
    fs::write(folder.join("config.json"), "{}").unwrap();
    let index = r#"{"weight_map":{"a":"model-00001-of-00002.safetensors","b":"model-00002-of-00002.safetensors"}}"#;
    fs::write(folder.join("model.safetensors.index.json"), index).unwrap();
    fs::write(folder.join("model-00001-of-00002.safetensors"), "x").unwrap();
    std::os::unix::fs::symlink("../../blobs/gone", folder.join("tokenizer.json")).unwrap();
    let offline = || {
        let mut settings = settings("http://127.0.0.1:1", cache.path());
        settings.offline = true;
        fetch(settings).0
    };
    let error = offline().unwrap_err();
    assert!(
        matches!(&error, HubError::Offline { missing, .. } if *missing == ["model-00002-of-00002.safetensors", "tokenizer.json"]),
        "{error}"
    );
    fs::remove_file(folder.join("tokenizer.json")).unwrap();
    fs::write(folder.join("model-00002-of-00002.safetensors"), "y").unwrap();
    assert_eq!(offline().unwrap().files.len(), 4);
}

#[test]
fn files_on_another_host_and_a_renamed_repository() {
    let mut model = Model::tiny();
    let stored = model.clone();
    let storage = Server::start(move |asked| stored.answer(asked));
    model.storage = Some(storage.address.clone());
    let answering = model.clone();
    // The repository moved: everything first points to its new name on the same host.
    let server = Server::start(move |asked| match asked.path.strip_prefix("/Org/Tiny/") {
        Some(rest) => Answer::new(307, "").with("location", format!("/New/Name/{rest}")),
        None => answering.answer(asked),
    });
    let cache = tempfile::tempdir().unwrap();
    model.check(&fetch(settings(&server.address, cache.path())).0.unwrap());
    assert_eq!(sound(cache.path()).len(), 3);
    let starts: Vec<usize> = storage.log().iter().map(|asked| asked.range().unwrap().0).collect();
    assert_eq!(starts, [0, 65536, 131_072, 196_608, 262_144]);
}

/// A mirror that sends names only: no sizes, no digests in the list, no linked headers.
#[test]
fn a_plain_mirror_under_a_prefix() {
    let model = Model::tiny();
    let answering = model.clone();
    let server = Server::start(move |asked| {
        let mut asked = asked.clone();
        asked.path = asked.path.strip_prefix("/mirror").expect("the prefix").to_owned();
        if asked.path.starts_with("/api/") {
            let names: Vec<_> = answering.files.keys().map(|name| serde_json::json!({"rfilename": name})).collect();
            return Answer::new(200, serde_json::json!({"sha": COMMIT, "siblings": names}).to_string());
        }
        let mut answer = answering.answer(&asked);
        answer.headers.retain(|(name, _)| name != "x-repo-commit");
        answer
    });
    let cache = tempfile::tempdir().unwrap();
    let address = format!("{}/mirror/", server.address);
    model.check(&fetch(settings(&address, cache.path())).0.unwrap());
    assert_eq!(sound(cache.path()).len(), 3);
}

#[test]
fn an_empty_file_and_a_folder() {
    let mut model = Model::tiny();
    model.files.insert("a b/c#d/empty.txt".to_owned(), (Vec::new(), false));
    let answering = model.clone();
    let server = Server::start(move |asked| {
        let mut asked = asked.clone();
        asked.path = asked.path.replace("a%20b/c%23d", "a b/c#d");
        answering.answer(&asked)
    });
    let cache = tempfile::tempdir().unwrap();
    let snapshot = fetch_of(settings(&server.address, cache.path()), &id(), &|name| name.ends_with(".txt")).0.unwrap();
    assert_eq!(snapshot.files, ["a b/c#d/empty.txt"]);
    assert_eq!(fs::read(snapshot.folder.join("a b/c#d/empty.txt")).unwrap(), b"");
}

#[test]
fn nothing_wanted() {
    let (_, server) = honest();
    let cache = tempfile::tempdir().unwrap();
    let error = fetch_of(settings(&server.address, cache.path()), &id(), &|_| false).0.unwrap_err();
    assert!(matches!(error, HubError::Nothing { .. }) && error.kind() == Kind::Input, "{error}");
}
