//! What a CI engine does with the program: the job matrix, and the steps of the composite action, all of them real.

#[path = "../crates/report/tests/common/action.rs"]
mod action;
mod support;

use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use support::{fixture_arg, lfmq, scratch};

fn action_file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/ci/action/action.yml")
}

/// The folder with the program.
fn bin() -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_lfmq")).parent().expect("a folder").to_owned()
}

/// The only job of a matrix.
fn job(folder: &Path, target: &str) -> Value {
    let model = fixture_arg("lfm2-tiny");
    let run = lfmq(folder, &["matrix", "--models", &model, "--targets", target, "--emit", "github"]).expect(0);
    assert_eq!(run.stdout.trim_end().lines().count(), 1, "an output of a step is one line");
    let matrix: Value = serde_json::from_str(&run.stdout).expect("JSON");
    let jobs = matrix["include"].as_array().expect("jobs");
    assert_eq!(jobs.len(), 1);
    jobs[0].clone()
}

fn run(folder: &Path, job: &Value, more: &[(&str, &str)]) -> action::Ran {
    let word = |key: &str| job[key].as_str().expect(key).to_owned();
    let (model, target, format, recipe) = (word("model"), word("target"), word("format"), word("recipe"));
    let inputs = [("model", &*model), ("target", &target), ("format", &format), ("recipe", &recipe)];
    action::run(&action_file(), &[&inputs, more].concat(), folder, &bin())
}

#[test]
fn the_action_proves_an_artifact_and_compares_it_with_its_baseline() {
    let folder = scratch();
    let job = job(folder.path(), "desktop-x86");
    let first = run(folder.path(), &job, &[]);
    assert_eq!(first.failed, None, "{}", first.log);
    assert_eq!(first.outputs["exit-code"], "0");
    assert!(first.summary.contains("PASS") && first.summary.contains("KLD"), "{}", first.summary);
    for file in ["artifact/lfmq.json", "report.json", "report.html", "junit.xml", "report.md", "gates.toml"] {
        assert!(folder.path().join("lfmq-out").join(file).is_file(), "no {file}");
    }
    let again = run(folder.path(), &job, &[("folder", "again"), ("baseline", "lfmq-out/report.json")]);
    // Times of a busy machine may differ; drift may not.
    assert!(again.summary.contains("KLD mean"), "{}", again.log);
    assert_eq!(again.outputs["report"], "again/report.json");
}

#[test]
fn a_gate_made_to_fail_fails_the_job_after_the_report() {
    let folder = scratch();
    let built_in = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs/targets/iot-small.toml");
    let text = fs::read_to_string(built_in).expect("a target");
    let strict = text.replace("kld_mean_max = 0.25", "kld_mean_max = 1e-9");
    assert_ne!(text, strict);
    fs::write(folder.path().join("strict.toml"), strict).expect("a target");
    let ran = run(folder.path(), &job(folder.path(), "strict.toml"), &[]);
    assert_eq!(ran.failed.as_deref(), Some("judge"), "{}", ran.log);
    assert!(ran.summary.contains("FAIL") && ran.summary.contains("kld_mean_max"), "{}", ran.summary);
    assert!(ran.log.contains("::error::"));
}

#[test]
fn what_is_no_checkpoint_stops_the_job_at_once() {
    let folder = scratch();
    let mut job = job(folder.path(), "desktop-x86");
    job["model"] = "nowhere".into();
    let ran = run(folder.path(), &job, &[]);
    assert_eq!(ran.failed.as_deref(), Some("quantize"), "{}", ran.log);
    assert!(ran.summary.is_empty());
}

#[test]
fn the_pipeline_for_gitlab_is_one_document_with_a_job_an_artifact() {
    let folder = scratch();
    let args = ["matrix", "--models", "a,b", "--targets", "all", "--shards", "2", "--emit", "gitlab"];
    let text = lfmq(folder.path(), &args).expect(0).stdout;
    let documents = yaml_rust2::YamlLoader::load_from_str(&text).expect("YAML");
    assert_eq!(documents.len(), 1);
    let jobs = documents[0].as_hash().expect("a map").values().filter(|v| v["extends"].as_str() == Some(".lfmq"));
    let targets = lfmq_targets::built_in().expect("targets").len();
    assert_eq!(jobs.count(), 2 * targets * 2);
}
