//! Whole models: against transformers' logits, against our own forward pass over the same rounded weights, and against
//! LiteRT's interpreter where activations are rounded too.

#[allow(dead_code, reason = "not every test takes every helper")]
mod support;

use lfmq_checkpoint::Checkpoint;
use lfmq_core::{Activation, ExecError, Executor, Fault, TensorSource, Want};
use lfmq_kernels::Kernels;
use lfmq_reference::Reference;
use lfmq_testkit::{fixtures, golden};
use lfmq_tflite_export::{Files, TfliteOptions};
use lfmq_tflite_run::{Options, Tflite};
use serde_json::json;
use std::process::Command;
use support::{Rounded, deviation, logits, open, small, worst};

const MODELS: [&str; 2] = ["lfm2-tiny", "lfm2-tiny-moe"];
const RECIPES: [&str; 5] = ["tflite-fp32", "tflite-fp16", "tflite-q8", "tflite-q4", "tflite-q4-mixed"];

fn ids(n: u32) -> Vec<u32> {
    (0..n).map(|t| (t * t * 37 + 11 * t + 6) % 2048).collect()
}

#[test]
fn f32_graphs_give_the_logits_of_transformers() {
    let mut seen = 0;
    for case in golden::all().unwrap() {
        let checkpoint = Checkpoint::open(&case.model).unwrap();
        let folder = tempfile::tempdir().unwrap();
        // Not every one of them has words.
        Rounded::new(&checkpoint, "tflite-fp32")
            .export(TfliteOptions { files: Files::Tflite, ..small() }, folder.path());
        let model = open(folder.path(), Activation::F32, Kernels::best());
        let n = case.ids.len();
        let expected = &case.decode;
        let gap = worst(&logits(&model, &case.ids, &[], 0), expected);
        assert!(gap < 1e-4 * deviation(expected).max(1.0), "{}: {gap}", case.name);
        // The last token behind a prompt that went through the larger signatures.
        let last = &expected[expected.len() / n * (n - 1)..];
        let gap = worst(&logits(&model, &case.ids, &[n - 1], n - 1), last);
        assert!(gap < 1e-4 * deviation(expected).max(1.0), "{}: {gap} behind a prompt", case.name);
        seen += 1;
    }
    assert!(seen >= 16, "only {seen} cases");
}

/// With activations in f32 all that the file can differ in is its weights: they are those that were rounded.
#[test]
fn quantized_graphs_give_the_logits_of_their_weights() {
    for (model, recipe) in MODELS.iter().flat_map(|m| RECIPES.map(|r| (m, r))) {
        let checkpoint = Checkpoint::open(&fixtures().join(model)).unwrap();
        let rounded = Rounded::new(&checkpoint, recipe);
        let folder = tempfile::tempdir().unwrap();
        rounded.export(small(), folder.path());
        let tflite = open(folder.path(), Activation::F32, Kernels::best());
        let reference = Reference::open(&rounded, Kernels::best()).unwrap();
        let ids = ids(20);
        let expected = logits(&reference, &ids, &[], 0);
        let vocab = tflite.facts().vocab;
        let gap = worst(&logits(&tflite, &ids, &[7, 1, 1, 3], 12), &expected[12 * vocab..]);
        assert!(gap < 1e-4 * deviation(&expected), "{model} {recipe}: {gap}");
    }
}

/// Weights of experts that do not fit are laid out when tokens come, over and over: nothing else changes. Routers show what
/// they chose, prompts included.
#[test]
fn a_mixture_in_no_room_gives_the_same_bits_and_shows_its_routes() {
    let checkpoint = Checkpoint::open(&fixtures().join("lfm2-tiny-moe")).unwrap();
    for recipe in RECIPES {
        let rounded = Rounded::new(&checkpoint, recipe);
        let folder = tempfile::tempdir().unwrap();
        rounded.export(small(), folder.path());
        let path = folder.path().join("x.tflite");
        let ids = ids(20);
        for activation in [Activation::F32, Activation::Runtime] {
            let options = Options { activation, kernels: Kernels::best() };
            let [ample, none] = [u64::MAX, 0].map(|room| {
                let model = Tflite::open_within(&path, options, room).unwrap_or_else(|e| panic!("{e}"));
                let mut session = model.session(20).unwrap();
                let mut out = Vec::new();
                session.feed(&ids, Want::From(17), &mut out).unwrap();
                (out, session.routes().to_vec())
            });
            assert!(ample == none && ample.0.len() == 3 * 2048, "{recipe} {activation:?}");
            if activation == Activation::F32 {
                let reference = Reference::open(&rounded, Kernels::best()).unwrap();
                let mut session = reference.session(20).unwrap();
                session.feed(&ids, Want::Nothing, &mut Vec::new()).unwrap();
                let (ours, theirs) = (none.1, session.routes());
                assert_eq!((ours.len(), theirs.len()), (3, 3), "{recipe}");
                for (ours, theirs) in ours.iter().zip(theirs) {
                    let same = ours.iter().zip(theirs).filter(|(a, b)| a == b).count();
                    // The last layer of a prompt is not computed. A router at a tie may go the other way once.
                    let shown = ours.iter().filter(|set| !set.is_empty()).count();
                    assert!(ours.len() == 20 && shown >= 3 && same + 1 >= shown, "{recipe}: {same} of {shown}");
                }
            }
        }
    }
}

/// One value on the border between two codes may fall on the other side and change all that follows; then it is the
/// distance of the distributions and the likeliest tokens that tell. Without integers it is each logit.
#[test]
fn rounded_activations_are_those_of_the_runtime() {
    let Some(python) = support::litert("rounded activations") else { return };
    for (model, recipe) in MODELS.iter().flat_map(|m| RECIPES.map(|r| (m, r))) {
        let checkpoint = Checkpoint::open(&fixtures().join(model)).unwrap();
        let folder = tempfile::tempdir().unwrap();
        Rounded::new(&checkpoint, recipe).export(small(), folder.path());
        let (ids, from) = (ids(40), 21);
        let case = folder.path().join("case.json");
        let asked = json!({ "model": "x.tflite", "ids": ids, "prefill": from, "logits": "logits" });
        std::fs::write(&case, asked.to_string()).unwrap();
        lfmq_testkit::python::run(Command::new(&python).arg(support::script("logits.py")).arg(case));
        let theirs = golden::read_f32(&folder.path().join("logits")).unwrap();
        for kernels in [Kernels::by_name("scalar").unwrap(), Kernels::best()] {
            let tflite = open(folder.path(), Activation::Runtime, kernels);
            let ours = logits(&tflite, &ids, &[5, 16], from);
            let (gap, vocab) = (worst(&ours, &theirs) / deviation(&theirs), tflite.facts().vocab);
            let (kld, same) = distance(&theirs, &ours, vocab);
            let exact = matches!(recipe, "tflite-fp32" | "tflite-fp16");
            let told = format!("{model} {recipe} on {}: {gap} of a deviation, {kld} nats, {same} alike", kernels.name);
            assert!(if exact { gap < 1e-4 } else { kld < 2e-3 && same > 0.89 }, "{told}");
        }
    }
}

/// Mean KL divergence in nats, and the share of equal likeliest tokens.
fn distance(truth: &[f32], other: &[f32], vocab: usize) -> (f64, f64) {
    let log = |row: &[f32]| -> Vec<f64> {
        let most = row.iter().fold(f32::MIN, |m, v| m.max(*v));
        let sum: f64 = row.iter().map(|v| f64::from(v - most).exp()).sum();
        row.iter().map(|v| f64::from(v - most) - sum.ln()).collect()
    };
    let top = |row: &[f32]| (0..row.len()).max_by(|a, b| row[*a].total_cmp(&row[*b]));
    let (mut kld, mut same, rows) = (0.0, 0.0, (truth.len() / vocab) as f64);
    for (t, o) in truth.chunks(vocab).zip(other.chunks(vocab)) {
        kld += log(t).iter().zip(log(o)).map(|(t, o)| t.exp() * (t - o)).sum::<f64>() / rows;
        same += f64::from(u8::from(top(t) == top(o))) / rows;
    }
    (kld, same)
}

#[test]
fn neither_pieces_nor_rungs_nor_threads_change_a_bit() {
    for (model, recipe) in MODELS.iter().flat_map(|m| ["tflite-q8", "tflite-q4"].map(|r| (m, r))) {
        let checkpoint = Checkpoint::open(&fixtures().join(model)).unwrap();
        let folder = tempfile::tempdir().unwrap();
        Rounded::new(&checkpoint, recipe).export(small(), folder.path());
        let bits = |kernels, threads, pieces: &[usize]| -> Vec<u32> {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let found =
                pool.install(|| logits(&open(folder.path(), Activation::Runtime, kernels), &ids(24), pieces, 19));
            found.into_iter().map(f32::to_bits).collect()
        };
        let first = bits(Kernels::best(), 1, &[19]);
        for pieces in [vec![1; 19], vec![8, 8, 3], vec![3, 4, 12]] {
            assert_eq!(bits(Kernels::best(), 3, &pieces), first, "{model} {recipe} in pieces of {pieces:?}");
        }
        for kernels in Kernels::available() {
            assert_eq!(bits(kernels, 2, &[19]), first, "{model} {recipe} on {}", kernels.name);
        }
    }
}

#[test]
fn a_bundle_is_its_model_with_words() {
    let checkpoint = Checkpoint::open(&fixtures().join("lfm2-tiny")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    Rounded::new(&checkpoint, "tflite-q4").export(small(), folder.path());
    let options = Options { activation: Activation::Runtime, kernels: Kernels::best() };
    let bundle = Tflite::open(&folder.path().join("x.litertlm"), options).unwrap();
    let plain = open(folder.path(), Activation::Runtime, Kernels::best());
    assert_eq!(logits(&bundle, &ids(12), &[5], 5), logits(&plain, &ids(12), &[5], 5));
    assert_eq!((bundle.facts().what.as_str(), plain.facts().what.as_str()), ("litertlm", "tflite"));
    assert_eq!((bundle.facts().context, bundle.facts().vocab), (64, plain.facts().vocab));
    let (stream, length) = bundle.tokenizer().unwrap();
    assert!(!stream.is_empty() && length > 1000);
    assert!(bundle.chat_template().unwrap().contains("im_start"));
    assert!(plain.tokenizer().is_none() && plain.chat_template().is_none());
}

#[test]
fn a_session_knows_its_bounds() {
    let checkpoint = Checkpoint::open(&fixtures().join("lfm2-tiny")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let options = TfliteOptions { context: Some(16), prefill: vec![8], ..TfliteOptions::default() };
    Rounded::new(&checkpoint, "tflite-q8").export(options, folder.path());
    let tflite = open(folder.path(), Activation::Runtime, Kernels::best());
    let vocab = tflite.facts().vocab;
    let mut session = tflite.session(1000).unwrap();
    let room = tflite.facts().context;
    let mut out = Vec::new();
    assert!(matches!(session.feed(&[vocab as u32], Want::Last, &mut out), Err(ExecError::Token { .. })));
    assert!(matches!(session.feed(&vec![1; room + 1], Want::Last, &mut out), Err(ExecError::Full { .. })));
    assert_eq!((session.position(), out.len()), (0, 0));
    // To the very end of the caches, then from the start again.
    let all = ids(room as u32);
    session.feed(&all, Want::From(room - 3), &mut out).unwrap();
    assert_eq!(out.len(), 3 * vocab);
    let singly = logits(&tflite, &all, &vec![1; room - 3], room - 3);
    assert_eq!(out, singly);
    session.reset();
    let mut again = Vec::new();
    session.feed(&all, Want::From(room - 3), &mut again).unwrap();
    assert_eq!(out, again);
}

/// What the file stores is told under the checkpoint's names, as the numbers it stands for.
#[test]
fn weights_are_told_as_they_are_stored() {
    let checkpoint = Checkpoint::open(&fixtures().join("lfm2-tiny-moe")).unwrap();
    let rounded = Rounded::new(&checkpoint, "tflite-q4");
    let folder = tempfile::tempdir().unwrap();
    rounded.export(small(), folder.path());
    let tflite = open(folder.path(), Activation::Runtime, Kernels::best());
    let weights = tflite.weights().unwrap();
    let mut matched = 0;
    for (index, tensor) in rounded.tensors().iter().enumerate() {
        let Some(at) = weights.tensors().iter().position(|t| t.name == tensor.name) else { continue };
        let stored = &weights.tensors()[at];
        if (stored.rows, stored.cols) != (tensor.rows, tensor.cols) {
            continue;
        }
        let (mut ours, mut theirs) = (vec![0.0; tensor.rows * tensor.cols], vec![0.0; tensor.rows * tensor.cols]);
        rounded.read_rows(index, 0..tensor.rows, &mut theirs).unwrap();
        weights.read_rows(at, 0..tensor.rows, &mut ours).unwrap_or_else(|f: Fault| panic!("{f}"));
        assert_eq!(ours, theirs, "{}", tensor.name);
        matched += 1;
    }
    assert!(matched * 10 > rounded.tensors().len() * 8, "{matched} of {}", rounded.tensors().len());
}
