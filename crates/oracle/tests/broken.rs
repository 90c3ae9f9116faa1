//! Pythons that are none: whatever answers at the other end of the pipe, the error says what happened and ends the wait.
#![cfg(unix)]

use lfmq_core::{Classify, Kind, Want};
use lfmq_oracle::{Options, OracleError, Runtime, open};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A program that takes the place of Python: a shell script.
fn python(folder: &Path, script: &str) -> Options {
    let path = folder.join("python");
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    Options { python: path, patience: Duration::from_secs(20), ..Options::default() }
}

const HELLO: &str = r#"echo '{"name":"fake 1","vocab":4,"context":8}'"#;

fn artifact() -> PathBuf {
    PathBuf::from("x.onnx")
}

fn opening(script: &str) -> OracleError {
    let folder = tempfile::tempdir().unwrap();
    open(Runtime::OnnxRuntime, &artifact(), &python(folder.path(), script)).err().expect("an error")
}

#[test]
fn no_python_and_no_package_say_what_to_install() {
    let nowhere = Options { python: "/nowhere/python".into(), ..Options::default() };
    let error = open(Runtime::LiteRt, Path::new("x.tflite"), &nowhere).err().unwrap();
    assert!(matches!(error, OracleError::Python { .. }), "{error}");
    assert_eq!(error.kind(), Kind::Environment);
    assert!(error.hint().unwrap().contains("ai-edge-litert"));

    let error = opening(r#"echo '{"error":"No module named onnxruntime","missing":true}'"#);
    assert!(matches!(error, OracleError::Module { .. }), "{error}");
    assert_eq!(error.kind(), Kind::Environment);
    assert!(error.to_string().contains("No module named onnxruntime"), "{error}");
    assert!(error.hint().unwrap().contains("pip install onnxruntime"));
}

#[test]
fn a_file_of_another_format_starts_nothing() {
    let error = open(Runtime::LiteRt, &artifact(), &Options::default()).err().unwrap();
    assert_eq!(error.kind(), Kind::Usage);
    assert!(error.to_string().contains(".tflite"), "{error}");
}

#[test]
fn a_model_that_is_refused_is_the_input_s_fault() {
    let error = opening(r#"echo '{"error":"no kernel for Foo"}'"#);
    assert_eq!(error.kind(), Kind::Input);
    assert!(error.to_string().contains("no kernel for Foo"), "{error}");
}

#[test]
fn a_death_tells_the_last_words() {
    let error = opening("echo 'out of luck' >&2; exit 3");
    assert_eq!(error.kind(), Kind::Environment);
    assert!(error.to_string().contains("ended"), "{error}");
    assert!(error.to_string().contains("out of luck"), "{error}");
}

#[test]
fn answers_that_are_none() {
    for script in [
        "echo hello",
        "head -c 3000000 /dev/zero",
        r#"echo '{"shape":[18446744073709551615,4]}'"#,
        r#"echo '{"shape":[1000000000000,4]}'; echo short"#,
        r#"echo '{"shape":"x"}'"#,
    ] {
        let error = opening(script);
        assert!(matches!(error, OracleError::Broken { .. }), "{script}: {error}");
    }
}

#[test]
fn silence_ends() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options { patience: Duration::from_millis(300), ..python(folder.path(), "exec sleep 600") };
    let started = Instant::now();
    let error = open(Runtime::OnnxRuntime, &artifact(), &options).err().unwrap();
    assert!(error.to_string().contains("no answer"), "{error}");
    assert!(started.elapsed() < Duration::from_secs(60));
}

/// What comes after the model is open.
fn feeding(then: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let options = python(folder.path(), &format!("{HELLO}; read line; {then}"));
    let executor = open(Runtime::OnnxRuntime, &artifact(), &options).unwrap();
    assert_eq!((executor.facts().vocab, executor.facts().what.as_str()), (4, "fake 1"));
    let mut session = executor.session(100).unwrap();
    let mut out = Vec::new();
    let error = session.feed(&[1, 2], Want::All, &mut out).unwrap_err();
    assert!(out.is_empty() && session.position() == 0);
    error.to_string()
}

#[test]
fn a_step_that_fails_adds_nothing() {
    assert!(feeding(r#"echo '{"error":"bad step"}'"#).contains("fake 1: bad step"));
    assert!(feeding("exit 1").contains("ended"));
    // Fewer logits than were asked for.
    assert!(feeding(r#"echo '{"shape":[1,4]}'; printf 'abcdabcdabcdabcd'"#).contains("2 rows of 4"));
}

#[test]
fn tokens_and_positions_are_checked_here() {
    let folder = tempfile::tempdir().unwrap();
    let executor =
        open(Runtime::OnnxRuntime, &artifact(), &python(folder.path(), &format!("{HELLO}; cat >&2"))).unwrap();
    let mut session = executor.session(100).unwrap();
    let error = session.feed(&[4], Want::Last, &mut Vec::new()).unwrap_err();
    assert!(error.to_string().contains("vocabulary of 4"), "{error}");
    let error = session.feed(&[1; 9], Want::Last, &mut Vec::new()).unwrap_err();
    assert!(error.to_string().contains("limit of 8"), "{error}");
}

/// The scripts are whole programs: Python itself tells that a package is missing.
#[test]
fn a_python_without_packages_says_so() {
    let folder = tempfile::tempdir().unwrap();
    // -S: without what is installed.
    let options = python(folder.path(), r#"exec python3 -S "$@""#);
    for (runtime, file) in [(Runtime::OnnxRuntime, "x.onnx"), (Runtime::LiteRt, "x.tflite")] {
        match open(runtime, Path::new(file), &options).err().unwrap() {
            OracleError::Module { .. } => {}
            OracleError::Broken { said, .. } if said.contains("python3: not found") => return,
            other => panic!("{other}"),
        }
    }
}

#[test]
fn a_library_that_is_none_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let library = folder.path().join("libonnxruntime.so");
    fs::write(&library, "no library").unwrap();
    let options = Options { library: Some(library), ..Options::default() };
    let error = open(Runtime::OnnxRuntime, &artifact(), &options).err().unwrap();
    assert_eq!(error.kind(), Kind::Environment, "{error}");
}
