//! Which tensors a checkpoint of a given shape has, in the order `save_pretrained` would number them.

use serde_json::{Value, json};

/// The sizes of a model.
#[derive(Clone, Debug)]
pub struct Shape {
    /// Width of the residual stream.
    pub hidden: usize,
    /// Number of layers.
    pub layers: usize,
    /// Indices of the attention layers; the others are convolutions.
    pub attention: &'static [usize],
    /// Query heads.
    pub heads: usize,
    /// Key/value heads.
    pub kv_heads: usize,
    /// Width of one head.
    pub head_dim: usize,
    /// Inner width of the dense feed-forwards, as the tensors have it.
    pub ffn: usize,
    /// Rows of the embedding.
    pub vocab: usize,
    /// Whether the head is a matrix of its own.
    pub untied: bool,
    /// The experts, if any.
    pub moe: Option<Moe>,
}

/// The mixture part of a [`Shape`].
#[derive(Clone, Copy, Debug)]
pub struct Moe {
    /// Experts of a layer, of which a token uses four, or all where there are fewer.
    pub experts: usize,
    /// Inner width of one.
    pub width: usize,
    /// Layers before this one are dense.
    pub dense: usize,
}

/// What kind of values a tensor gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Draw {
    Matrix,
    Norm,
    Taps,
    Router,
    /// Selection bias: kept in f32 whatever the others are.
    Bias,
}

/// One tensor to be made.
#[derive(Clone, Debug)]
pub struct Slot {
    pub name: String,
    pub shape: Vec<usize>,
    pub draw: Draw,
}

impl Slot {
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }
}

impl Shape {
    /// Every tensor of the checkpoint.
    pub(crate) fn slots(&self) -> Vec<Slot> {
        let mut all = Vec::new();
        let mut put = |name: String, shape: &[usize], draw| all.push(Slot { name, shape: shape.to_vec(), draw });
        let h = self.hidden;
        put("model.embed_tokens.weight".into(), &[self.vocab, h], Draw::Matrix);
        put("model.embedding_norm.weight".into(), &[h], Draw::Norm);
        if self.untied {
            put("lm_head.weight".into(), &[self.vocab, h], Draw::Matrix);
        }
        for layer in 0..self.layers {
            let mut put = |name: &str, shape: &[usize], draw| put(format!("model.layers.{layer}.{name}"), shape, draw);
            put("operator_norm.weight", &[h], Draw::Norm);
            put("ffn_norm.weight", &[h], Draw::Norm);
            self.mixer(layer, &mut put);
            self.feed_forward(layer, &mut put);
        }
        all
    }

    fn mixer(&self, layer: usize, put: &mut impl FnMut(&str, &[usize], Draw)) {
        let (h, q, kv) = (self.hidden, self.heads * self.head_dim, self.kv_heads * self.head_dim);
        if self.attention.contains(&layer) {
            put("self_attn.q_proj.weight", &[q, h], Draw::Matrix);
            put("self_attn.k_proj.weight", &[kv, h], Draw::Matrix);
            put("self_attn.v_proj.weight", &[kv, h], Draw::Matrix);
            put("self_attn.out_proj.weight", &[h, q], Draw::Matrix);
            put("self_attn.q_layernorm.weight", &[self.head_dim], Draw::Norm);
            put("self_attn.k_layernorm.weight", &[self.head_dim], Draw::Norm);
        } else {
            put("conv.conv.weight", &[h, 1, 3], Draw::Taps);
            put("conv.in_proj.weight", &[3 * h, h], Draw::Matrix);
            put("conv.out_proj.weight", &[h, h], Draw::Matrix);
        }
    }

    fn feed_forward(&self, layer: usize, put: &mut impl FnMut(&str, &[usize], Draw)) {
        let h = self.hidden;
        let mut swiglu = |prefix: &str, width| {
            put(&format!("{prefix}.w1.weight"), &[width, h], Draw::Matrix);
            put(&format!("{prefix}.w2.weight"), &[h, width], Draw::Matrix);
            put(&format!("{prefix}.w3.weight"), &[width, h], Draw::Matrix);
        };
        match self.moe.filter(|moe| layer >= moe.dense) {
            None => swiglu("feed_forward", self.ffn),
            Some(moe) => {
                put("feed_forward.gate.weight", &[moe.experts, h], Draw::Router);
                put("feed_forward.expert_bias", &[moe.experts], Draw::Bias);
                for e in 0..moe.experts {
                    let prefix = format!("feed_forward.experts.{e}");
                    put(&format!("{prefix}.w1.weight"), &[moe.width, h], Draw::Matrix);
                    put(&format!("{prefix}.w2.weight"), &[h, moe.width], Draw::Matrix);
                    put(&format!("{prefix}.w3.weight"), &[moe.width, h], Draw::Matrix);
                }
            }
        }
    }

    /// The config's `layer_types`.
    fn layer_types(&self) -> Value {
        let word = |layer| if self.attention.contains(&layer) { "full_attention" } else { "conv" };
        (0..self.layers).map(word).collect()
    }

    /// The fields of config.json that both families share; `dtype` is `bfloat16` or `float32`.
    pub(crate) fn config(&self, dtype: &str) -> Value {
        json!({
            "bos_token_id": 1, "eos_token_id": 7, "pad_token_id": 0, "conv_L_cache": 3, "conv_bias": false,
            "hidden_size": self.hidden, "initializer_range": 0.02, "max_position_embeddings": 128_000,
            "norm_eps": 1e-5, "num_attention_heads": self.heads, "num_hidden_layers": self.layers,
            "num_key_value_heads": self.kv_heads, "rope_theta": 1e6, "torch_dtype": dtype, "use_cache": true,
            "vocab_size": self.vocab, "layer_types": self.layer_types(),
        })
    }

    /// The fields that only a mixture's config has; `None` for a dense model.
    pub(crate) fn moe_config(&self) -> Option<Value> {
        let moe = self.moe?;
        Some(json!({
            "architectures": ["Lfm2MoeForCausalLM"], "model_type": "lfm2_moe", "intermediate_size": self.ffn,
            "moe_intermediate_size": moe.width, "num_dense_layers": moe.dense, "num_experts": moe.experts,
            "num_experts_per_tok": moe.experts.min(4), "norm_topk_prob": true, "routed_scaling_factor": 1.0, "use_expert_bias": true,
        }))
    }
}

/// Adds the fields of `more` to the object `config`, replacing those it already has.
pub fn extend(config: &mut Value, more: Value) {
    if let (Value::Object(config), Value::Object(more)) = (config, more) {
        config.extend(more);
    }
}
