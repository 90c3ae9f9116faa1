//! Files we write, run by LiteRT and LiteRT-LM: a reader and a writer of ours could agree on a mistake.
//!
//! Needs Python with the packages of `tests/python/requirements.txt`: `LFMQ_LITERT_PYTHON` names its executable; with
//! `CI=true` an environment is made under the target folder.
#![allow(clippy::print_stderr, reason = "a test that is skipped says so")]

mod chat;
mod emit;
mod large;

use chat::Conversation;
use emit::Case;
use lfmq_testkit::python::{self, Environment};
use lfmq_tflite_export::{Files, TfliteOptions};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

static PYTHON: Environment = Environment::new("LFMQ_LITERT_PYTHON", include_str!("../python/requirements.txt"));

/// The oldest runtimes that our files promise to load in, without and with blocks.
static OLDEST: Environment =
    Environment::new("LFMQ_LITERT_PYTHON_OLDEST", include_str!("../python/requirements-oldest.txt"));
static OLDEST_BLOCKS: Environment =
    Environment::new("LFMQ_LITERT_PYTHON_OLDEST_BLOCKS", include_str!("../python/requirements-oldest-blocks.txt"));

/// Largest difference of logits over their standard deviation, for arithmetic in binary32.
const EXACT: f64 = 1e-4;

fn interpreter(name: &str) -> Option<PathBuf> {
    interpreter_in(&PYTHON, name)
}

fn interpreter_in(environment: &Environment, name: &str) -> Option<PathBuf> {
    let found = environment.find(Path::new(env!("CARGO_TARGET_TMPDIR")));
    if found.is_none() {
        eprintln!("SKIPPED litert test {name}: set {} or CI=true", environment.variable);
    }
    found
}

/// The report of a script on a case.
fn report(python: &Path, script: &str, arguments: &[&Path]) -> Value {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python").join(script);
    let said = python::run(Command::new(python).arg(script).args(arguments));
    serde_json::from_str(said.lines().last().unwrap_or_default()).unwrap()
}

fn run(case: &Case) -> Option<Value> {
    let python = interpreter(&case.name)?;
    let report = report(&python, "check.py", &[&case.write()]);
    eprintln!("{}: {}", case.name, report["runs"]);
    Some(report)
}

fn figures(report: &Value, figure: &str) -> Vec<f64> {
    report["runs"].as_array().unwrap().iter().map(|r| r[figure].as_f64().unwrap()).collect()
}

fn exact(case: &Case) {
    let Some(report) = run(case) else { return };
    assert!(figures(&report, "worst").iter().all(|w| *w <= EXACT), "{}: {}", case.name, report["runs"]);
}

#[test]
fn floats_are_exact() {
    for model in ["lfm2-tiny", "lfm2-tiny-moe"] {
        exact(&Case { kernels: emit::ALL, ..Case::new(model, "tflite-fp32") });
        exact(&Case::new(model, "tflite-fp16"));
    }
}

#[test]
fn codes_are_read_as_they_are_meant() {
    for model in ["lfm2-tiny", "lfm2-tiny-moe"] {
        for recipe in ["tflite-q8", "tflite-q4", "tflite-q4-mixed"] {
            let Some(report) = run(&Case::new(model, recipe)) else { return };
            assert!(figures(&report, "kld").iter().all(|k| *k < 0.02), "{model} {recipe}: {}", report["runs"]);
        }
    }
}

/// Checkpoints with every peculiarity of the family: LiteRT against the transformers library.
#[test]
fn peculiar_checkpoints() {
    for golden in lfmq_testkit::golden::all().unwrap() {
        let mut case = Case::new(&golden.name, "tflite-fp32");
        case.name = format!("golden-{}", golden.name);
        (case.model, case.options.files) = (golden.model.clone(), Files::Tflite);
        case.golden = Some(golden);
        exact(&case);
    }
}

/// Schemes that no recipe has, on matrices of every shape and on the table.
#[test]
fn other_schemes() {
    for scheme in ["int4-row", "int4-b64", "int4-b128", "int4-b256"] {
        let mut case = Case::new("lfm2-tiny", "tflite-q8");
        case.name = format!("lfm2-tiny-{scheme}");
        case.sets = ["embedding", "attn_q", "ffn_up", "ffn_down"].map(|role| format!("{role}={scheme}")).to_vec();
        let Some(report) = run(&case) else { return };
        assert!(figures(&report, "kld").iter().all(|k| *k < 0.02), "{scheme}: {}", report["runs"]);
    }
}

/// Every other way to write the same model.
#[test]
fn forms() {
    let base = Case::new("lfm2-tiny", "tflite-q4").options;
    for (name, options) in [
        ("inline", TfliteOptions { inline_weights: true, ..base.clone() }),
        ("two-steps", TfliteOptions { prefill: vec![16, 4], ..base.clone() }),
        ("step-of-one", TfliteOptions { prefill: vec![1], ..base.clone() }),
    ] {
        let case = Case { name: name.to_owned(), options, ..Case::new("lfm2-tiny", "tflite-q4") };
        let Some(report) = run(&case) else { return };
        assert!(figures(&report, "kld").iter().all(|k| *k < 0.02), "{name}: {}", report["runs"]);
    }
}

#[test]
fn the_oldest_runtimes_read_what_they_are_promised() {
    for (environment, recipe) in [(&OLDEST, "tflite-fp32"), (&OLDEST, "tflite-q8"), (&OLDEST_BLOCKS, "tflite-q4")] {
        let mut case = Case::new("lfm2-tiny", recipe);
        case.name = format!("oldest-{recipe}");
        let Some(python) = interpreter_in(environment, &case.name) else { return };
        let report = report(&python, "check.py", &[&case.write()]);
        assert!(figures(&report, "kld").iter().all(|k| *k < 0.02), "{recipe}: {}", report["runs"]);
    }
}

/// They would load blocks if the version allowed, and compute nonsense.
#[test]
fn runtimes_before_blocks_refuse_them() {
    let mut case = Case::new("lfm2-tiny", "tflite-q4");
    case.name = "refused-q4".to_owned();
    let Some(python) = interpreter_in(&OLDEST, &case.name) else { return };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/check.py");
    let output = Command::new(python).arg(script).arg(case.write()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("FULLY_CONNECTED"), "{said}");
}

/// LiteRT-LM finds all it needs in a bundle and says what the checkpoint says.
#[test]
fn bundles_answer_alike() {
    for (model, recipe) in [
        ("lfm2-tiny", "tflite-fp32"),
        ("lfm2-tiny", "tflite-q8"),
        ("lfm2-tiny", "tflite-q4"),
        ("lfm2-tiny-moe", "tflite-fp32"),
        ("lfm2-tiny-moe", "tflite-q8"),
        ("lfm2-tiny-moe", "tflite-q4"),
    ] {
        let mut case = Case::new(model, recipe);
        case.name = format!("bundle-{}", case.name);
        case.options = TfliteOptions { files: Files::Litertlm, context: Some(512), ..TfliteOptions::default() };
        case.kernels = &[];
        let Some(python) = interpreter(&case.name) else { return };
        let expected = Conversation::of(&case);
        let found = report(&python, "generate.py", &[&expected.write(&case)]);
        expected.check(&case.name, &found, recipe == "tflite-fp32");
    }
}
