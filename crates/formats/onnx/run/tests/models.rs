//! Whole models: against transformers' logits, against our own forward pass over the same rounded weights, and against
//! ONNX Runtime where activations are rounded too.

mod support;

use lfmq_checkpoint::Checkpoint;
use lfmq_core::{Activation, ExecError, Executor, TensorSource, Want};
use lfmq_kernels::Kernels;
use lfmq_onnx_export::{Accuracy, ConvForm, ConvState, MinOrt, MoeForm, OnnxOptions};
use lfmq_onnx_run::{Onnx, Options};
use lfmq_reference::Reference;
use lfmq_testkit::{fixtures, golden, sha256_hex};
use std::path::{Path, PathBuf};
use support::{Rounded, deviation, logits, open, worst};

#[test]
fn f32_graphs_give_the_logits_of_transformers() {
    let mut seen = 0;
    for case in golden::all().unwrap() {
        let checkpoint = Checkpoint::open(&case.model).unwrap();
        let folder = tempfile::tempdir().unwrap();
        Rounded::new(&checkpoint, "onnx-fp32").export(OnnxOptions::default(), folder.path());
        let model = open(folder.path(), Activation::F32, Kernels::best());
        let n = case.ids.len();
        for (pieces, expected) in
            [(vec![n], &case.prefill), (vec![1; n], &case.decode), (case.chunks.clone(), &case.chunked)]
        {
            let gap = worst(&logits(&model, &case.ids, &pieces), expected);
            assert!(gap < 1e-4 * deviation(expected).max(1.0), "{}: {gap} in pieces of {pieces:?}", case.name);
        }
        seen += 1;
    }
    assert!(seen >= 16, "only {seen} cases");
}

/// With activations in f32 all that the file can differ in is its weights: they are those that were rounded.
#[test]
fn quantized_graphs_give_the_logits_of_their_weights() {
    let plain = OnnxOptions { accuracy: Accuracy::Float, ..OnnxOptions::default() };
    let wide = OnnxOptions { conv_state: ConvState::Wide, logits_to_keep: true, ..OnnxOptions::default() };
    let fused = OnnxOptions { conv: ConvForm::Fused, min_ort: MinOrt::V1_25, ..OnnxOptions::default() };
    let qmoe = OnnxOptions { moe: MoeForm::Qmoe, min_ort: MinOrt::V1_31, ..OnnxOptions::default() };
    for (model, recipe, options) in [
        ("lfm2-tiny", "onnx-q4", &plain),
        ("lfm2-tiny", "onnx-q8", &wide),
        ("lfm2-tiny", "phone-4bit", &fused),
        ("lfm2-tiny-moe", "onnx-q4", &plain),
        ("lfm2-tiny-moe", "phone-4bit", &qmoe),
    ] {
        let checkpoint = Checkpoint::open(&fixtures().join(model)).unwrap();
        let rounded = Rounded::new(&checkpoint, recipe);
        let folder = tempfile::tempdir().unwrap();
        rounded.export(options.clone(), folder.path());
        let onnx = open(folder.path(), Activation::F32, Kernels::best());
        let reference = Reference::open(&rounded, Kernels::best()).unwrap();
        let ids: Vec<u32> = (0..20).map(|t| (t * t * 37 + 11 * t + 6) % 2048).collect();
        let expected = logits(&reference, &ids, &[20]);
        let gap = worst(&logits(&onnx, &ids, &[7, 1, 1, 9, 2]), &expected);
        assert!(gap < 1e-4 * deviation(&expected), "{model} {recipe}: {gap}");
    }
}

/// Weights of experts that do not fit are laid out when tokens come, over and over: nothing else changes.
#[test]
fn a_mixture_in_no_room_gives_the_same_bits() {
    let checkpoint = Checkpoint::open(&fixtures().join("lfm2-tiny-moe")).unwrap();
    let qmoe = OnnxOptions { moe: MoeForm::Qmoe, min_ort: MinOrt::V1_31, ..OnnxOptions::default() };
    let plain = OnnxOptions::default();
    for (recipe, options) in [
        ("onnx-q4", &plain),
        ("onnx-q8", &plain),
        ("onnx-quantized", &plain),
        ("onnx-q4f16", &plain),
        ("onnx-fp16", &plain),
        ("onnx-q8", &qmoe),
    ] {
        let folder = tempfile::tempdir().unwrap();
        Rounded::new(&checkpoint, recipe).export(options.clone(), folder.path());
        let ids: Vec<u32> = (0..20).map(|t| (t * t * 37 + 11 * t + 6) % 2048).collect();
        for activation in [Activation::F32, Activation::Runtime] {
            let (path, options) = (folder.path().join("model.onnx"), Options { activation, kernels: Kernels::best() });
            let [ample, none] = [u64::MAX, 0].map(|room| {
                let model = Onnx::open_within(&path, options, room).unwrap_or_else(|e| panic!("{e}"));
                let mut session = model.session(20).unwrap();
                let mut out = Vec::new();
                session.feed(&ids[..17], Want::Nothing, &mut out).unwrap();
                session.feed(&ids[17..], Want::All, &mut out).unwrap();
                (out, session.routes().to_vec())
            });
            assert!(ample == none && ample.0.len() == 3 * 2048, "{recipe} {activation:?}");
            let sets: Vec<(usize, usize)> = none.1.iter().map(|layer| (layer.len(), layer[0].len())).collect();
            assert_eq!(sets, [(3, 4); 3], "{recipe}");
        }
    }
}

fn committed(name: &str) -> Option<Vec<f32>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/models");
    let bytes = std::fs::read(folder.join(format!("{name}.f32"))).ok()?;
    let sums = std::fs::read_to_string(folder.join("SHA256SUMS")).unwrap();
    assert!(sums.contains(&format!("{}  {name}.f32\n", sha256_hex(&bytes))), "{name}.f32 is not what SHA256SUMS says");
    Some(bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect())
}

/// One value on the border between two codes may fall on the other side and change all that follows, so it is the
/// median prompt that tells; see `tests/models.py` for where the logits come from.
#[test]
fn rounded_activations_are_those_of_onnx_runtime() {
    let qmoe = OnnxOptions { moe: MoeForm::Qmoe, min_ort: MinOrt::V1_31, ..OnnxOptions::default() };
    let keep = std::env::var_os("LFMQ_ONNX_CASES").map(PathBuf::from);
    for (name, model, recipe, options) in [
        ("dense-q4", "lfm2-tiny", "onnx-q4", OnnxOptions::default()),
        ("dense-q8", "lfm2-tiny", "onnx-q8", OnnxOptions::default()),
        ("dense-quantized", "lfm2-tiny", "onnx-quantized", OnnxOptions::default()),
        ("moe-q4", "lfm2-tiny-moe", "onnx-q4", OnnxOptions::default()),
        ("moe-qmoe", "lfm2-tiny-moe", "phone-4bit", qmoe),
    ] {
        let checkpoint = Checkpoint::open(&fixtures().join(model)).unwrap();
        let own = tempfile::tempdir().unwrap();
        let folder = keep.as_ref().map_or(own.path().to_owned(), |keep| keep.join(name));
        std::fs::create_dir_all(&folder).unwrap();
        Rounded::new(&checkpoint, recipe).export(options, &folder);
        if keep.is_some() {
            continue;
        }
        let expected = committed(name).unwrap_or_else(|| panic!("tests/models/{name}.f32 is missing"));
        let onnx = open(&folder, Activation::Runtime, Kernels::best());
        let mut gaps: Vec<f32> = (0..9)
            .map(|prompt| {
                let ids: Vec<u32> = (0..4).map(|t| (prompt * 191 + t * t * 37 + 11 * t + 6) % 2048).collect();
                let mut out = Vec::new();
                onnx.session(4).unwrap().feed(&ids, Want::Last, &mut out).unwrap();
                let found: Vec<f32> = out.into_iter().step_by(8).collect();
                worst(&found, &expected[prompt as usize * 256..][..256])
            })
            .collect();
        gaps.sort_by(f32::total_cmp);
        assert!(gaps[4] < 1e-4 * deviation(&expected), "{name}: {gaps:?}");
    }
}

#[test]
fn neither_threads_nor_rungs_nor_pieces_change_a_bit() {
    for (model, recipe) in [("lfm2-tiny", "onnx-q4"), ("lfm2-tiny-moe", "onnx-q4")] {
        let checkpoint = Checkpoint::open(&fixtures().join(model)).unwrap();
        let folder = tempfile::tempdir().unwrap();
        Rounded::new(&checkpoint, recipe).export(OnnxOptions::default(), folder.path());
        let ids: Vec<u32> = (0..12).map(|t| (t * t * 37 + 11 * t + 6) % 2048).collect();
        let bits = |kernels, threads, pieces: &[usize]| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let run = || logits(&open(folder.path(), Activation::Runtime, kernels), &ids, pieces);
            pool.install(run).iter().map(|l| l.to_bits()).collect::<Vec<_>>()
        };
        let expected = bits(Kernels::best(), 1, &[12]);
        assert!(bits(Kernels::best(), 4, &[5, 1, 6]) == expected, "{model}: pieces");
        for kernels in Kernels::available() {
            assert!(bits(kernels, 3, &[12]) == expected, "{model}: {}", kernels.name);
        }
    }
}

#[test]
fn a_session_that_refuses_is_unchanged() {
    let checkpoint = Checkpoint::open(&fixtures().join("lfm2-tiny")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    Rounded::new(&checkpoint, "onnx-q4").export(OnnxOptions::default(), folder.path());
    let onnx = open(folder.path(), Activation::F32, Kernels::best());
    let facts = onnx.facts();
    assert_eq!((facts.vocab, facts.layers), (2048, checkpoint.spec().layers.len()));
    // The graph's rotary frequencies count too.
    assert_eq!(facts.parameters, checkpoint.spec().parameters() + 32);

    let mut session = onnx.session(4).unwrap();
    let mut out = Vec::new();
    session.feed(&[5, 6], Want::Nothing, &mut out).unwrap();
    assert!(out.is_empty());
    assert!(matches!(
        session.feed(&[9, 2048], Want::All, &mut out),
        Err(ExecError::Token { token: 2048, vocab: 2048 })
    ));
    assert!(matches!(session.feed(&[1, 2, 3], Want::All, &mut out), Err(ExecError::Full { limit: 4, .. })));
    assert_eq!((session.position(), out.len()), (2, 0));
    session.feed(&[7, 8], Want::Last, &mut out).unwrap();
    let whole = logits(&onnx, &[5, 6, 7, 8], &[4]);
    assert_eq!(out, whole[3 * 2048..]);
    session.reset();
    let mut again = Vec::new();
    session.feed(&[5, 6, 7, 8], Want::From(2), &mut again).unwrap();
    assert_eq!(again, whole[2 * 2048..]);
}
