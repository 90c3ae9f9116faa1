//! GGUF files of checkpoints that the transformers library ran: our logits are its logits.

#[path = "../../wire/tests/build/mod.rs"]
mod build;
#[path = "support/make.rs"]
mod make;

use lfmq_core::{Activation, Executor, Family, Ffn, Mixer, Want};
use lfmq_gguf_run::{Gguf, Options};
use lfmq_kernels::Kernels;
use lfmq_testkit::golden;
use make::Model;

/// What GGUF cannot say, or what no llama.cpp loads: a reader never meets it.
const NOT_IN_GGUF: [&str; 5] = [
    "dense-conv-bias-l5-untied",
    "moe-no-expert-bias",
    "moe-no-norm-scale-2.5",
    "moe-norm-scale-1.7-l4-all-moe",
    "moe-fused-layout",
];

fn open(model: &Model, kernels: &'static Kernels) -> Gguf {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    std::fs::write(&path, model.bytes()).unwrap();
    Gguf::open(&path, Options { activation: Activation::F32, kernels }).unwrap_or_else(|e| panic!("{e}"))
}

fn worst(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn logits_are_those_of_transformers() {
    let mut seen = 0;
    for case in golden::all().unwrap() {
        if NOT_IN_GGUF.contains(&case.name.as_str()) {
            continue;
        }
        let model = open(&Model::from_checkpoint(&case.model), Kernels::best());
        let run = |pieces: &[usize]| {
            let (mut session, mut logits, mut at) = (model.session(case.ids.len()).unwrap(), Vec::new(), 0);
            for piece in pieces {
                session.feed(&case.ids[at..at + piece], Want::All, &mut logits).unwrap();
                at += piece;
            }
            logits
        };
        let ones = vec![1; case.ids.len()];
        for (pieces, expected) in
            [(&[case.ids.len()][..], &case.prefill), (&ones, &case.decode), (&case.chunks, &case.chunked)]
        {
            let gap = worst(&run(pieces), expected);
            let size = expected.iter().fold(1f32, |m, l| m.max(l.abs()));
            assert!(gap < 1e-4 * size, "{}: {gap} in pieces of {pieces:?}", case.name);
        }
        seen += 1;
    }
    assert!(seen >= 10, "only {seen} cases");
}

#[test]
fn every_rung_gives_the_same_bits() {
    let case = golden::load("moe-published").unwrap();
    let model = Model::from_checkpoint(&case.model);
    let bits = |kernels| {
        let (gguf, mut logits) = (open(&model, kernels), Vec::new());
        gguf.session(case.ids.len()).unwrap().feed(&case.ids, Want::All, &mut logits).unwrap();
        logits.iter().map(|l| l.to_bits()).collect::<Vec<_>>()
    };
    let expected = bits(Kernels::best());
    for kernels in Kernels::available() {
        assert!(bits(kernels) == expected, "{}", kernels.name);
    }
}

#[test]
fn the_shape_comes_from_the_file() {
    let case = golden::load("moe-published").unwrap();
    let model = open(&make::tokenizer(Model::from_checkpoint(&case.model), 160), Kernels::best());
    let spec = model.spec().unwrap();
    assert_eq!((spec.family, spec.vocab, spec.hidden, spec.heads, spec.kv_heads), (Family::Lfm2Moe, 160, 64, 4, 2));
    assert_eq!((spec.norm_eps, spec.rope_theta, spec.conv_taps, spec.tied), (1e-5, 1e6, 3, true));
    let layers: Vec<_> = spec.layers.iter().map(|l| (l.mixer, l.ffn)).collect();
    assert_eq!(layers, [(Mixer::Conv, Ffn::Dense(80)), (Mixer::Attention, Ffn::Moe), (Mixer::Conv, Ffn::Moe)]);
    assert_eq!(spec.tokens.eos, [7]);
    let facts = model.facts();
    assert_eq!((facts.what.as_str(), facts.experts, facts.weight_bytes), ("gguf lfm2moe", 5, 4 * facts.parameters));
}

#[test]
fn weights_are_told_apart_and_decoded() {
    let case = golden::load("moe-published").unwrap();
    let mut source = Model::from_checkpoint(&case.model);
    let model = open(&source, Kernels::best());
    let weights = model.weights().unwrap();
    let at = |name: &str| weights.tensors().iter().position(|t| t.name == name).unwrap();
    let index = at("blk.1.ffn_down_exps.weight[3]");
    let tensor = &weights.tensors()[index];
    assert_eq!((tensor.rows, tensor.cols, tensor.scheme.as_str()), (64, 16, "f32"));
    let mut rows = vec![0.0; 2 * 16];
    weights.read_rows(index, 5..7, &mut rows).unwrap();
    let stack = &source.tensor("blk.1.ffn_down_exps.weight").2;
    assert_eq!(rows, stack[(3 * 64 + 5) * 16..][..32]);
    assert!(weights.read_rows(index, 63..65, &mut rows).is_err());
    assert!(weights.read_rows(index, 5..6, &mut rows).is_err());
    assert!(weights.read_rows(weights.tensors().len(), 0..1, &mut rows).is_err());
}

#[test]
fn the_tokenizer_comes_from_the_file() {
    let case = golden::load("dense-two-thirds").unwrap();
    let bare = Model::from_checkpoint(&case.model);
    assert_eq!(open(&bare, Kernels::best()).vocabulary().unwrap(), None);
    let vocabulary = open(&make::tokenizer(bare, 160), Kernels::best()).vocabulary().unwrap().unwrap();
    assert_eq!((vocabulary.model.as_str(), vocabulary.pre.as_deref()), ("gpt2", Some("lfm2")));
    assert_eq!((vocabulary.tokens.len(), vocabulary.tokens[159].as_str()), (160, "t159"));
    assert_eq!((vocabulary.types[2], vocabulary.types[3]), (3, 1));
    assert_eq!(vocabulary.merges, ["t 1", "Ġ t"]);
    assert_eq!((vocabulary.bos, vocabulary.eos, vocabulary.pad, vocabulary.add_bos), (Some(1), Some(7), None, true));
    assert_eq!(vocabulary.chat_template.as_deref(), Some("{{ bos_token }}"));
}

#[test]
fn a_frame_for_people() {
    let case = golden::load("dense-two-thirds").unwrap();
    let seen = open(&make::tokenizer(Model::from_checkpoint(&case.model), 160), Kernels::best()).inspect().unwrap();
    let key = |name: &str| seen.keys.iter().find(|k| k.key == name).unwrap();
    assert_eq!(key("general.architecture").value, "lfm2");
    assert_eq!(key("tokenizer.ggml.tokens").kind, "array of str");
    assert!(key("tokenizer.ggml.tokens").value.ends_with("… 160 in all]"));
    let embedding = seen.tensors.iter().find(|t| t.name == "token_embd.weight").unwrap();
    assert_eq!((embedding.ty, embedding.shape.as_slice(), embedding.bytes), ("F32", &[160, 64][..], 160 * 64 * 4));
}
