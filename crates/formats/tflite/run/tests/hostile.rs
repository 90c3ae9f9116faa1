//! Files that want to do harm: every one is refused by name, or runs; none panics.

#[path = "support/flat.rs"]
mod flat;
#[path = "support/mod.rs"]
#[allow(dead_code, reason = "some helpers of several are used here")]
mod support;

use flat::{Field as F, Table, file};
use lfmq_checkpoint::Checkpoint;
use lfmq_core::{Activation, Executor, Want};
use lfmq_kernels::Kernels;
use lfmq_testkit::fixtures;
use lfmq_tflite_export::{Files, TfliteOptions};
use lfmq_tflite_run::{Options, RunError, Tflite};
use proptest::prelude::*;
use std::path::Path;
use support::Rounded;

fn open(folder: &Path, bytes: &[u8]) -> Result<Tflite, RunError> {
    let path = folder.join("model.tflite");
    std::fs::write(&path, bytes).unwrap();
    Tflite::open(&path, Options { activation: Activation::Runtime, kernels: Kernels::best() })
}

/// The whole of it: open, and run if it opens.
fn survive(folder: &Path, bytes: &[u8]) -> Result<Vec<f32>, String> {
    let tflite = open(folder, bytes).map_err(|e| e.to_string())?;
    let mut session = tflite.session(16).map_err(|e| e.to_string())?;
    let mut out = Vec::new();
    for tokens in [&[1_u32, 2, 3, 4, 5, 6, 7, 8, 9][..], &[4]] {
        session.feed(tokens, Want::Last, &mut out).map_err(|e| e.to_string())?;
    }
    Ok(out)
}

const F32: u8 = 0;
const I32: u8 = 2;
const I8: u8 = 9;
const I4: u8 = 17;

fn tensor(name: &'static str, kind: u8, shape: &[i32], buffer: i32) -> Table {
    vec![(0, F::Ints(shape.to_vec())), (1, F::U8(kind)), (2, F::I32(buffer)), (3, F::Text(name))]
}

fn with(mut table: Table, more: Table) -> Table {
    table.extend(more);
    table
}

fn node(code: i32, inputs: &[i32], outputs: &[i32]) -> Table {
    vec![(0, F::I32(code)), (1, F::Ints(inputs.to_vec())), (2, F::Ints(outputs.to_vec()))]
}

fn options(node: Table, kind: u8, table: Table) -> Table {
    with(node, vec![(3, F::U8(kind)), (4, F::Table(table))])
}

fn names(all: &[(&'static str, i32)]) -> F {
    F::Tables(all.iter().map(|(name, i)| vec![(0, F::Text(name)), (1, F::I32(*i))]).collect())
}

/// The parts of a model that adds token and position, as floats, and calls the sum logits of a vocabulary of one.
struct Parts {
    codes: Vec<i32>,
    tensors: Vec<Table>,
    nodes: Vec<Table>,
    graphs: Vec<Table>,
    buffers: Vec<Table>,
    inputs: Vec<(&'static str, i32)>,
    outputs: Vec<(&'static str, i32)>,
    tail: Vec<u8>,
}

const CAST: i32 = 53;
const ADD: i32 = 0;

impl Parts {
    fn new() -> Self {
        Self {
            codes: vec![CAST, ADD],
            tensors: vec![
                tensor("tokens", I32, &[1, 1], 0),
                tensor("input_pos", I32, &[1], 0),
                tensor("mask", F32, &[1, 1, 1, 16], 0),
                tensor("a", F32, &[1, 1], 0),
                tensor("b", F32, &[1], 0),
                tensor("logits", F32, &[1, 1], 0),
            ],
            nodes: vec![node(0, &[0], &[3]), node(0, &[1], &[4]), node(1, &[3, 4], &[5])],
            graphs: vec![],
            buffers: vec![vec![], vec![(0, F::Bytes(vec![0; 64]))]],
            inputs: vec![("tokens", 0), ("input_pos", 1), ("mask", 2)],
            outputs: vec![("logits", 5)],
            tail: vec![],
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let codes = self.codes.iter().map(|c| vec![(0, F::U8((*c).min(127) as u8)), (3, F::I32(*c))]);
        let main = vec![
            (0, F::Tables(self.tensors.clone())),
            (1, F::Ints(self.inputs.iter().map(|(_, i)| *i).collect())),
            (2, F::Ints(self.outputs.iter().map(|(_, i)| *i).collect())),
            (3, F::Tables(self.nodes.clone())),
            (4, F::Text("main")),
        ];
        let graphs = std::iter::once(main).chain(self.graphs.clone()).collect();
        let signature = vec![(0, names(&self.inputs)), (1, names(&self.outputs)), (2, F::Text("decode"))];
        let root = vec![
            (0, F::I32(3)),
            (1, F::Tables(codes.collect())),
            (2, F::Tables(graphs)),
            (4, F::Tables(self.buffers.clone())),
            (7, F::Tables(vec![signature])),
        ];
        [file(&root), self.tail.clone()].concat()
    }
}

/// The model with another value in the place of `a`: a weight of this tensor, looked up or added.
fn weight(tensor: Table, buffer: Table) -> Vec<u8> {
    let mut parts = Parts::new();
    parts.tensors.push(tensor);
    parts.buffers.push(buffer);
    parts.nodes[2] = node(1, &[3, 6], &[5]);
    parts.bytes()
}

fn changed(change: impl FnOnce(&mut Parts)) -> Vec<u8> {
    let mut parts = Parts::new();
    change(&mut parts);
    parts.bytes()
}

fn cut(mut bytes: Vec<u8>, at: usize, value: u32) -> Vec<u8> {
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
    bytes
}

#[test]
fn the_model_to_be_spoilt_runs() {
    let folder = tempfile::tempdir().unwrap();
    let model = open(folder.path(), &Parts::new().bytes()).unwrap_or_else(|e| panic!("{e}"));
    let error = model.session(16).unwrap().feed(&[3], Want::Last, &mut Vec::new()).unwrap_err();
    assert!(error.to_string().contains("vocabulary of 1"), "{error}");
    let mut out = Vec::new();
    model.session(16).unwrap().feed(&[0, 0, 0], Want::All, &mut out).unwrap();
    assert_eq!(out, [0.0, 1.0, 2.0]);
}

#[test]
fn harmful_files_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let plain = Parts::new().bytes();
    let affine = |scale: f32, count: usize, zeros: usize, axis: i32| {
        let scales = scale.to_le_bytes().repeat(count);
        let zeros = vec![0; 8 * zeros];
        // Vectors of wider elements: their lengths count elements.
        let of = |bytes: Vec<u8>, size: usize| {
            F::Ints(bytes.as_chunks::<4>().0.iter().map(|b| i32::from_le_bytes(*b)).take(bytes.len() / size).collect())
        };
        vec![(2, of(scales, 4)), (3, of(zeros, 8)), (6, F::I32(axis))]
    };
    let int8 = |quantization: Table| {
        let mut parts = Parts::new();
        parts.codes.push(7);
        parts.tensors.push(with(tensor("w", I8, &[4, 1], 2), vec![(4, F::Table(quantization))]));
        parts.buffers.push(vec![(0, F::Bytes(vec![0; 4]))]);
        parts.nodes[0] = node(2, &[1, 6], &[3]);
        parts.bytes()
    };
    let blocks = |scales: i32, block: i32| {
        let details = vec![(0, F::I32(scales)), (1, F::I32(-1)), (2, F::I32(block))];
        let mut parts = Parts::new();
        parts.codes.push(7);
        let quantization = vec![(4, F::U8(2)), (5, F::Table(details))];
        parts.tensors.push(with(tensor("w", I4, &[1, 64], 1), vec![(4, F::Table(quantization))]));
        parts.buffers[1] = vec![(0, F::Bytes(vec![0; 32]))];
        parts.tensors.push(tensor("scales", 1, &[3], 2));
        parts.buffers.push(vec![(0, F::Bytes(vec![0, 60, 0, 60, 0, 60]))]);
        parts.nodes[0] = node(2, &[1, 6], &[3]);
        parts.bytes()
    };
    let behind = |offset: u64, size: u64| {
        let mut parts = Parts::new();
        parts.buffers.push(vec![(1, F::U64(offset)), (2, F::U64(size))]);
        parts.tail = vec![0; 64];
        parts.bytes()
    };
    let called = |then: i32, other: i32, graphs: Vec<Table>| {
        changed(|p| {
            p.codes.extend([118, 61]);
            p.tensors.push(tensor("on", 6, &[1], 0));
            p.nodes[2] = node(3, &[4, 4], &[6]);
            let branch = options(node(2, &[6, 3], &[5]), 92, vec![(0, F::I32(then)), (1, F::I32(other))]);
            p.nodes.push(branch);
            p.graphs = graphs;
        })
    };
    let inner = |name: &'static str, nodes: Vec<Table>| -> Table {
        let tensors = vec![tensor("x", F32, &[1, 1], 0), tensor("y", F32, &[1, 1], 0), tensor("c", 6, &[1], 0)];
        vec![
            (0, F::Tables(tensors)),
            (1, F::Ints(vec![0])),
            (2, F::Ints(vec![0])),
            (3, F::Tables(nodes)),
            (4, F::Text(name)),
        ]
    };
    let itself = options(node(2, &[2, 0], &[1]), 92, vec![(0, F::I32(1)), (1, F::I32(1))]);
    let composite = |index: i32| {
        let options = vec![(0, F::Text("x")), (1, F::I32(index))];
        changed(|p| {
            p.codes.push(206);
            let node = with(node(2, &[3], &[5]), vec![(11, F::U8(21)), (12, F::Table(options.clone()))]);
            p.nodes[2] = node.clone();
            p.graphs = vec![inner("loop", vec![with(self::node(2, &[0], &[1]), node[3..].to_vec())])];
        })
    };
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (vec![], "not a TFLite file"),
        (b"\0\0\0\0TFL3".to_vec(), "leads out of the file"),
        (cut(plain.clone(), 0, 0), "leads out of the file"),
        (cut(plain.clone(), 0, u32::MAX), "leads out of the file"),
        (b"LITERTLM".to_vec(), "the header is cut"),
        ([b"LITERTLM".to_vec(), vec![9; 24]].concat(), "container version"),
        ([b"LITERTLM\x01\0\0\0".to_vec(), vec![0xff; 20]].concat(), "a header that ends"),
        (file(&vec![(0, F::I32(2))]), "schema version 2"),
        (file(&vec![(0, F::I32(3)), (9, F::Ints(vec![1]))]), "external buffers"),
        (changed(|p| p.buffers[0] = vec![(0, F::Bytes(vec![1]))]), "buffer 0 is not empty"),
        (behind(u64::MAX, 1), "the file has"),
        (behind(u64::MAX, u64::MAX), "the file has"),
        (behind(1 << 40, 64), "the file has"),
        (behind(8, u64::MAX), "the file has"),
        (weight(tensor("w", F32, &[1, 1], 9), vec![]), "buffer 9 of 3"),
        (weight(tensor("w", F32, &[1, 2], 2), vec![(0, F::Bytes(vec![0; 4]))]), "expected 8"),
        (weight(tensor("w", F32, &[1 << 30, 1 << 30], 2), vec![(0, F::Bytes(vec![0; 4]))]), "too large"),
        (weight(tensor("w", F32, &[i32::MAX, i32::MAX, 0], 2), vec![]), "too large"),
        (weight(tensor("w", F32, &[-4], 2), vec![(0, F::Bytes(vec![0; 4]))]), "open extents"),
        (weight(tensor("w", 13, &[1], 2), vec![(0, F::Bytes(vec![0; 4]))]), "element type 13"),
        (weight(tensor("w", F32, &[1; 20], 2), vec![]), "20 dimensions"),
        (int8(affine(0.0, 1, 1, 0)), "a scale of 0"),
        (int8(affine(-1.0, 1, 1, 0)), "a scale of -1"),
        (int8(affine(f32::INFINITY, 1, 1, 0)), "a scale of inf"),
        (int8(affine(f32::NAN, 1, 1, 0)), "a scale of NaN"),
        (int8(affine(1e-40, 1, 1, 0)), "the runtime refuses"),
        (int8(affine(1.0, 3, 3, 0)), "3 scales along dimension 0"),
        (int8(affine(1.0, 4, 4, 7)), "4 scales along dimension 7"),
        (int8(vec![(4, F::U8(2))]), "details that are not there"),
        (int8(vec![(4, F::U8(9)), (5, F::Table(vec![]))]), "kind 9 is not supported"),
        (blocks(99, 32), "scales in tensor 99"),
        (blocks(-1, 32), "scales in tensor -1"),
        (blocks(6, 32), "scales in tensor"),
        (blocks(7, 32), "3 F16 as scales of 2 blocks"),
        (blocks(7, 0), "blocks of 0"),
        (blocks(7, 48), "blocks of 48"),
        (changed(|p| p.nodes[2] = node(7, &[3, 4], &[5])), "operator code 7"),
        (changed(|p| p.codes[1] = 999), "no operator number 999"),
        (changed(|p| p.codes[1] = 32), "node `logits`: no operator"),
        (changed(|p| p.nodes[2] = node(1, &[3, 99], &[5])), "tensor 99 of 6"),
        (changed(|p| p.nodes[2] = node(1, &[3, -7], &[5])), "tensor -7 of 6"),
        (changed(|p| p.nodes[2] = node(1, &[3], &[5])), "input 1 is missing"),
        (changed(|p| p.nodes[2] = node(1, &[3, -1], &[5])), "input 1 is missing"),
        (changed(|p| p.nodes[2] = node(1, &[3, 5], &[5])), "which nothing before it gives"),
        (changed(|p| p.nodes[2] = node(1, &[3, 4], &[3])), "given twice"),
        (changed(|p| p.nodes[2] = node(1, &[3, 4], &[50])), "output tensor 50"),
        (changed(|p| p.nodes[2] = node(1, &[3, 4], &[5, 5])), "2 outputs, expected 1"),
        (changed(|p| drop(p.nodes.pop())), "nothing gives this output"),
        (changed(|p| p.outputs[0].1 = 77), "tell how many"),
        (changed(|p| p.inputs[1].1 = 77), "tensor 77"),
        (changed(|p| p.inputs[1].1 = 0), "of shapes"),
        (changed(|p| p.inputs[0].0 = "words"), "no signature turns one of `tokens`"),
        (changed(|p| p.outputs[0].0 = "answer"), "there are: decode"),
        (changed(|p| p.inputs.push(("more", 3))), "nobody gives the input `more`"),
        (changed(|p| p.tensors[2] = tensor("mask", F32, &[1, 16], 0)), "of shapes"),
        (changed(|p| p.tensors[1] = tensor("input_pos", I32, &[1 << 20], 0)), "of shapes"),
        (called(1, 9, vec![inner("then", vec![])]), "subgraph 9 of 2"),
        (called(-1, 1, vec![inner("then", vec![])]), "subgraph -1"),
        (called(1, 1, vec![inner("then", vec![itself])]), ""),
        (called(0, 0, vec![]), "inputs for `main`"),
        (composite(1), "nested deeper"),
        (composite(40), "subgraph 40"),
    ];
    for (bytes, why) in cases {
        let error = survive(folder.path(), &bytes).expect_err(why);
        assert!(error.contains(why), "`{error}` does not say `{why}`");
    }
}

/// A file whose tables name each other over and over: what it would unfold to is bounded.
#[test]
fn a_small_file_cannot_unfold_without_end() {
    let folder = tempfile::tempdir().unwrap();
    // Thirty composites, each of two of the next.
    let level = |i: i32| -> Table {
        let tensors = (0..3).map(|_| tensor("x", F32, &[1, 1], 0)).collect();
        let next = vec![(0, F::Text("x")), (1, F::I32(i + 1))];
        let call =
            |from: i32, to: i32| with(node(2, &[from], &[to]), vec![(11, F::U8(21)), (12, F::Table(next.clone()))]);
        let nodes = if i == 30 { vec![node(1, &[0, 0], &[2])] } else { vec![call(0, 1), call(1, 2)] };
        vec![(0, F::Tables(tensors)), (1, F::Ints(vec![0])), (2, F::Ints(vec![2])), (3, F::Tables(nodes))]
    };
    let bytes = changed(|p| {
        p.codes.push(206);
        let first = vec![(0, F::Text("x")), (1, F::I32(1))];
        p.nodes[2] = with(node(2, &[3], &[5]), vec![(11, F::U8(21)), (12, F::Table(first))]);
        p.graphs = (1..31).map(level).collect();
    });
    let error = survive(folder.path(), &bytes).unwrap_err();
    assert!(error.contains("nodes"), "{error}");
}

/// Every operator our exporter uses, with the weights inside the flatbuffer and behind it.
fn exported(model: &str, recipe: &str, inline: bool, folder: &Path) -> Vec<u8> {
    let checkpoint = Checkpoint::open(&fixtures().join(model)).unwrap();
    let options = TfliteOptions { context: Some(16), prefill: vec![4], files: Files::Tflite, inline_weights: inline };
    Rounded::new(&checkpoint, recipe).export(options, folder);
    std::fs::read(folder.join("x.tflite")).unwrap()
}

#[test]
fn a_cut_file_is_refused_wherever_it_is_cut() {
    let folder = tempfile::tempdir().unwrap();
    let whole = exported("lfm2-tiny", "tflite-q4", true, folder.path());
    assert!(survive(folder.path(), &whole).is_ok_and(|logits| !logits.is_empty()));
    // The last bytes only keep kernels from reading past the end.
    for length in (0..whole.len() - 64).step_by(whole.len() / 61) {
        assert!(open(folder.path(), &whole[..length]).is_err(), "{length} of {}", whole.len());
    }
}

#[test]
fn changed_bytes_never_panic() {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(40);
    for (model, recipe) in [("lfm2-tiny", "tflite-q4"), ("lfm2-tiny-moe", "tflite-q8"), ("lfm2-tiny", "tflite-fp16")] {
        let folder = tempfile::tempdir().unwrap();
        let whole = exported(model, recipe, false, folder.path());
        // Weights may be anything: what is changed are tables, which lie in front.
        let tables = whole.len().min(200_000);
        let changes = prop::collection::vec((0..tables, any::<u8>()), 1..4);
        let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig { cases, ..ProptestConfig::default() });
        let run = runner.run(&changes, |changes| {
            let mut bytes = whole.clone();
            for (at, byte) in changes {
                bytes[at] = byte;
            }
            // Refused or not: what counts is that it comes back.
            let _ = survive(folder.path(), &bytes);
            Ok(())
        });
        run.unwrap();
    }
}
