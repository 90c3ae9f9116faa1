//! Artifacts as the program writes them, run by the runtimes that devices run them in.
//!
//! `LFMQ_ONNX_PYTHON` and `LFMQ_LITERT_PYTHON` name Pythons with the packages of the formats' own tests,
//! `LFMQ_NODE_MODULES` a folder that holds `node_modules`; with `CI=true` all are made under the target folder.
#![allow(clippy::print_stderr, reason = "a skipped test says so")]

mod support;

use lfmq_testkit::node::Modules;
use lfmq_testkit::python::{Environment, run};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use support::{Run, command, fixture_arg, scratch};

macro_rules! export_tests {
    ($file:literal) => {
        concat!(env!("CARGO_MANIFEST_DIR"), "/crates/formats/onnx/export/tests/", $file)
    };
}

static ONNX: Environment =
    Environment::new("LFMQ_ONNX_PYTHON", include_str!("../crates/formats/onnx/export/tests/python/requirements.txt"));
static LITERT: Environment = Environment::new(
    "LFMQ_LITERT_PYTHON",
    include_str!("../crates/formats/tflite/export/tests/python/requirements.txt"),
);
static MODULES: Modules =
    Modules::new("LFMQ_NODE_MODULES", include_str!("../crates/formats/onnx/export/tests/web/package.json"));

const MODELS: [&str; 2] = ["lfm2-tiny", "lfm2-tiny-moe"];

/// A thing found below the target folder, or a line that says why a test does not run.
fn need(found: impl Fn(&Path) -> Option<PathBuf>, variable: &str, test: &str) -> Option<PathBuf> {
    let found = found(Path::new(env!("CARGO_TARGET_TMPDIR")));
    if found.is_none() {
        eprintln!("SKIPPED {test}: set {variable} or CI=true");
    }
    found
}

fn python(environment: &'static Environment, test: &str) -> Option<PathBuf> {
    need(|scratch| environment.find(scratch), environment.variable, test)
}

/// Quantizes a fixture; nothing is verified yet.
fn made(folder: &Path, model: &str, options: &[&str]) {
    let model = fixture_arg(model);
    let args = ["quantize", &model, "--out", "o", "--no-verify", "--quiet", "--overwrite"];
    Run::from(command(folder).args(args).args(options).output().expect("it starts")).expect(0);
}

/// The report of a proof of the folder `o` against a runtime.
fn proved(folder: &Path, model: &str, runtime: &str, environment: &[(&str, &Path)]) -> Run {
    let model = fixture_arg(model);
    let mut command = command(folder);
    command.env_remove("ORT_DYLIB_PATH").envs(environment.iter().copied());
    command.args(["verify", "o", "--against", &model, "--oracle", runtime, "--windows", "4", "--window", "64"]);
    command.args(["--task-items", "0", "--no-latency", "--format", "json"]).output().expect("it starts").into()
}

/// Our executor's verdict on itself next to the runtime.
fn oracle(run: &Run) -> Value {
    let report = run.json()["result"].clone();
    let gates = report["gates"]["gates"].as_array().expect("gates").clone();
    let gate = gates.iter().find(|g| g["name"] == "oracle").expect("a gate");
    assert_eq!(gate["verdict"], "pass", "{gate} {}", report["oracle"]);
    assert_eq!(report["independent_oracle"], report["oracle"]["runtime"]);
    report["oracle"].clone()
}

fn figure(oracle: &Value, pointer: &str) -> f64 {
    oracle.pointer(pointer).and_then(Value::as_f64).unwrap_or_else(|| panic!("{pointer} in {oracle}"))
}

/// A line of JSON at the end of what a script prints.
fn report(command: &mut Command) -> Value {
    serde_json::from_str(run(command).lines().last().unwrap_or_default()).expect("a report")
}

/// What follows it is never decided by less than rounding may shift.
const PROMPT: &str = "Once upon a time";
const TOKENS: &str = "12";

/// What `--bits 4` writes, untouched: onnxruntime, onnxruntime-genai and transformers.js load the one folder and say
/// what our executor says.
#[test]
fn one_folder_for_three_runtimes() {
    let test = "one folder for three runtimes";
    let Some(python) = python(&ONNX, test) else { return };
    let Some(modules) = need(|scratch| MODULES.find(scratch), MODULES.variable, test) else { return };
    for model in MODELS {
        let folder = scratch();
        made(folder.path(), model, &["--bits", "4", "--to", "onnx"]);
        let out = folder.path().join("o");

        let found = oracle(&proved(folder.path(), model, "onnxruntime", &[("LFMQ_PYTHON", &python)]).expect(0));
        assert!(found["runtime"].as_str().expect("a name").starts_with("onnxruntime 1."), "{found}");
        assert!(figure(&found, "/kld/mean/value") <= 1e-3, "{model}: {found}");

        let say = ["run", "o", "--raw", "--greedy", "--prompt", PROMPT, "-n", TOKENS, "--format", "json"];
        let ours = Run::from(command(folder.path()).args(say).output().expect("it starts")).expect(0);
        let ours = ours.json()["result"].clone();
        let tokens = ours["tokens"].as_array().expect("tokens");
        assert!(tokens.len() > 3, "{ours}");

        let mut web = Command::new("node");
        let web = report(web.arg(export_tests!("web/generate.mjs")).arg(&modules).arg(&out).args([PROMPT, TOKENS]));
        assert_eq!(web["prompt"].as_array().map(Vec::len), ours["prompt_tokens"].as_u64().map(|n| n as usize));
        // The end of the text is theirs to return and ours to leave out.
        let said = web["tokens"].as_array().expect("tokens");
        assert_eq!(said[..tokens.len()], tokens[..], "{model}: transformers.js {web}");

        let case = serde_json::json!({ "ids": web["prompt"], "continue": TOKENS.parse::<u32>().expect("a number") });
        std::fs::write(out.join("case.json"), case.to_string()).expect("write");
        let genai = report(Command::new(&python).arg(export_tests!("python/genai.py")).arg(out.join("case.json")));
        let said = genai["tokens"].as_array().expect("tokens");
        assert_eq!(said[..tokens.len()], tokens[..], "{model}: genai {genai}");
    }
}

/// The other flavours, through the same door as a user's artifact.
#[test]
fn flavours_against_onnxruntime() {
    let Some(python) = python(&ONNX, "flavours against onnxruntime") else { return };
    for (model, options, exact) in [
        ("lfm2-tiny", &["--recipe", "onnx-fp32"][..], true),
        ("lfm2-tiny", &["--recipe", "onnx-quantized"], true),
        // 35 products that round: sums in another order put some value over an edge in most prompts (docs/runtimes.md).
        ("lfm2-tiny", &["--bits", "8", "--onnx-flavor", "transformers-js"], false),
        ("lfm2-tiny", &["--bits", "4", "--onnx-min-ort", "1.25", "--onnx-conv", "fused"], false),
    ] {
        let folder = scratch();
        made(folder.path(), model, &[&["--to", "onnx"], options].concat());
        let found = oracle(&proved(folder.path(), model, "onnxruntime", &[("LFMQ_PYTHON", &python)]));
        assert!(figure(&found, "/kld/mean/value") <= 1e-3, "{model} {options:?}: {found}");
        assert!(!exact || figure(&found, "/prompts/median") <= 1e-4, "{model} {options:?}: {found}");
    }
}

/// onnxruntime as a library gives what Python's gives.
#[cfg(not(target_env = "musl"))]
#[test]
fn the_library_says_what_python_says() {
    let Some(python) = python(&ONNX, "onnxruntime as a library") else { return };
    let script = "import glob, os, onnxruntime as o\n\
                  print(*glob.glob(os.path.dirname(o.__file__) + '/capi/libonnxruntime.[sd]*[0-9o]*'), sep='\\n')";
    let library = run(Command::new(&python).args(["-c", script]));
    let library = PathBuf::from(library.lines().next().expect("the library"));
    let folder = scratch();
    made(folder.path(), "lfm2-tiny", &["--bits", "4", "--to", "onnx"]);
    let by_python = oracle(&proved(folder.path(), "lfm2-tiny", "onnxruntime", &[("LFMQ_PYTHON", &python)]));
    // No Python is asked: there is none.
    let nowhere = Path::new("/nowhere/python");
    let both = [("LFMQ_PYTHON", nowhere), ("ORT_DYLIB_PATH", library.as_path())];
    let by_library = oracle(&proved(folder.path(), "lfm2-tiny", "onnxruntime", &both));
    assert_eq!(by_library, by_python);
}

#[test]
fn litert() {
    let Some(python) = python(&LITERT, "litert") else { return };
    for model in MODELS {
        for bits in ["8", "4"] {
            let folder = scratch();
            made(folder.path(), model, &["--bits", bits, "--to", "tflite"]);
            let found = oracle(&proved(folder.path(), model, "litert", &[("LFMQ_PYTHON", &python)]));
            assert!(found["runtime"].as_str().expect("a name").starts_with("litert "), "{found}");
            assert!(figure(&found, "/agreement/same_top/value") >= 0.97, "{model} {bits}: {found}");
        }
    }
}

/// A machine without the runtime is told so, before anything is measured.
#[test]
fn a_runtime_that_is_not_there() {
    let folder = scratch();
    made(folder.path(), "lfm2-tiny", &["--bits", "4", "--to", "onnx"]);
    let nowhere = Path::new("/nowhere/python");
    let run = proved(folder.path(), "lfm2-tiny", "onnxruntime", &[("LFMQ_PYTHON", nowhere)]).expect(4);
    let error = run.json()["error"].clone();
    assert!(error["hint"].as_str().expect("a hint").contains("pip install onnxruntime"), "{error}");
    let run = proved(folder.path(), "lfm2-tiny", "litert", &[("LFMQ_PYTHON", nowhere)]).expect(2);
    assert!(run.json()["error"]["message"].as_str().expect("a message").contains(".tflite"), "{}", run.all());
}
