//! The program against a hub on this machine: an id instead of a folder, and what it says when that does not work.
#![cfg(feature = "hub")]

#[path = "../crates/hub/tests/support/mod.rs"]
mod hub;
mod support;

use hub::{Answer, Asked, COMMIT, Model, Server, TOKEN};
use serde_json::Value;
use std::fs;
use std::path::Path;
use support::{Run, command, fixture, scratch};

/// The fixture as a model of the hub.
fn model() -> Model {
    let entries = fs::read_dir(fixture("lfm2-tiny")).expect("the fixture");
    let files = entries.map(|e| e.expect("an entry").path()).map(|path| {
        let name = path.file_name().expect("a name").to_str().expect("text").to_owned();
        let large = name.ends_with(".safetensors");
        (name, (fs::read(&path).expect("a file"), large))
    });
    Model { commit: COMMIT.to_owned(), files: files.collect(), storage: None }
}

fn lfmq(folder: &Path, server: &str, args: &[&str]) -> Run {
    let mut command = command(folder);
    command.env("HF_ENDPOINT", server).env("HF_TOKEN", TOKEN).env_remove("HF_HUB_OFFLINE").args(args);
    command.output().expect("the program starts").into()
}

const JOB: [&str; 7] = ["quantize", "Org/Tiny", "--bits", "8", "--no-verify", "--out", "out"];

#[test]
fn an_id_is_fetched_pinned_and_named_in_the_papers() {
    let folder = scratch();
    let honest = model();
    let server = Server::start(move |asked: &Asked| honest.answer(asked));
    lfmq(folder.path(), &server.address, &JOB).expect(0);
    let manifest: Value =
        serde_json::from_slice(&fs::read(folder.path().join("out/lfmq.json")).expect("a manifest")).expect("JSON");
    assert_eq!((&manifest["source"]["repo"], &manifest["source"]["commit"]), (&"Org/Tiny".into(), &COMMIT.into()));
    assert_eq!(manifest["model"], "Tiny");
    let card = fs::read_to_string(folder.path().join("out/README.md")).expect("a card");
    assert!(card.contains("base_model: \"Org/Tiny\"") && card.contains(COMMIT), "{card}");
    drop(server);
    // Nobody is there any more.
    let again = ["--offline", "quantize", "Org/Tiny", "--bits", "8", "--no-verify", "--out", "again"];
    lfmq(folder.path(), "http://127.0.0.1:9", &again).expect(0);
    let same = |name: &str| fs::read(folder.path().join(name)).expect("a file");
    assert!(same("out/lfmq.json") == same("again/lfmq.json"));
}

#[test]
fn refusals_have_their_exit_code_and_a_hint() {
    for (answer, code, words) in [
        (Answer::new(403, "").with("x-error-code", "GatedRepo"), 5, "accept the terms"),
        (Answer::new(401, "").with("x-error-code", "RepoNotFound"), 5, "check HF_TOKEN"),
        (Answer::new(404, "").with("x-error-code", "RepoNotFound"), 3, "check the spelling"),
        (Answer::new(429, "").with("retry-after", "100000"), 4, "repeat in 100000 s"),
    ] {
        let folder = scratch();
        let server = Server::start(move |_: &Asked| answer.clone());
        let run = lfmq(folder.path(), &server.address, &JOB).expect(code);
        assert!(run.stderr.contains(words), "{}", run.stderr);
        assert!(!run.all().contains(TOKEN), "the token is shown");
        assert!(!folder.path().join("out").exists());
    }
}
