//! Each operator alone, against LiteRT's own interpreter: with XNNPACK, and with its builtin kernels where both
//! compute the same. `tests/python/operators.py` builds the models.

#[path = "support/mod.rs"]
#[allow(dead_code, reason = "one helper of several is used here")]
mod support;

use lfmq_core::Activation;
use lfmq_kernels::Kernels;
use lfmq_tflite_run::{Array, Module, Options};
use serde_json::Value;
use std::collections::BTreeSet;
use std::process::Command;

fn array(spelled: &Value) -> Array {
    let values = spelled["values"].as_array().unwrap();
    match spelled["kind"].as_str().unwrap() {
        "float32" => Array::F32(values.iter().map(|v| v.as_f64().unwrap() as f32).collect()),
        "bool" => Array::Bool(values.iter().map(|v| u8::from(v.as_bool().unwrap())).collect()),
        _ => Array::I32(values.iter().map(|v| v.as_i64().unwrap() as i32).collect()),
    }
}

/// Integers are equal; floats differ by rounding, more where many are summed.
fn same(name: &str, found: &Array, expected: &Array) {
    let (Array::F32(found), Array::F32(expected)) = (found, expected) else {
        assert_eq!(found, expected, "{name}");
        return;
    };
    assert_eq!(found.len(), expected.len(), "{name}");
    let size = expected.iter().fold(1.0_f32, |m, v| m.max(v.abs()));
    for (i, (f, e)) in found.iter().zip(expected).enumerate() {
        assert!((f - e).abs() <= 3e-6 * size || f == e, "{name}: element {i} is {f}, expected {e}");
    }
}

#[test]
fn each_operator_gives_what_the_runtime_gives() {
    let Some(python) = support::litert("each operator") else { return };
    let folder = tempfile::tempdir().unwrap();
    lfmq_testkit::python::run(Command::new(python).arg(support::script("operators.py")).arg(folder.path()));
    let cases: Value = serde_json::from_slice(&std::fs::read(folder.path().join("cases.json")).unwrap()).unwrap();
    let cases = cases.as_object().unwrap();
    let operators: BTreeSet<&str> = cases.keys().map(|name| name.split('-').next().unwrap()).collect();
    assert!(cases.len() > 140 && operators.len() > 45, "{} cases of {operators:?}", cases.len());
    for kernels in [Kernels::by_name("scalar").unwrap(), Kernels::best()] {
        for (name, case) in cases {
            let options = Options { activation: Activation::Runtime, kernels };
            let path = folder.path().join(format!("{name}.tflite"));
            let module = Module::open(&path, options).unwrap_or_else(|e| panic!("{name}: {e}"));
            let inputs: Vec<(&str, Array)> =
                case["inputs"].as_object().unwrap().iter().map(|(k, v)| (k.as_str(), array(v))).collect();
            let outputs = module.call("main", &inputs).unwrap_or_else(|e| panic!("{name}: {e}"));
            for (flavour, expected) in case["outputs"].as_object().unwrap() {
                assert_eq!(outputs.len(), expected.as_object().unwrap().len(), "{name}");
                for (output, found) in &outputs {
                    same(
                        &format!("{name} on {} and {flavour}, {output}", kernels.name),
                        found,
                        &array(&expected[output]),
                    );
                }
            }
        }
    }
}
