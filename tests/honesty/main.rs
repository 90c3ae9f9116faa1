//! A verifier that never failed proves nothing: each of these damages must make `lfmq verify` fail and say where.
//! One file a format.

#[path = "../support/mod.rs"]
mod support;

mod flat;
mod gguf;
mod onnx;
mod proto;
mod routing;
mod tflite;

use std::path::Path;
use support::{Run, fixture_arg, lfmq};

/// The checkpoint that all artifacts here are made of.
const MODEL: &str = "lfm2-tiny-moe";

/// What is told of a graph that computes something else.
const GRAPH: &str = "run over its own weights the graph is not the model: the two part at";

/// `lfmq verify ARTIFACT` against the fixture `model`, as little as shows a difference.
fn verify_against(folder: &Path, artifact: &Path, model: &str, more: &[&str]) -> Run {
    let (artifact, model) = (artifact.display().to_string(), fixture_arg(model));
    let quick = ["--windows", "1", "--window", "64", "--task-items", "0", "--no-latency", "--format", "json"];
    let args: Vec<&str> = ["verify", &artifact, "--against", &model].into_iter().chain(quick).collect();
    lfmq(folder, &[&args, more].concat())
}

/// The same against [`MODEL`].
fn verify(folder: &Path, artifact: &Path) -> Run {
    verify_against(folder, artifact, MODEL, &[])
}

#[track_caller]
fn caught(run: Run, code: i32, words: &[&str]) {
    let run = run.expect(code);
    for word in words {
        assert!(run.stderr.contains(word), "the message does not say `{word}`:\n{}", run.stderr);
    }
}
