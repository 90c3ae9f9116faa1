//! Files that are sound containers but no model this crate runs: each is refused by naming what is wrong.

#[path = "../../wire/tests/build/mod.rs"]
mod build;
#[path = "support/make.rs"]
mod make;

use build::{array, f32_key, key, str_key};
use lfmq_core::{Activation, Executor, Want};
use lfmq_gguf_run::{Gguf, Options, RunError};
use lfmq_kernels::Kernels;
use lfmq_testkit::golden;
use make::Model;
use proptest::prelude::*;

fn model(case: &str) -> Model {
    Model::from_checkpoint(&golden::load(case).unwrap().model)
}

fn try_open(bytes: &[u8]) -> Result<Gguf, RunError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    std::fs::write(&path, bytes).unwrap();
    Gguf::open(&path, Options { activation: Activation::Runtime, kernels: Kernels::best() })
}

/// The first complaint about a model, at opening or at the first session.
fn complaint(model: &Model) -> String {
    match try_open(&model.bytes()) {
        Err(e) => e.to_string(),
        Ok(gguf) => gguf.session(4).err().map(|e| e.to_string()).unwrap_or_default(),
    }
}

#[test]
fn each_flaw_is_named() {
    let (dense, moe) = (model("dense-two-thirds"), model("moe-published"));
    let d = || dense.clone();
    let m = || moe.clone();
    let with = |mut model: Model, change: &dyn Fn(&mut Model)| {
        change(&mut model);
        model
    };
    let kv = |layers: u64, values: &[i32]| {
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        key("lfm2.attention.head_count_kv", 9, &array(5, layers, &bytes))
    };
    let cases: Vec<(&str, Model, &str)> = vec![
        ("sound dense", d(), ""),
        ("sound mixture", m(), ""),
        ("arch", Model { arch: "llama", ..d() }, "`general.architecture` is llama, expected lfm2 or lfm2moe"),
        ("type", d().set("general.type", str_key("general.type", "mmproj")), "`general.type` is mmproj"),
        ("no layers", d().drop_key("lfm2.block_count"), "`lfm2.block_count` is missing"),
        ("layers 0", d().set_u32("lfm2.block_count", 0), "`lfm2.block_count` is 0, expected 1 to 1024"),
        ("layers huge", d().set_u32("lfm2.block_count", u32::MAX), "`lfm2.block_count` is 4294967295"),
        ("no eps", d().drop_key("lfm2.attention.layer_norm_rms_epsilon"), "layer_norm_rms_epsilon` is missing"),
        ("theta", d().set("lfm2.rope.freq_base", f32_key("lfm2.rope.freq_base", f32::NAN)), "freq_base` is NaN"),
        ("theta int", d().set_u32("lfm2.rope.freq_base", 7), "`lfm2.rope.freq_base` is u32 7, expected a float"),
        (
            "kv short",
            d().set("lfm2.attention.head_count_kv", kv(1, &[2])),
            "is an array of 1 i32, expected an integer, or an array",
        ),
        ("kv negative", d().set("lfm2.attention.head_count_kv", kv(3, &[0, -2, 0])), "head_count_kv` is -2"),
        ("heads", d().set_u32("lfm2.attention.head_count", 3), "`lfm2.attention.head_count` is 3, expected a divisor"),
        ("width", d().set_u32("lfm2.feed_forward_length", 96), "ffn_gate.weight` has extents"),
        ("vocab", d().set_u32("lfm2.vocab_size", 161), "`lfm2.vocab_size` is 161, expected the 160 rows"),
        (
            "taps",
            d().set_u32("lfm2.shortconv.l_cache", 4),
            "shortconv.conv.weight` has extents [3, 64], expected [4, 64]",
        ),
        (
            "encoder",
            d().set("lfm2.attention.causal", key("lfm2.attention.causal", 7, &[0])),
            "`lfm2.attention.causal` is false",
        ),
        (
            "softmax",
            m().set_u32("lfm2moe.expert_gating_func", 1),
            "`lfm2moe.expert_gating_func` is 1, expected 2 (sigmoid)",
        ),
        ("no gating", m().drop_key("lfm2moe.expert_gating_func"), "`lfm2moe.expert_gating_func` is missing"),
        ("top k", m().set_u32("lfm2moe.expert_used_count", 6), "`lfm2moe.expert_used_count` is 6, expected 1 to 5"),
        ("experts", m().set_u32("lfm2moe.expert_count", 4), "extents [64, 16, 5], expected [64, 16, 4]"),
        ("dense layers", m().set_u32("lfm2moe.leading_dense_block_count", 4), "leading_dense_block_count` is 4"),
        (
            "scale",
            m().set("lfm2moe.expert_weights_scale", f32_key("lfm2moe.expert_weights_scale", 2.5)),
            "scale` is 2.5",
        ),
        ("no bias", m().drop_tensor("blk.1.exp_probs_b.bias"), "tensor `blk.1.exp_probs_b.bias` is missing"),
        ("no norm", d().drop_tensor("token_embd_norm.weight"), "tensor `token_embd_norm.weight` is missing"),
        ("no embedding", d().drop_tensor("token_embd.weight"), "tensor `token_embd.weight` is missing"),
        (
            "extra",
            with(d(), &|m| m.tensors.push(("blk.0.attn_q.bias".into(), vec![4], vec![0.0; 4]))),
            "`blk.0.attn_q.bias` is not part",
        ),
        ("transposed", with(d(), &|m| m.tensor("token_embd.weight").1.reverse()), "rows of the embedding"),
        (
            "nan",
            with(d(), &|m| m.tensor("blk.0.ffn_up.weight").2[70] = f32::NAN),
            "`blk.0.ffn_up.weight` holds a value or scale that is not finite",
        ),
        (
            "inf",
            with(d(), &|m| m.tensor("blk.0.attn_norm.weight").2[1] = f32::INFINITY),
            "`blk.0.attn_norm.weight` holds a value",
        ),
    ];
    for (name, model, words) in cases {
        let said = complaint(&model);
        assert_eq!(said.is_empty(), words.is_empty(), "{name}: {said}");
        assert!(said.contains(words), "{name}: `{said}` does not say `{words}`");
    }
}

#[test]
fn an_old_name_of_the_final_norm_is_read_and_noted() {
    let mut old = model("dense-two-thirds");
    old.tensor("token_embd_norm.weight").0 = "output_norm.weight".into();
    let gguf = try_open(&old.bytes()).unwrap();
    assert!(gguf.notes().iter().any(|n| n.contains("output_norm.weight")), "{:?}", gguf.notes());
    let logits = |gguf: &Gguf| {
        let mut logits = Vec::new();
        gguf.session(4).unwrap().feed(&[1, 2, 3], Want::All, &mut logits).unwrap();
        logits
    };
    assert_eq!(logits(&gguf), logits(&try_open(&model("dense-two-thirds").bytes()).unwrap()));
}

#[test]
fn one_number_of_heads_for_all_layers_means_attention_everywhere() {
    let scalar = model("dense-two-thirds").set_u32("lfm2.attention.head_count_kv", 2);
    let said = complaint(&scalar);
    assert!(said.contains("attn_q.weight` is missing"), "{said}");
}

#[test]
fn a_file_that_is_not_there() {
    let options = Options { activation: Activation::F32, kernels: Kernels::best() };
    let error = Gguf::open(std::path::Path::new("nowhere.gguf"), options).err().unwrap();
    assert!(error.to_string().starts_with("cannot open nowhere.gguf"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// A damaged model is refused or runs; it never panics.
    #[test]
    fn damage_never_panics(edits in prop::collection::vec((0usize..6000, any::<u8>()), 1..5)) {
        let mut bytes = MODEL.with(Clone::clone);
        for (at, value) in edits {
            bytes[at] = value;
        }
        if let Ok(gguf) = try_open(&bytes)
            && let Ok(mut session) = gguf.session(8)
        {
            let mut logits = Vec::new();
            session.feed(&[1, 2, 3], Want::Last, &mut logits).unwrap();
        }
    }
}

thread_local!(static MODEL: Vec<u8> = make::tokenizer(model("moe-published"), 160).bytes());
