//! Precedence, defaults and refusals of config.json.

mod common;

use common::{dense, layer_types, moe, spec};
use lfmq_checkpoint::spec_from_config;
use lfmq_core::{Mixer, ModelSpec};
use serde_json::{Value, json};

#[test]
fn special_tokens_are_read() {
    let tokens = |more| spec(&dense(1, 64, 8, more)).tokens;
    let big = tokens(json!({"pad_token_id": 124_893, "bos_token_id": 124_894, "eos_token_id": [124_900, 124_895]}));
    assert_eq!((big.pad, big.bos, big.eos), (Some(124_893), Some(124_894), vec![124_900, 124_895]));
    let none = tokens(json!({"pad_token_id": null, "bos_token_id": -1, "eos_token_id": null}));
    assert_eq!((none.pad, none.bos, none.eos), (None, None, vec![]));
}

#[test]
fn precedence_and_defaults() {
    type Probe = fn(&ModelSpec) -> f64;
    let cases: [(Value, Probe, f64); 22] = [
        (json!({"block_ff_dim": 6656, "intermediate_size": 100}), |s| s.ffn_width as f64, 4608.0),
        (json!({"block_ff_dim": null, "intermediate_size": 10240}), |s| s.ffn_width as f64, 6912.0),
        (json!({}), |s| s.ffn_width as f64, 8192.0),
        (json!({"intermediate_size": 10752, "block_auto_adjust_ff_dim": false}), |s| s.ffn_width as f64, 10752.0),
        // 2/3 of 704 is cut to 469, up to 512.
        (json!({"intermediate_size": 704}), |s| s.ffn_width as f64, 512.0),
        // 2/3 of 100 is 66, times 1.5 is 99: a product of floats, 100, would stay 100 with this step of 1.
        (
            json!({"intermediate_size": 100, "block_ffn_dim_multiplier": 1.5, "block_multiple_of": 1}),
            |s| s.ffn_width as f64,
            99.0,
        ),
        (
            json!({"intermediate_size": 768, "block_ffn_dim_multiplier": 1.3, "block_multiple_of": 16}),
            |s| s.ffn_width as f64,
            672.0,
        ),
        (json!({"intermediate_size": 768, "block_ffn_dim_multiplier": null}), |s| s.ffn_width as f64, 512.0),
        (json!({"intermediate_size": 768.0, "block_multiple_of": 256.0}), |s| s.ffn_width as f64, 512.0),
        (json!({"tie_embedding": false, "tie_word_embeddings": true}), |s| f64::from(u8::from(s.tied)), 0.0),
        (json!({"tie_embedding": true, "tie_word_embeddings": false}), |s| f64::from(u8::from(s.tied)), 1.0),
        (json!({"tie_word_embeddings": false}), |s| f64::from(u8::from(s.tied)), 0.0),
        (json!({"tie_embedding": null}), |s| f64::from(u8::from(s.tied)), 1.0),
        (json!({"rope_theta": 1e4, "rope_parameters": {"rope_theta": 5e6}}), |s| s.rope_theta, 5e6),
        (json!({"rope_theta": 1e4, "rope_parameters": {"rope_type": "default"}}), |s| s.rope_theta, 1e4),
        (json!({"rope_theta": 10000, "rope_parameters": null, "theta": 7e6}), |s| s.rope_theta, 1e4),
        (json!({}), |s| s.rope_theta, 1e6),
        (
            json!({"full_attn_idxs": [0], "layer_types": ["conv", "full_attention"]}),
            |s| f64::from(u8::from(s.layers[1].mixer == Mixer::Attention && s.layers[0].mixer == Mixer::Conv)),
            1.0,
        ),
        (
            json!({"full_attn_idxs": null, "layer_types": null}),
            |s| f64::from(u8::from(s.layers.iter().all(|l| l.mixer == Mixer::Attention))),
            1.0,
        ),
        (json!({"head_dim": 32}), |s| s.head_dim as f64, 32.0),
        (json!({"head_dim": null}), |s| s.head_dim as f64, 8.0),
        (json!({"norm_eps": null, "max_position_embeddings": null}), |s| s.max_positions as f64 * s.norm_eps, 1.28),
    ];
    for (more, probe, expected) in cases {
        let found = probe(&spec(&dense(2, 64, 8, more.clone())));
        assert!((found - expected).abs() < 1e-9, "{more}: {found}, not {expected}");
    }
    assert!(spec(&dense(2, 64, 8, json!({"head_dim": 8}))).explicit_head_dim);
    assert!(!spec(&dense(2, 64, 8, json!({}))).explicit_head_dim);
}

#[test]
fn bare_configurations_have_the_library_defaults() {
    let dense = spec(&json!({"architectures": ["Lfm2ForCausalLM"], "model_type": "lfm2"}));
    assert_eq!((dense.vocab, dense.hidden, dense.layers.len(), dense.heads, dense.kv_heads), (65_536, 2560, 32, 32, 8));
    let types = json!({"architectures": ["Lfm2MoeForCausalLM"], "model_type": "lfm2_moe", "layer_types": layer_types(32, &[1])});
    let moe = spec(&types);
    assert_eq!((moe.hidden, moe.ffn_width, moe.layers.len(), moe.dense_layers), (2048, 7168, 32, 2));
    let mixture = moe.moe.unwrap();
    assert_eq!((mixture.experts, mixture.top_k, mixture.width, mixture.scale), (32, 4, 1792, 1.0));
    assert!(mixture.use_bias && mixture.norm_top_k);
}

/// The error's text must name what is refused.
fn refused(config: &Value, mark: &str) {
    let error = spec_from_config(config).expect_err(&config.to_string()).to_string();
    assert!(error.contains(mark), "`{error}` does not name `{mark}`");
}

#[test]
fn relatives_are_refused_by_name() {
    for (architecture, model_type, mark) in [
        ("Lfm3ForCausalLM", "lfm3", "LFM3"),
        ("Lfm3VlForConditionalGeneration", "lfm3_vl", "LFM3"),
        ("Lfm2VlForConditionalGeneration", "lfm2_vl", "LFM2-VL"),
        ("Lfm2VlForConditionalGeneration", "lfm2-vl", "LFM2-VL"),
        ("Lfm2AudioForConditionalGeneration", "lfm2_audio", "LFM2-Audio"),
        ("Lfm2Model", "lfm2", "encoder"),
        ("Lfm2BidirectionalModel", "lfm2", "encoder"),
        ("Lfm2BidirectionalForMaskedLM", "lfm2", "encoder"),
        ("Lfm2BidirP2ForTokenClassification", "lfm2", "encoder"),
        ("Lfm2BidirForRuleMatching", "lfm2", "encoder"),
        ("Lfm2BidirForSequenceRouting", "lfm2", "encoder"),
        ("HF_ColBERT", "lfm2", "ColBERT"),
        ("Lfm2DSparkDraftModel", "lfm2", "draft"),
        ("Lfm2Eagle3ForCausalLM", "lfm2", "draft"),
        ("Lfm2MTPForCausalLM", "lfm2", "draft"),
        ("LlamaForCausalLM", "llama", "LlamaForCausalLM"),
        ("Lfm2ForCausalLM", "lfm2_moe", "lfm2_moe"),
        ("Lfm2MoeForCausalLM", "lfm2", "Lfm2MoeForCausalLM"),
    ] {
        refused(&json!({"architectures": [architecture], "model_type": model_type}), mark);
    }
    refused(&json!({"model_type": "lfm3"}), "LFM3");
    refused(&json!({"model_type": "lfm2"}), "architectures");
    refused(
        &dense(2, 64, 8, json!({"quantization_config": {"quant_method": "compressed-tensors"}})),
        "compressed-tensors",
    );
    refused(&dense(2, 64, 8, json!({"quantization_config": {"quant_method": "fp8"}})), "fp8");
}

#[test]
fn senseless_fields_are_refused_by_name() {
    for (more, mark) in [
        (json!({"rope_parameters": {"rope_type": "yarn", "factor": 4.0}}), "yarn"),
        (json!({"rope_scaling": {"type": "linear", "factor": 2.0}}), "linear"),
        (json!({"rope_parameters": {"partial_rotary_factor": 0.5}}), "partial_rotary_factor"),
        (json!({"rope_theta": 0}), "rope_theta"),
        (json!({"rope_theta": "1e6"}), "rope_theta"),
        (json!({"head_dim": 7}), "head_dim"),
        (json!({"num_attention_heads": 7}), "num_key_value_heads"),
        (json!({"num_attention_heads": 24, "hidden_size": 64}), "hidden_size"),
        (json!({"num_key_value_heads": 3}), "num_key_value_heads"),
        (json!({"layer_types": ["conv"]}), "layer_types"),
        (json!({"layer_types": ["conv", "sliding_attention"]}), "sliding_attention"),
        (json!({"full_attn_idxs": [2]}), "full_attn_idxs"),
        (json!({"full_attn_idxs": [-1]}), "full_attn_idxs"),
        (json!({"hidden_size": 0}), "hidden_size"),
        (json!({"hidden_size": 64.5}), "hidden_size"),
        (json!({"hidden_size": -64}), "hidden_size"),
        (json!({"hidden_size": 1e30}), "hidden_size"),
        (json!({"hidden_size": "64"}), "hidden_size"),
        (json!({"num_hidden_layers": 1_000_000}), "num_hidden_layers"),
        (json!({"vocab_size": 18_446_744_073_709_551_615_u64}), "vocab_size"),
        (json!({"num_attention_heads": 16_777_216, "head_dim": 2}), "num_attention_heads"),
        (json!({"block_ffn_dim_multiplier": 1e300}), "intermediate_size"),
        (json!({"block_ffn_dim_multiplier": 1e-300}), "block_ffn_dim_multiplier"),
        (json!({"block_multiple_of": 0}), "block_multiple_of"),
        (json!({"norm_eps": -1e-5}), "norm_eps"),
        (json!({"conv_bias": 1}), "conv_bias"),
        (json!({"conv_L_cache": 0}), "conv_L_cache"),
        (json!({"eos_token_id": "</s>"}), "eos_token_id"),
        (json!({"architectures": []}), "architectures"),
        (json!({"architectures": "Lfm2ForCausalLM"}), "architectures"),
    ] {
        refused(&dense(2, 64, 8, more), mark);
    }
    let types = || layer_types(4, &[1]);
    refused(&moe(4, json!({"full_attn_idxs": [1]})), "layer_types");
    refused(&moe(4, json!({"layer_types": types(), "num_experts": 2})), "num_experts_per_tok");
    refused(&moe(4, json!({"layer_types": types(), "num_experts": 100_000})), "num_experts");
    refused(&moe(4, json!({"layer_types": types(), "routed_scaling_factor": "1"})), "routed_scaling_factor");
    refused(&json!([]), "object");
}
