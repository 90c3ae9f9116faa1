//! The type of every tensor of the released shapes in every preset, as `llama-quantize --dry-run` prints them.
//! `data/tables.txt` holds SHA-256 prefixes of that text.

mod shapes;

use lfmq_core::{ModelSpec, TensorId, TensorRole};
use lfmq_gguf_wire::{GgmlType, names::tensor_name};
use lfmq_quant::Recipe;
use lfmq_testkit::sha256_hex;
use std::collections::BTreeMap;
use std::fmt::Write;

const TABLES: &str = include_str!("data/tables.txt");
const PRESETS: [&str; 22] = [
    "F16",
    "BF16",
    "Q8_0",
    "Q4_0",
    "Q4_1",
    "Q5_0",
    "Q5_1",
    "Q2_K",
    "Q2_K_S",
    "Q3_K_S",
    "Q3_K_M",
    "Q3_K_L",
    "Q4_K_S",
    "Q4_K_M",
    "Q5_K_S",
    "Q5_K_M",
    "Q6_K",
    "IQ4_NL",
    "IQ4_XS",
    "MXFP4_MOE",
    "TQ1_0",
    "TQ2_0",
];

/// A stored tensor: its experts share a name.
struct Stored {
    ty: &'static str,
    bytes: u64,
}

fn stored(spec: &ModelSpec, recipe: &Recipe, importance: bool) -> BTreeMap<(i32, String), Stored> {
    let mut all = BTreeMap::<_, Stored>::new();
    for (id, (rows, cols)) in spec.tensors() {
        let choice = recipe.choose(spec, id, cols, importance).unwrap();
        let scheme = choice.map_or("f32", |c| c.scheme.0);
        let ty = GgmlType::from_name(scheme).unwrap();
        let bytes = rows as u64 * ty.row_bytes(cols as u64).unwrap();
        let entry = all.entry((id.layer.map_or(-1, i32::from), tensor_name(id)));
        let entry = entry.or_insert(Stored { ty: printed(ty), bytes: 0 });
        assert_eq!(entry.ty, printed(ty), "experts of {} differ", tensor_name(id));
        entry.bytes += bytes;
    }
    all
}

/// As the tool prints type names.
fn printed(ty: GgmlType) -> &'static str {
    match ty.name() {
        "F32" => "f32",
        "F16" => "f16",
        "BF16" => "bf16",
        "Q8_0" => "q8_0",
        "Q4_0" => "q4_0",
        "Q4_1" => "q4_1",
        "Q5_0" => "q5_0",
        "Q5_1" => "q5_1",
        "Q2_K" => "q2_K",
        "Q3_K" => "q3_K",
        "Q4_K" => "q4_K",
        "Q5_K" => "q5_K",
        "Q6_K" => "q6_K",
        "IQ4_NL" => "iq4_nl",
        "IQ4_XS" => "iq4_xs",
        "TQ1_0" => "tq1_0",
        "TQ2_0" => "tq2_0",
        "MXFP4" => "mxfp4",
        other => panic!("{other}"),
    }
}

fn text(spec: &ModelSpec, importance: bool) -> String {
    let mut out = String::new();
    for preset in PRESETS {
        let tensors = stored(spec, &Recipe::named(preset).unwrap(), importance);
        let bytes: u64 = tensors.values().map(|t| t.bytes).sum();
        writeln!(out, "# {preset} {:.2}", bytes as f64 / 1024.0 / 1024.0).unwrap();
        for ((_, name), t) in tensors {
            writeln!(out, "{name} {}", t.ty).unwrap();
        }
    }
    out
}

#[test]
fn mixtures_are_llama_quantizes() {
    let mut wrong = Vec::new();
    for (name, expected) in TABLES.lines().filter_map(|l| l.split_once(' ')) {
        let (shape, importance) = name.strip_suffix("+im").map_or((name, false), |shape| (shape, true));
        let text = text(&shapes::released(shape).unwrap(), importance);
        let found = sha256_hex(text.as_bytes());
        if !found.starts_with(expected) {
            let sizes: Vec<&str> = text.lines().filter(|l| l.starts_with('#')).collect();
            wrong.push(format!("{name}: {}, expected {expected}; {}", &found[..16], sizes.join(", ")));
        }
    }
    assert_eq!(TABLES.lines().count(), 18);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn sizes_are_those_of_published_files() {
    for (shape, preset, mib) in
        [("1.2B", "Q4_K_M", 694.76), ("1.2B", "Q8_0", 1186.25), ("350M", "Q4_K_M", 216.41), ("8B-A1B", "Q2_K", 2934.70)]
    {
        let tensors = stored(&shapes::released(shape).unwrap(), &Recipe::named(preset).unwrap(), false);
        let found = tensors.values().map(|t| t.bytes).sum::<u64>() as f64 / 1024.0 / 1024.0;
        assert!((found - mib).abs() < 0.005, "{shape} {preset}: {found}, expected {mib}");
    }
}

#[test]
fn eight_experts_and_untied_heads_have_rules_of_their_own() {
    let mut spec = shapes::released("8B-A1B").unwrap();
    spec.moe.as_mut().unwrap().experts = 8;
    spec.tied = false;
    let table = [
        ("Q4_K_M", TensorId::layer(2, TensorRole::AttnV), "q8_0"),
        ("Q4_K_M", TensorId::layer(2, TensorRole::AttnK), "q8_0"),
        ("Q3_K_S", TensorId::layer(2, TensorRole::AttnOut), "q5_k"),
        ("Q3_K_L", TensorId::layer(2, TensorRole::AttnOut), "q3_k"),
        ("MXFP4_MOE", TensorId::layer(2, TensorRole::AttnV), "q8_0"),
        ("MXFP4_MOE", TensorId::layer(2, TensorRole::ExpertUp(7)), "mxfp4"),
        ("Q4_K_M", TensorId::global(TensorRole::Embedding), "q4_k"),
        ("TQ1_0", TensorId::global(TensorRole::Embedding), "q4_k"),
        ("Q4_K_M", TensorId::global(TensorRole::Head), "q6_k"),
    ];
    for (preset, id, expected) in table {
        let choice = Recipe::named(preset).unwrap().choose(&spec, id, 2048, false).unwrap().unwrap();
        assert_eq!(choice.scheme.0, expected, "{preset} {id}");
    }
}

#[test]
fn rows_that_are_not_whole_blocks_fall_back() {
    let spec = shapes::released("350M").unwrap();
    let up = TensorId::layer(3, TensorRole::FfnUp);
    let table = [
        ("Q4_K_M", 96, "q5_0"),
        ("Q5_K_S", 96, "q5_1"),
        ("Q6_K", 96, "q8_0"),
        ("Q3_K_S", 96, "q4_0"),
        ("TQ2_0", 96, "q4_0"),
        ("IQ4_XS", 96, "iq4_nl"),
        ("Q4_0", 100, "f16"),
        ("Q6_K", 100, "f16"),
    ];
    for (preset, cols, expected) in table {
        let choice = Recipe::named(preset).unwrap().choose(&spec, up, cols, false).unwrap().unwrap();
        assert_eq!(choice.scheme.0, expected, "{preset} {cols}");
    }
    // Asked for by role there is no falling back.
    let mut recipe = Recipe::named("Q4_0").unwrap();
    recipe.set("ffn_up=q4_k").unwrap();
    assert!(recipe.choose(&spec, up, 96, false).is_err());
    assert_eq!(recipe.choose(&spec, up, 256, false).unwrap().unwrap().scheme.0, "q4_k");
}

#[test]
fn words_that_are_not_known_are_answered_with_those_that_are() {
    let mut recipe = Recipe::bits(4).unwrap();
    assert_eq!(recipe.name(), "Q4_K_M");
    for (text, part) in
        [("attn_x=q4_0", "attn_q"), ("router=q8_0", "ffn_down"), ("attn_v=q4", "q4_k"), ("attn_v", "role=scheme")]
    {
        let why = recipe.set(text).unwrap_err().to_string();
        assert!(why.contains(part), "{why}");
    }
    assert!(Recipe::named("q4_9").unwrap_err().to_string().contains("lfm2-4bit"));
    assert!(Recipe::bits(7).is_err());
    assert_eq!(recipe.overrides().count(), 0);
}
