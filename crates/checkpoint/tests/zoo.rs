//! The configurations of the released models, as far as they were seen, and the parameter counts published for them.

mod common;

use common::{dense, layer_types, merge, moe, spec};
use lfmq_core::{Family, Ffn, Mixer};
use serde_json::{Value, json};

const SMALL: [usize; 6] = [2, 5, 8, 10, 12, 14];
const DEEP: [usize; 8] = [2, 5, 9, 13, 17, 21, 24, 27];
const MIXTURE: [usize; 6] = [2, 6, 10, 14, 18, 21];
const MIXTURE_24B: [usize; 10] = [2, 6, 10, 14, 18, 22, 26, 30, 34, 38];

/// A released model: its name, its configuration, attention layers, FFN width, theta, parameters without selection biases.
struct Released {
    name: &'static str,
    config: Value,
    attention: &'static [usize],
    ffn: usize,
    theta: f64,
    parameters: u64,
}

fn dense_models() -> Vec<Released> {
    let rope = |theta: f64| json!({"rope_theta": theta, "rope_type": "default"});
    let row =
        |name, config, attention, ffn, theta, parameters| Released { name, config, attention, ffn, theta, parameters };
    let deep =
        json!({"layer_types": layer_types(30, &DEEP), "intermediate_size": 10752, "block_auto_adjust_ff_dim": false});
    let mut deep_25 = deep.clone();
    merge(
        &mut deep_25,
        json!({"vocab_size": 128_000, "rope_parameters": rope(1e7), "max_position_embeddings": 131_072,
                               "pad_token_id": 124_893, "bos_token_id": 124_894, "eos_token_id": 124_900}),
    );
    vec![
        row(
            "LFM2.5-230M",
            dense(
                14,
                1024,
                16,
                json!({
            "layer_types": layer_types(14, &[2, 4, 6, 8, 10, 12]), "intermediate_size": 2560,
            "block_auto_adjust_ff_dim": false, "rope_parameters": rope(1e6)}),
            ),
            &[2, 4, 6, 8, 10, 12],
            2560,
            1e6,
            229_693_184,
        ),
        row(
            "LFM2-350M",
            dense(
                16,
                1024,
                16,
                json!({
            "layer_types": layer_types(16, &SMALL), "full_attn_idxs": null, "block_ff_dim": 6656, "intermediate_size": 6656,
            "block_auto_adjust_ff_dim": true, "block_ffn_dim_multiplier": 1.0, "block_multiple_of": 256, "rope_theta": 1_000_000.0,
            "theta": 1_000_000.0, "use_pos_enc": true, "block_dim": 1024, "conv_dim": 1024, "tie_embedding": true}),
            ),
            &SMALL,
            4608,
            1e6,
            354_483_968,
        ),
        row(
            "LFM2.5-350M",
            dense(
                16,
                1024,
                16,
                json!({
            "layer_types": layer_types(16, &SMALL), "intermediate_size": 6656, "rope_theta": 1_000_000.0,
            "rope_parameters": rope(1e6), "tie_word_embeddings": true}),
            ),
            &SMALL,
            4608,
            1e6,
            354_483_968,
        ),
        // Neither layer_types nor intermediate_size.
        row(
            "LFM2-700M",
            dense(
                16,
                1536,
                24,
                json!({
            "full_attn_idxs": SMALL, "block_ff_dim": 10240, "rope_theta": 1_000_000.0, "block_ffn_dim_multiplier": null}),
            ),
            &SMALL,
            6912,
            1e6,
            742_489_344,
        ),
        // The added intermediate_size is the effective width and must not win.
        row(
            "LFM2-1.2B",
            dense(
                16,
                2048,
                32,
                json!({
            "full_attn_idxs": SMALL, "block_ff_dim": 12288, "intermediate_size": 8192, "head_dim": 64, "rope_theta": 1e6}),
            ),
            &SMALL,
            8192,
            1e6,
            1_170_340_608,
        ),
        row(
            "LFM2.5-1.2B",
            dense(
                16,
                2048,
                32,
                json!({
            "layer_types": layer_types(16, &SMALL), "block_ff_dim": 12288, "intermediate_size": 12288,
            "rope_parameters": rope(1e6), "tie_embedding": true, "tie_word_embeddings": true}),
            ),
            &SMALL,
            8192,
            1e6,
            1_170_340_608,
        ),
        row("LFM2-2.6B", dense(30, 2048, 32, deep), &DEEP, 10752, 1e6, 2_569_272_320),
        row("LFM2.5-2.6B", dense(30, 2048, 32, deep_25), &DEEP, 10752, 1e7, 2_697_198_592),
    ]
}

fn mixtures() -> Vec<Released> {
    let row =
        |name, config, attention, ffn, theta, parameters| Released { name, config, attention, ffn, theta, parameters };
    let a1b = |more: Value| {
        let mut config = moe(
            24,
            json!({"layer_types": layer_types(24, &MIXTURE), "intermediate_size": 7168,
                                        "num_experts": 32, "moe_intermediate_size": 1792}),
        );
        merge(&mut config, more);
        config
    };
    let a2b = |vocab: usize| {
        moe(
            40,
            json!({"layer_types": layer_types(40, &MIXTURE_24B), "intermediate_size": 11776, "num_experts": 64,
                       "moe_intermediate_size": 1536, "vocab_size": vocab, "rope_theta": 1e6}),
        )
    };
    vec![
        row("LFM2-8B-A1B", a1b(json!({"rope_theta": 1_000_000.0})), &MIXTURE, 7168, 1e6, 8_339_929_856),
        row(
            "LFM2.5-8B-A1B",
            a1b(json!({"vocab_size": 128_000, "rope_theta": 1e6,
             "rope_parameters": {"rope_theta": 5_000_000.0, "rope_type": "default"}})),
            &MIXTURE,
            7168,
            5e6,
            8_467_856_128,
        ),
        row("LFM2-24B-A2B", a2b(65_536), &MIXTURE_24B, 11776, 1e6, 23_843_659_008),
        row("LFM2.5-24B-A2B", a2b(128_000), &MIXTURE_24B, 11776, 1e6, 23_971_585_280),
    ]
}

#[test]
fn released_models() {
    for model in dense_models().into_iter().chain(mixtures()) {
        let (name, spec) = (model.name, spec(&model.config));
        let mixers = spec.layers.iter().enumerate().filter(|(_, layer)| layer.mixer == Mixer::Attention);
        assert_eq!(mixers.map(|(i, _)| i).collect::<Vec<_>>(), model.attention, "{name}");
        let biases: usize = spec.moe.map_or(0, |moe| moe.experts * (spec.layers.len() - spec.dense_layers));
        assert_eq!(spec.parameters() - biases as u64, model.parameters, "{name}");
        assert_eq!((spec.ffn_width, spec.rope_theta), (model.ffn, model.theta), "{name}");
        assert_eq!((spec.head_dim, spec.conv_taps, spec.conv_bias, spec.tied), (64, 3, false, true), "{name}");
        assert_eq!(spec.layers[0].ffn, Ffn::Dense(model.ffn), "{name}");
    }
}

#[test]
fn mixture_biases_count_as_published() {
    let biases = |model: &Released| spec(&model.config).parameters() - model.parameters;
    assert_eq!(mixtures().iter().map(biases).collect::<Vec<_>>(), [704, 704, 2432, 2432]);
    let spec = spec(&mixtures()[0].config);
    assert_eq!(
        (spec.family, spec.dense_layers, spec.layers[1].ffn, spec.layers[2].ffn),
        (Family::Lfm2Moe, 2, Ffn::Dense(7168), Ffn::Moe)
    );
}
