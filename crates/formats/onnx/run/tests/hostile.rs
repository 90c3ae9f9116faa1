//! Files that want to do harm: every one is refused by name, or runs; none panics.

#[path = "support/mod.rs"]
mod support;

use lfmq_checkpoint::Checkpoint;
use lfmq_core::{Activation, Executor, Want};
use lfmq_kernels::Kernels;
use lfmq_onnx_export::OnnxOptions;
use lfmq_onnx_run::{Onnx, Options, RunError};
use lfmq_testkit::golden;
use proptest::prelude::*;
use std::path::Path;

// The fields of onnx.proto, spelled as bytes.

fn varint(mut n: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while n > 127 {
        out.push(n as u8 | 128);
        n >>= 7;
    }
    out.push(n as u8);
    out
}

fn int(field: u64, n: i64) -> Vec<u8> {
    [varint(field << 3), varint(n as u64)].concat()
}

fn block(field: u64, bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let bytes = bytes.as_ref();
    [varint(field << 3 | 2), varint(bytes.len() as u64), bytes.to_vec()].concat()
}

fn tensor(name: &str, kind: i64, dims: &[i64], rest: Vec<u8>) -> Vec<u8> {
    let dims: Vec<u8> = dims.iter().flat_map(|d| int(1, *d)).collect();
    block(5, [dims, int(2, kind), block(8, name), rest].concat())
}

fn external(location: &str, offset: &str, length: &str) -> Vec<u8> {
    let entry = |key: &str, value: &str| block(13, [block(1, key), block(2, value)].concat());
    [entry("location", location), entry("offset", offset), entry("length", length), int(14, 1)].concat()
}

fn node(op: &str, inputs: &[&str], output: &str) -> Vec<u8> {
    let inputs: Vec<u8> = inputs.iter().flat_map(|i| block(1, i)).collect();
    block(1, [inputs, block(2, output), block(3, format!("the {op}")), block(4, op)].concat())
}

/// An input or output `[1, 4]`.
fn port(field: u64, name: &str, kind: i64) -> Vec<u8> {
    let dims = block(2, [block(1, int(1, 1)), block(1, int(1, 4))].concat());
    block(field, [block(1, name), block(2, block(1, [int(1, kind), dims].concat()))].concat())
}

/// A model of `parts` that turns `input_ids` into `logits` when they say how.
fn model(parts: &[Vec<u8>]) -> Vec<u8> {
    let graph = [parts.concat(), port(11, "input_ids", 7), port(12, "logits", 1)].concat();
    [int(1, 10), block(8, [block(1, ""), int(2, 21)].concat()), block(7, graph)].concat()
}

fn raw(bytes: &[u8]) -> Vec<u8> {
    block(9, bytes)
}

fn open(folder: &Path, bytes: &[u8]) -> Result<Onnx, RunError> {
    let path = folder.join("model.onnx");
    std::fs::write(&path, bytes).unwrap();
    Onnx::open(&path, Options { activation: Activation::Runtime, kernels: Kernels::best() })
}

/// The whole of it: open, and run if it opens.
fn survive(folder: &Path, bytes: &[u8]) -> Result<Vec<f32>, String> {
    let onnx = open(folder, bytes).map_err(|e| e.to_string())?;
    let mut session = onnx.session(8).map_err(|e| e.to_string())?;
    let mut out = Vec::new();
    for tokens in [&[1_u32, 2, 3][..], &[4]] {
        session.feed(tokens, Want::All, &mut out).map_err(|e| e.to_string())?;
    }
    Ok(out)
}

#[test]
fn harmful_files_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("data"), [0; 64]).unwrap();
    let outside = folder.path().parent().unwrap().join("lfmq-outside");
    std::fs::write(&outside, [0; 16]).unwrap();
    let four = |rest| model(&[tensor("w", 1, &[4], rest), node("Cast", &["input_ids"], "logits")]);
    let computed = |op: &str, inputs: &[&str]| {
        let big = tensor("big", 7, &[3], raw(&[1_i64 << 20, 1 << 20, 1 << 20].map(i64::to_le_bytes).concat()));
        let ends = [("start", 0), ("end", i64::MAX), ("step", 1)];
        let ends = ends.map(|(name, v)| tensor(name, 7, &[], raw(&v.to_le_bytes()))).concat();
        model(&[big, ends, node(op, inputs, "huge"), node("Add", &["huge", "huge"], "logits")])
    };
    let mut nested = Vec::new();
    for _ in 0..40 {
        let attribute = [block(1, "body"), int(20, 5), block(6, &nested)].concat();
        nested = block(1, [block(4, "If"), block(5, attribute)].concat());
    }
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (vec![], "0 graphs"),
        (b"not a model at all".to_vec(), ""),
        ([model(&[]), block(7, [])].concat(), "2 graphs"),
        ([int(1, 99), block(7, [])].concat(), "IR version 99"),
        (block(7, nested), "nested deeper"),
        (four(external("../lfmq-outside", "0", "16")), "not a path below"),
        (four(external("a/../../lfmq-outside", "0", "16")), "not a path below"),
        (four(external(outside.to_str().unwrap(), "0", "16")), "not a path below"),
        (four(external("..\\lfmq-outside", "0", "16")), "not a path below"),
        (four(external("", "0", "16")), "not a path below"),
        (four(external(".", "0", "16")), "not a path below"),
        (four(external("nothing", "0", "16")), "cannot open"),
        (four(external("data", "60", "16")), "which has 64"),
        (four(external("data", "18446744073709551615", "16")), "which has 64"),
        (four(external("data", "-1", "16")), "number of bytes"),
        (four(external("data", "0", "12")), "expected 16"),
        (four(raw(&[0; 15])), "expected 16"),
        (four(vec![]), "no values"),
        (model(&[tensor("w", 1, &[1 << 40, 1 << 40], raw(&[0; 16]))]), "too large"),
        (model(&[tensor("w", 1, &[i64::MAX, i64::MAX, 0], raw(&[]))]), "too large"),
        (model(&[tensor("w", 1, &[-4], raw(&[0; 16]))]), "extent -4"),
        (model(&[tensor("w", 8, &[4], raw(&[0; 16]))]), "element type 8"),
        (model(&[tensor("w", 1, &[1; 40], raw(&[0; 4]))]), "40 dimensions"),
        (model(&[tensor("", 1, &[4], raw(&[0; 16]))]), "without a name"),
        (model(&[node("Spell", &["input_ids"], "logits")]), "node `the Spell`: no operator Spell"),
        (model(&[node("Cast", &["nowhere"], "logits")]), "reads `nowhere`"),
        (model(&[]), "nothing gives the output `logits`"),
        (model(&[node("Neg", &["input_ids"], "input_ids")]), "given twice"),
        (computed("ConstantOfShape", &["big"]), "too large"),
        (computed("Expand", &["step", "big"]), "too large"),
        (computed("Range", &["start", "end", "step"]), "too large"),
        (model(&[port(11, "past.0.key", 1), node("Identity", &["input_ids"], "logits")]), "no output to feed"),
    ];
    for (bytes, why) in cases {
        let error = survive(folder.path(), &bytes).expect_err(why);
        assert!(error.contains(why), "`{error}` does not say `{why}`");
    }
    std::fs::remove_file(outside).unwrap();
}

/// Every operator our exporter uses, by a name of `fixtures/golden/transformers` and a recipe.
const BASES: [(&str, &str); 3] =
    [("lfm2-tiny-moe", "onnx-q4"), ("moe-published", "onnx-quantized"), ("dense-head-dim-32", "onnx-fp16")];

fn exported((name, recipe): (&str, &str), folder: &Path) -> Vec<u8> {
    let checkpoint = Checkpoint::open(&golden::load(name).unwrap().model).unwrap();
    support::Rounded::new(&checkpoint, recipe).export(OnnxOptions::default(), folder);
    std::fs::read(folder.join("model.onnx")).unwrap()
}

#[test]
fn a_cut_file_is_refused_wherever_it_is_cut() {
    let folder = tempfile::tempdir().unwrap();
    let whole = exported(BASES[1], folder.path());
    assert!(survive(folder.path(), &whole).is_ok_and(|logits| !logits.is_empty()));
    for length in (0..whole.len()).step_by(whole.len() / 97) {
        assert!(open(folder.path(), &whole[..length]).is_err(), "{length} of {}", whole.len());
    }
}

#[test]
fn changed_bytes_never_panic() {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(60);
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4);
    for base in BASES {
        let folder = tempfile::tempdir().unwrap();
        let whole = exported(base, folder.path());
        let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig { cases, ..ProptestConfig::default() });
        let run = runner.run(&changes, |changes| {
            let mut bytes = whole.clone();
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            // Refused or not: what counts is that it comes back.
            let _ = survive(folder.path(), &bytes);
            Ok(())
        });
        run.unwrap();
    }
}
