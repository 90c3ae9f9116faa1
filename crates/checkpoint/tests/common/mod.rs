//! Configurations that the tests vary.
#![allow(dead_code, reason = "each test file uses some of it")]

use lfmq_checkpoint::spec_from_config;
use lfmq_core::ModelSpec;
use serde_json::{Value, json};

/// The shape of a configuration that must be accepted.
pub fn spec(config: &Value) -> ModelSpec {
    spec_from_config(config).unwrap_or_else(|e| panic!("{e}\n{config}"))
}

/// Fields of a dense configuration; `more` replaces and adds.
pub fn dense(layers: usize, hidden: usize, heads: usize, more: Value) -> Value {
    let mut config = json!({
        "architectures": ["Lfm2ForCausalLM"], "model_type": "lfm2", "num_hidden_layers": layers, "hidden_size": hidden,
        "num_attention_heads": heads, "num_key_value_heads": 8, "vocab_size": 65536, "conv_L_cache": 3, "conv_bias": false,
        "norm_eps": 1e-05, "bos_token_id": 1, "eos_token_id": 7, "pad_token_id": 0, "max_position_embeddings": 128000,
    });
    merge(&mut config, more);
    config
}

pub fn moe(layers: usize, more: Value) -> Value {
    let mut config = json!({
        "architectures": ["Lfm2MoeForCausalLM"], "model_type": "lfm2_moe", "num_hidden_layers": layers,
        "hidden_size": 2048, "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 65536,
        "num_dense_layers": 2, "num_experts_per_tok": 4, "norm_topk_prob": true, "use_expert_bias": true,
        "routed_scaling_factor": 1.0, "conv_L_cache": 3, "conv_bias": false, "norm_eps": 1e-05,
    });
    merge(&mut config, more);
    config
}

pub fn merge(config: &mut Value, more: Value) {
    if let (Value::Object(config), Value::Object(more)) = (config, more) {
        config.extend(more);
    }
}

pub fn layer_types(layers: usize, attention: &[usize]) -> Value {
    (0..layers).map(|i| if attention.contains(&i) { "full_attention" } else { "conv" }).collect()
}

/// A model of one convolution and one attention layer.
pub fn small_config() -> Value {
    json!({"architectures": ["Lfm2ForCausalLM"], "model_type": "lfm2", "num_hidden_layers": 2, "hidden_size": 8,
           "num_attention_heads": 2, "num_key_value_heads": 1, "vocab_size": 16, "intermediate_size": 8,
           "block_auto_adjust_ff_dim": false, "layer_types": ["conv", "full_attention"]})
}
