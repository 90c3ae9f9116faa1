//! What a folder looks like after runs that finish, fail, or are killed.

use lfmq_artifact::{ArtifactError, MANIFEST, Mode, SUMS, SideFile, Staging, check};
use lfmq_core::{Classify, Kind, PlannedFile, Sink};
use serde_json::json;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

const BYTES: u64 = 1000;

fn planned(name: &str) -> PlannedFile {
    PlannedFile { name: name.to_owned(), bytes: BYTES }
}

fn temp() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("deep/er/out");
    (folder, out)
}

fn partial(out: &Path) -> PathBuf {
    out.with_file_name("out.partial")
}

/// The names in the folder above the output: nothing may be left behind.
fn neighbours(out: &Path) -> Vec<String> {
    let entries = fs::read_dir(out.parent().unwrap()).unwrap();
    let mut names: Vec<String> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn make(out: &Path, mode: Mode, fill: u8) -> Result<lfmq_core::Artifact, ArtifactError> {
    let mut staging = Staging::create(out, mode, "f")?;
    let first = staging.add(&[planned("a.gguf"), planned("b.gguf")])?;
    assert_eq!(first, 0);
    let second = staging.add(&[planned("x/c.onnx")])?;
    staging.place(&SideFile { name: "LICENSE".to_owned(), bytes: b"terms".to_vec() })?;
    staging.part(second).write_at(0, 0, &[fill; BYTES as usize]).unwrap();
    staging.write_at(1, 500, &[fill; 500]).unwrap();
    staging.publish(&json!({ "tool": "t" }))
}

#[test]
fn a_published_folder_is_complete_and_checks() {
    let (_keep, out) = temp();
    let artifact = make(&out, Mode::Refuse, 7).unwrap();
    assert_eq!(neighbours(&out), ["out"]);
    let names: Vec<&str> = artifact.files.iter().map(|f| f.name.as_str()).collect();
    assert_eq!(names, ["LICENSE", "a.gguf", "b.gguf", MANIFEST, "x/c.onnx"]);
    assert_eq!(fs::read(out.join("x/c.onnx")).unwrap(), [7; 1000]);
    assert_eq!(fs::read(out.join("b.gguf")).unwrap(), [[0u8; 500], [7; 500]].concat());
    assert_eq!(fs::read(out.join("a.gguf")).unwrap(), [0; 1000]);

    let report = check(&out).unwrap();
    assert!(report.is_sound(), "{report:?}");
    assert_eq!(report.sound, artifact.files);
    let manifest: serde_json::Value = serde_json::from_slice(&fs::read(out.join(MANIFEST)).unwrap()).unwrap();
    assert_eq!(manifest["tool"], "t");
    assert_eq!(manifest["outputs"][1]["name"], "a.gguf");
    assert_eq!(manifest["outputs"][1]["bytes"], 1000);

    fs::write(out.join("a.gguf"), "x").unwrap();
    assert_eq!(check(&out).unwrap().changed, ["a.gguf"]);
    fs::remove_file(out.join(SUMS)).unwrap();
    assert!(check(&out).is_err());
}

#[test]
fn the_same_content_gives_the_same_folder() {
    let (_keep, one) = temp();
    let (_keep_too, two) = temp();
    assert_eq!(make(&one, Mode::Refuse, 1).unwrap().files, make(&two, Mode::Refuse, 1).unwrap().files);
}

#[test]
fn an_existing_output_is_refused_or_replaced() {
    let (_keep, out) = temp();
    make(&out, Mode::Refuse, 1).unwrap();
    for mode in [Mode::Refuse, Mode::Resume] {
        let error = make(&out, mode, 2).unwrap_err();
        assert!(matches!(error, ArtifactError::Exists { .. }), "{error}");
        assert_eq!(error.kind(), Kind::Usage);
    }
    assert_eq!(fs::read(out.join("x/c.onnx")).unwrap()[0], 1);
    make(&out, Mode::Overwrite, 2).unwrap();
    assert_eq!(fs::read(out.join("x/c.onnx")).unwrap()[0], 2);
    assert_eq!(neighbours(&out), ["out"]);
}

#[test]
fn two_runs_do_not_share_an_output() {
    let (_keep, out) = temp();
    let one = Staging::create(&out, Mode::Refuse, "f").unwrap();
    let error = Staging::create(&out, Mode::Refuse, "f").unwrap_err();
    let ArtifactError::Busy { holder, .. } = &error else { panic!("{error}") };
    assert_eq!(*holder, Some(std::process::id()));
    drop(one);
    // A lock file without a holder is what a crash leaves.
    fs::write(out.with_file_name("out.partial.lock"), "1").unwrap();
    Staging::create(&out, Mode::Refuse, "f").unwrap();
}

#[test]
fn an_unfinished_run_is_continued_only_by_its_like() {
    let (_keep, out) = temp();
    let mut staging = Staging::create(&out, Mode::Refuse, "one").unwrap();
    staging.add(&[planned("a")]).unwrap();
    staging.write_at(0, 10, b"kept").unwrap();
    staging.finish(3).unwrap();
    staging.finish(1).unwrap();
    drop(staging);
    assert!(!out.exists());

    let error = Staging::create(&out, Mode::Resume, "two").unwrap_err();
    assert!(matches!(error, ArtifactError::Fingerprint { .. }), "{error}");
    assert!(error.hint().is_some());

    let mut staging = Staging::create(&out, Mode::Resume, "one").unwrap();
    staging.add(&[planned("a")]).unwrap();
    assert_eq!(*staging.finished(), BTreeSet::from([1, 3]));
    drop(staging);

    // The journal is believed only with the file it speaks of.
    fs::OpenOptions::new().write(true).open(partial(&out).join("a")).unwrap().set_len(5).unwrap();
    let mut staging = Staging::create(&out, Mode::Resume, "one").unwrap();
    staging.add(&[planned("a")]).unwrap();
    assert!(staging.finished().is_empty());
    drop(staging);

    // Without asking to resume, everything begins anew.
    let mut staging = Staging::create(&out, Mode::Refuse, "one").unwrap();
    staging.add(&[planned("a")]).unwrap();
    assert!(staging.finished().is_empty());
    staging.publish(&json!({})).unwrap();
    assert_eq!(fs::read(out.join("a")).unwrap(), [0; 1000]);
    assert!(check(&out).unwrap().is_sound());
}

#[test]
fn a_torn_journal_loses_its_last_line_only() {
    let (_keep, out) = temp();
    let mut staging = Staging::create(&out, Mode::Refuse, "f").unwrap();
    staging.add(&[planned("a")]).unwrap();
    staging.finish(12).unwrap();
    staging.finish(34).unwrap();
    drop(staging);
    let journal = partial(&out).join(".journal");
    let text = fs::read(&journal).unwrap();
    fs::write(&journal, &text[..text.len() - 1]).unwrap();
    let mut staging = Staging::create(&out, Mode::Resume, "f").unwrap();
    staging.add(&[planned("a")]).unwrap();
    assert_eq!(*staging.finished(), BTreeSet::from([12]));
    staging.finish(34).unwrap();
    drop(staging);
    let staging = Staging::create(&out, Mode::Resume, "f").unwrap();
    assert_eq!(*staging.finished(), BTreeSet::from([12, 34]));
}

#[test]
fn a_crash_between_the_two_renames_brings_the_old_folder_back() {
    let (_keep, out) = temp();
    make(&out, Mode::Refuse, 1).unwrap();
    fs::rename(&out, out.with_file_name("out.lfmq-old")).unwrap();
    let error = Staging::create(&out, Mode::Refuse, "f").unwrap_err();
    assert!(matches!(error, ArtifactError::Exists { .. }), "{error}");
    assert!(check(&out).unwrap().is_sound());
    assert_eq!(neighbours(&out), ["out"]);
}

#[test]
fn a_resumed_overwrite_still_overwrites() {
    let (_keep, out) = temp();
    make(&out, Mode::Refuse, 1).unwrap();
    drop(Staging::create(&out, Mode::Overwrite, "f").unwrap());
    make(&out, Mode::Resume, 2).unwrap();
    assert_eq!(fs::read(out.join("x/c.onnx")).unwrap()[0], 2);
}

#[test]
fn names_and_sizes_are_held() {
    let (_keep, out) = temp();
    let mut staging = Staging::create(&out, Mode::Refuse, "f").unwrap();
    for bad in ["", "..", "/b", "a/b/c", "a/..", "a\\b", "c:d", MANIFEST, SUMS, ".journal"] {
        assert!(matches!(staging.add(&[planned(bad)]), Err(ArtifactError::Name { .. })), "{bad}");
    }
    staging.add(&[planned("a")]).unwrap();
    for taken in ["A", "A/c"] {
        assert!(staging.add(&[planned(taken)]).is_err(), "{taken}");
    }
    assert!(staging.place(&SideFile { name: "a".to_owned(), bytes: vec![] }).is_err());
    assert!(staging.write_at(0, BYTES - 1, b"xy").is_err());
    assert!(staging.write_at(0, u64::MAX, b"xy").is_err());
    assert!(staging.write_at(1, 0, b"x").is_err());
    assert!(Staging::create(Path::new("/"), Mode::Refuse, "f").is_err());
}

#[test]
fn a_folder_of_somebody_else_is_left_alone() {
    let (_keep, out) = temp();
    fs::create_dir_all(partial(&out)).unwrap();
    fs::write(partial(&out).join("thesis.tex"), "years").unwrap();
    let error = Staging::create(&out, Mode::Overwrite, "f").unwrap_err();
    assert!(matches!(error, ArtifactError::Foreign { .. }), "{error}");
    assert!(partial(&out).join("thesis.tex").exists());
}

const CHILD: &str = "LFMQ_TEST_CHILD";

/// Not a test of its own: the process that `a_killed_run_can_be_resumed` kills.
#[test]
fn child() {
    let Ok(out) = std::env::var(CHILD) else { return };
    let mut staging = Staging::create(Path::new(&out), Mode::Refuse, "f").unwrap();
    staging.add(&[planned("a")]).unwrap();
    for index in 0..BYTES as usize {
        staging.write_at(0, index as u64, &[1]).unwrap();
        staging.finish(index).unwrap();
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_killed_run_can_be_resumed() {
    let (_keep, out) = temp();
    let me = std::env::current_exe().unwrap();
    let mut run = Command::new(me).args(["--exact", "child"]).env(CHILD, &out).spawn().unwrap();
    let journal = partial(&out).join(".journal");
    let begun = Instant::now();
    while fs::read_to_string(&journal).map_or(0, |text| text.lines().count()) < 2 {
        assert!(begun.elapsed() < Duration::from_secs(60), "the child writes no journal");
        std::thread::sleep(Duration::from_millis(20));
    }
    run.kill().unwrap();
    run.wait().unwrap();
    assert!(!out.exists());

    let mut staging = Staging::create(&out, Mode::Resume, "f").unwrap();
    staging.add(&[planned("a")]).unwrap();
    let finished = staging.finished().clone();
    assert!(!finished.is_empty());
    let bytes = fs::read(partial(&out).join("a")).unwrap();
    assert!(finished.iter().all(|&index| bytes[index] == 1));
    for index in (0..BYTES as usize).filter(|index| !finished.contains(index)) {
        staging.write_at(0, index as u64, &[1]).unwrap();
    }
    staging.publish(&json!({})).unwrap();
    assert_eq!(fs::read(out.join("a")).unwrap(), [1; 1000]);
    assert_eq!(neighbours(&out), ["out"]);
}
