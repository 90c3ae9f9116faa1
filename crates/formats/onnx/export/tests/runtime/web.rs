//! The same files in a browser's runtime: onnxruntime-web, by WebAssembly.
//!
//! Needs node with the packages of `tests/web/package.json`: `LFMQ_NODE_MODULES` names a folder that holds their
//! `node_modules`; with `CI=true` they are installed under the target folder.

use crate::emit::Case;
use lfmq_core::{Activation, Executor, Want};
use lfmq_kernels::Kernels;
use lfmq_onnx_export::{ConvState, Float, OnnxOptions};
use lfmq_onnx_run::{Onnx, Options};
use lfmq_testkit::node::Modules;
use lfmq_testkit::python;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

static MODULES: Modules = Modules::new("LFMQ_NODE_MODULES", include_str!("../web/package.json"));

fn modules(name: &str) -> Option<PathBuf> {
    let found = MODULES.find(Path::new(env!("CARGO_TARGET_TMPDIR")));
    if found.is_none() {
        eprintln!("SKIPPED onnx web test {name}: set {} or CI=true", MODULES.variable);
    }
    found
}

/// onnxruntime-web's logits against those of our interpreter, which reads the same file.
fn run(case: &Case, activation: Activation) -> Option<Value> {
    let modules = modules(case.name)?;
    let file = case.write();
    expect_of_the_interpreter(&file, activation);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/web/check.mjs");
    let said = python::run(Command::new("node").arg(script).arg(modules).arg(&file));
    let report: Value = serde_json::from_str(said.lines().last().unwrap_or_default()).unwrap();
    eprintln!("{}: {}", case.name, report["runs"]);
    Some(report)
}

/// Puts our interpreter's logits in place of what the case expects.
fn expect_of_the_interpreter(file: &Path, activation: Activation) {
    let folder = file.parent().unwrap();
    let case: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let ids: Vec<u32> = serde_json::from_value(case["ids"].clone()).unwrap();
    let graph = folder.join(case["graph"].as_str().unwrap());
    let onnx = Onnx::open(&graph, Options { activation, kernels: Kernels::best() }).unwrap();
    let mut logits = Vec::new();
    onnx.session(ids.len()).unwrap().feed(&ids, Want::All, &mut logits).unwrap();
    let bytes: Vec<u8> = logits.iter().flat_map(|v| v.to_le_bytes()).collect();
    std::fs::write(folder.join(case["expected"].as_str().unwrap()), bytes).unwrap();
}

fn worst(report: &Value, figure: &str) -> f64 {
    let runs = report["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 3, "prefill, token by token, in chunks");
    runs.iter().map(|r| r[figure].as_f64().unwrap()).fold(0.0, f64::max)
}

/// WebAssembly takes activations as they are, whatever accuracy a matrix asks for.
#[test]
fn blocks_are_computed_in_floats() {
    let web = OnnxOptions { logits_to_keep: true, chunk: 1 << 21, ..OnnxOptions::default() };
    let wide = OnnxOptions { conv_state: ConvState::Wide, ..web.clone() };
    for (name, model, recipe, options) in [
        ("web-fp32", "lfm2-tiny", "onnx-fp32", &web),
        ("web-q4", "lfm2-tiny", "onnx-q4", &web),
        ("web-q4-wide", "lfm2-tiny", "onnx-q4", &wide),
        ("web-q8", "lfm2-tiny", "onnx-q8", &web),
        ("web-moe-fp32", "lfm2-tiny-moe", "onnx-fp32", &web),
        ("web-moe-q4", "lfm2-tiny-moe", "onnx-q4", &web),
        ("web-moe-q8", "lfm2-tiny-moe", "onnx-q8", &web),
    ] {
        let case = Case { options: options.clone(), ..Case::new(name, model, recipe) };
        let Some(report) = run(&case, Activation::F32) else { return };
        assert!(worst(&report, "worst") <= crate::EXACT, "{name}: {}", report["runs"]);
    }
}

/// What WebAssembly is fast with: rows of eight bits, activations of eight bits by the graph itself.
#[test]
fn rows_are_computed_in_integers() {
    for (name, model) in [("web-quantized", "lfm2-tiny"), ("web-moe-quantized", "lfm2-tiny-moe")] {
        let case = Case::new(name, model, "onnx-quantized");
        let Some(report) = run(&case, Activation::Runtime) else { return };
        assert!(worst(&report, "kld") < 0.002, "{name}: {}", report["runs"]);
    }
}

/// Halves, as WebGPU takes them; here their values are widened.
#[test]
fn halves_load() {
    let options = OnnxOptions { float: Float::F16, logits_to_keep: true, ..OnnxOptions::default() };
    for (name, model, recipe) in [
        ("web-fp16", "lfm2-tiny", "onnx-fp16"),
        ("web-q4f16", "lfm2-tiny", "onnx-q4f16"),
        ("web-moe-q4f16", "lfm2-tiny-moe", "onnx-q4f16"),
    ] {
        let case = Case { options: options.clone(), ..Case::new(name, model, recipe) };
        let Some(report) = run(&case, Activation::F32) else { return };
        assert!(worst(&report, "kld") < 1e-3, "{name}: {}", report["runs"]);
    }
}
