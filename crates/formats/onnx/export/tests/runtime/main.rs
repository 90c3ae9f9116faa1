//! Files we write, run by onnxruntime and checked by onnx: a reader and a writer of ours could agree on a mistake.
//!
//! Needs Python with the packages of `tests/python/requirements.txt`: `LFMQ_ONNX_PYTHON` names its executable; with
//! `CI=true` an environment is made under the target folder. Likewise `requirements-oldest.txt` and
//! `LFMQ_ONNX_PYTHON_OLDEST`.
#![allow(clippy::print_stderr, reason = "a test that is skipped says so")]

mod emit;
mod python;
mod web;
mod witness;

use emit::Case;
use lfmq_onnx_export::{Accuracy, ConvForm, ConvState, Float, MinOrt, MoeForm, OnnxOptions};
use lfmq_testkit::python::Environment;
use serde_json::Value;

/// Largest difference of logits over their standard deviation, for arithmetic in binary32.
const EXACT: f64 = 1e-4;

fn run(case: &Case) -> Option<Value> {
    run_in(&python::NEWEST, case)
}

fn run_in(environment: &Environment, case: &Case) -> Option<Value> {
    let python = python::find(environment, case.name)?;
    let report = python::check(&python, &case.write());
    eprintln!("{}: {} nodes, {}", case.name, report["nodes"], report["runs"]);
    Some(report)
}

fn worst(report: &Value, figure: &str) -> f64 {
    let runs = report["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 3, "prefill, token by token, in chunks");
    runs.iter().map(|r| r[figure].as_f64().unwrap()).fold(0.0, f64::max)
}

/// All ways of feeding agree with the checkpoint's own forward pass, its weights as the file holds them.
fn exact(case: &Case) {
    exact_in(&python::NEWEST, case);
}

fn exact_in(environment: &Environment, case: &Case) {
    let Some(report) = run_in(environment, case) else { return };
    assert!(worst(&report, "worst") <= EXACT, "{}: {}", case.name, report["runs"]);
}

#[test]
fn dense_f32() {
    exact(&Case::new("dense-fp32", "lfm2-tiny", "onnx-fp32"));
}

#[test]
fn mixture_f32() {
    exact(&Case::new("moe-fp32", "lfm2-tiny-moe", "onnx-fp32"));
}

/// Codes, scales and zeros lie where the operators look for them: with float activations nothing else can differ.
#[test]
fn quantized_weights_with_float_activations() {
    for (name, model, recipe) in [
        ("dense-q4", "lfm2-tiny", "onnx-q4"),
        ("dense-q8", "lfm2-tiny", "onnx-q8"),
        ("dense-phone", "lfm2-tiny", "phone-4bit"),
        ("moe-q4", "lfm2-tiny-moe", "onnx-q4"),
        ("moe-q8", "lfm2-tiny-moe", "onnx-q8"),
    ] {
        let mut case = Case::new(name, model, recipe);
        case.accuracy = Some(0);
        exact(&case);
    }
}

/// As the files are, with int8 activations.
#[test]
fn quantized_weights_with_int8_activations() {
    for (name, model, recipe) in [
        ("dense-q4-int8", "lfm2-tiny", "onnx-q4"),
        ("dense-q8-int8", "lfm2-tiny", "onnx-q8"),
        ("dense-quantized", "lfm2-tiny", "onnx-quantized"),
        ("moe-q4-int8", "lfm2-tiny-moe", "onnx-q4"),
        ("moe-quantized", "lfm2-tiny-moe", "onnx-quantized"),
    ] {
        let Some(report) = run(&Case::new(name, model, recipe)) else { return };
        assert!(worst(&report, "kld") < 0.01, "{name}: {}", report["runs"]);
    }
}

#[test]
fn the_accuracy_asked_for_is_that_of_4_bit_matrices() {
    let mut case = Case::new("dense-q4-float", "lfm2-tiny", "onnx-q4");
    case.options.accuracy = Accuracy::Float;
    let Some(report) = run(&case) else { return };
    // The head's 8 bits still go by int8.
    let kld = worst(&report, "kld");
    assert!(kld > 0.0 && kld < 1e-3, "{}", report["runs"]);
}

#[test]
fn f16() {
    for (name, model, recipe) in [
        ("dense-fp16", "lfm2-tiny", "onnx-fp16"),
        ("dense-q4f16", "lfm2-tiny", "onnx-q4f16"),
        ("moe-fp16", "lfm2-tiny-moe", "onnx-fp16"),
        ("moe-q4f16", "lfm2-tiny-moe", "onnx-q4f16"),
    ] {
        let options = OnnxOptions { float: Float::F16, ..OnnxOptions::default() };
        let mut case = Case::new(name, model, recipe);
        (case.options, case.accuracy) = (options, Some(0));
        let Some(report) = run(&case) else { return };
        assert!(worst(&report, "kld") < 1e-3, "{name}: {}", report["runs"]);
    }
}

/// Every other way to spell the same model.
#[test]
fn forms() {
    let portable = OnnxOptions::default();
    let wide = OnnxOptions { conv_state: ConvState::Wide, ..portable.clone() };
    let fused = OnnxOptions { conv: ConvForm::Fused, min_ort: MinOrt::V1_25, ..portable.clone() };
    let web =
        OnnxOptions { logits_to_keep: true, chunk: 1 << 21, name: Some("model_web".to_owned()), ..portable.clone() };
    let qmoe = |min_ort| OnnxOptions { moe: MoeForm::Qmoe, min_ort, ..OnnxOptions::default() };
    for (name, model, recipe, options) in [
        ("dense-wide", "lfm2-tiny", "onnx-q4", &wide),
        ("dense-fused", "lfm2-tiny", "onnx-q4", &fused),
        ("dense-web", "lfm2-tiny", "onnx-q4", &web),
        ("moe-qmoe", "lfm2-tiny-moe", "phone-4bit", &qmoe(MinOrt::V1_25)),
        ("moe-qmoe-newest", "lfm2-tiny-moe", "phone-4bit", &qmoe(MinOrt::V1_31)),
    ] {
        let case = Case { options: options.clone(), accuracy: Some(0), ..Case::new(name, model, recipe) };
        exact(&case);
    }
}

/// Checkpoints with every peculiarity of the family: onnxruntime against the transformers library.
#[test]
fn peculiar_checkpoints() {
    for golden in lfmq_testkit::golden::all().unwrap() {
        let (name, model) = (golden.name.clone().leak(), golden.model.clone());
        exact(&Case { model, golden: Some(golden), ..Case::new(name, "", "onnx-fp32") });
    }
}

/// What is written unless newer operators are allowed.
#[test]
fn the_oldest_runtime_reads_what_it_is_promised() {
    for (name, model, recipe, accuracy) in [
        ("oldest-fp32", "lfm2-tiny", "onnx-fp32", None),
        ("oldest-q4", "lfm2-tiny", "onnx-q4", Some(0)),
        ("oldest-moe-q4", "lfm2-tiny-moe", "onnx-q4", Some(0)),
    ] {
        exact_in(&python::OLDEST, &Case { accuracy, ..Case::new(name, model, recipe) });
    }
}

/// onnxruntime-genai finds its way by our files and says the same tokens.
#[test]
fn genai_continues_alike() {
    let wide = OnnxOptions { conv_state: ConvState::Wide, ..OnnxOptions::default() };
    for (name, model, options) in [
        ("genai-dense", "lfm2-tiny", OnnxOptions::default()),
        ("genai-wide", "lfm2-tiny", wide),
        ("genai-moe", "lfm2-tiny-moe", OnnxOptions::default()),
    ] {
        let case = Case { options, ..Case::new(name, model, "onnx-fp32") };
        let Some(python) = python::find(&python::NEWEST, name) else { return };
        let report = python::report(&python, "genai.py", &case.write());
        let expected = case.continuation();
        assert!(expected.len() > 3);
        assert_eq!(report["tokens"], serde_json::json!(expected), "{name}");
    }
}
