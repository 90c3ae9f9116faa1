//! Makes GGUF files of checkpoints, in f32 and without any of the exporter's code.
#![allow(dead_code, reason = "each test file uses its part")]

use crate::build::{File, array, f32_key, info, key, str_key, text, u32_key};
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// A model to be written: keys and f32 tensors, to be spoilt at will.
#[derive(Clone)]
pub struct Model {
    pub arch: &'static str,
    pub keys: Vec<(String, Vec<u8>)>,
    /// Name, extents (fastest first), values.
    pub tensors: Vec<(String, Vec<u64>, Vec<f32>)>,
}

/// Extents of one expert and the experts by number, by name of the stack.
type Stacks = BTreeMap<String, (Vec<u64>, BTreeMap<usize, Vec<f32>>)>;

impl Model {
    /// Reads a checkpoint in one file with one tensor per expert.
    pub fn from_checkpoint(folder: &Path) -> Self {
        let config: Value = serde_json::from_slice(&std::fs::read(folder.join("config.json")).unwrap()).unwrap();
        let bytes = std::fs::read(folder.join("model.safetensors")).unwrap();
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        let all: BTreeMap<String, (Vec<u64>, Vec<f32>)> = tensors
            .iter()
            .map(|(name, view)| {
                let extents = view.shape().iter().rev().filter(|n| **n != 1).map(|n| *n as u64).collect();
                (name.to_owned(), (extents, floats(view.dtype(), view.data())))
            })
            .collect();
        let moe = config["model_type"] == "lfm2_moe";
        let arch = if moe { "lfm2moe" } else { "lfm2" };
        let mut model = Self { arch, keys: keys(&config, arch, &all), tensors: Vec::new() };
        let mut stacks = Stacks::new();
        for (name, (extents, values)) in all {
            match gguf_name(&name) {
                (name, None) => model.tensors.push((name, extents, values)),
                (name, Some(expert)) => {
                    let stack = stacks.entry(name).or_insert((extents, BTreeMap::new()));
                    stack.1.insert(expert, values);
                }
            }
        }
        for (name, (mut extents, experts)) in stacks {
            extents.push(experts.len() as u64);
            model.tensors.push((name, extents, experts.into_values().flatten().collect()));
        }
        model
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut file = File {
            kv: vec![str_key("general.architecture", self.arch)],
            infos: vec![],
            data: vec![],
            ..File::default()
        };
        file.kv.extend(self.keys.iter().map(|(_, bytes)| bytes.clone()));
        for (name, extents, values) in &self.tensors {
            file.infos.push(info(name, extents, 0, file.data.len() as u64));
            file.data.extend(values.iter().flat_map(|v| v.to_le_bytes()));
            file.data.resize(file.data.len().next_multiple_of(32), 0);
        }
        file.bytes()
    }

    pub fn drop_key(mut self, name: &str) -> Self {
        let before = self.keys.len();
        self.keys.retain(|(key, _)| key != name);
        assert_eq!(self.keys.len() + 1, before, "{name}");
        self
    }

    pub fn set(mut self, name: &str, bytes: Vec<u8>) -> Self {
        self.keys.retain(|(key, _)| key != name);
        self.keys.push((name.to_owned(), bytes));
        self
    }

    pub fn set_u32(self, name: &str, value: u32) -> Self {
        self.set(name, u32_key(name, value))
    }

    pub fn tensor(&mut self, name: &str) -> &mut (String, Vec<u64>, Vec<f32>) {
        self.tensors.iter_mut().find(|t| t.0 == name).unwrap_or_else(|| panic!("{name}"))
    }

    pub fn drop_tensor(mut self, name: &str) -> Self {
        self.tensor(name);
        self.tensors.retain(|t| t.0 != name);
        self
    }
}

fn floats(dtype: Dtype, bytes: &[u8]) -> Vec<f32> {
    match dtype {
        Dtype::F32 => bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
        Dtype::BF16 => {
            bytes.as_chunks().0.iter().map(|b| f32::from_bits(u32::from(u16::from_le_bytes(*b)) << 16)).collect()
        }
        other => panic!("{other:?}"),
    }
}

fn keys(config: &Value, arch: &str, tensors: &BTreeMap<String, (Vec<u64>, Vec<f32>)>) -> Vec<(String, Vec<u8>)> {
    let number = |name: &str| config[name].as_u64().unwrap_or_else(|| panic!("{name}")) as u32;
    let layers = number("num_hidden_layers");
    let kv = number("num_key_value_heads") as i32;
    let is_attention = |l: u32| tensors.contains_key(&format!("model.layers.{l}.self_attn.q_proj.weight"));
    let heads: Vec<u8> = (0..layers).flat_map(|l| (if is_attention(l) { kv } else { 0 }).to_le_bytes()).collect();
    let theta = config["rope_parameters"]["rope_theta"].as_f64().or(config["rope_theta"].as_f64()).unwrap();
    let rows = |name: &str| tensors.get(name).map(|t| t.0[1] as u32);
    let ffn = rows("model.layers.0.feed_forward.w1.weight").unwrap_or_else(|| number("intermediate_size"));
    let mut out = Vec::new();
    let mut put = |name: &str, bytes: fn(&str, u32) -> Vec<u8>, value: u32| {
        let name = format!("{arch}.{name}");
        out.push((name.clone(), bytes(&name, value)));
    };
    put("block_count", u32_key, layers);
    put("context_length", u32_key, number("max_position_embeddings"));
    put("embedding_length", u32_key, number("hidden_size"));
    put("feed_forward_length", u32_key, ffn);
    put("attention.head_count", u32_key, number("num_attention_heads"));
    put("vocab_size", u32_key, number("vocab_size"));
    put("shortconv.l_cache", u32_key, number("conv_L_cache"));
    if let Some(width) = config["head_dim"].as_u64() {
        put("attention.key_length", u32_key, width as u32);
        put("attention.value_length", u32_key, width as u32);
    }
    if arch == "lfm2moe" {
        put("expert_count", u32_key, number("num_experts"));
        put("expert_used_count", u32_key, number("num_experts_per_tok"));
        put("expert_feed_forward_length", u32_key, number("moe_intermediate_size"));
        put("leading_dense_block_count", u32_key, number("num_dense_layers"));
        put("expert_gating_func", u32_key, 2);
    }
    let full = |name: &str| format!("{arch}.{name}");
    let (eps, base, kv) =
        (full("attention.layer_norm_rms_epsilon"), full("rope.freq_base"), full("attention.head_count_kv"));
    out.push((eps.clone(), f32_key(&eps, config["norm_eps"].as_f64().unwrap() as f32)));
    out.push((base.clone(), f32_key(&base, theta as f32)));
    out.push((kv.clone(), key(&kv, 9, &array(5, u64::from(layers), &heads))));
    out
}

/// The name in a GGUF file, and the expert of a stack.
fn gguf_name(name: &str) -> (String, Option<usize>) {
    const GLOBAL: [(&str, &str); 3] = [
        ("model.embed_tokens.weight", "token_embd.weight"),
        ("model.embedding_norm.weight", "token_embd_norm.weight"),
        ("lm_head.weight", "output.weight"),
    ];
    const LAYER: [(&str, &str); 16] = [
        ("operator_norm.weight", "attn_norm.weight"),
        ("ffn_norm.weight", "ffn_norm.weight"),
        ("conv.conv.weight", "shortconv.conv.weight"),
        ("conv.in_proj.weight", "shortconv.in_proj.weight"),
        ("conv.out_proj.weight", "shortconv.out_proj.weight"),
        ("self_attn.q_proj.weight", "attn_q.weight"),
        ("self_attn.k_proj.weight", "attn_k.weight"),
        ("self_attn.v_proj.weight", "attn_v.weight"),
        ("self_attn.out_proj.weight", "attn_output.weight"),
        ("self_attn.q_layernorm.weight", "attn_q_norm.weight"),
        ("self_attn.k_layernorm.weight", "attn_k_norm.weight"),
        ("feed_forward.w1.weight", "ffn_gate.weight"),
        ("feed_forward.w2.weight", "ffn_down.weight"),
        ("feed_forward.w3.weight", "ffn_up.weight"),
        ("feed_forward.gate.weight", "ffn_gate_inp.weight"),
        ("feed_forward.expert_bias", "exp_probs_b.bias"),
    ];
    if let Some((_, to)) = GLOBAL.iter().find(|(from, _)| *from == name) {
        return ((*to).to_owned(), None);
    }
    let (layer, rest) = name.strip_prefix("model.layers.").unwrap().split_once('.').unwrap();
    if let Some(expert) = rest.strip_prefix("feed_forward.experts.") {
        let (expert, part) = expert.split_once('.').unwrap();
        let part = match part {
            "w1.weight" => "gate",
            "w2.weight" => "down",
            "w3.weight" => "up",
            other => panic!("{other}"),
        };
        return (format!("blk.{layer}.ffn_{part}_exps.weight"), Some(expert.parse().unwrap()));
    }
    let (_, to) = LAYER.iter().find(|(from, _)| *from == rest).unwrap_or_else(|| panic!("{name}"));
    (format!("blk.{layer}.{to}"), None)
}

/// A tokenizer of `size` tokens.
pub fn tokenizer(model: Model, size: u64) -> Model {
    let tokens: Vec<u8> = (0..size).flat_map(|i| text(format!("t{i}"))).collect();
    let merges: Vec<u8> = ["t 1", "Ġ t"].iter().flat_map(text).collect();
    let types: Vec<u8> = (0..size).flat_map(|i| (if i < 3 { 3i32 } else { 1 }).to_le_bytes()).collect();
    let put = |model: Model, name: &str, ty, value: &[u8]| model.set(name, key(name, ty, value));
    let model = put(model, "tokenizer.ggml.model", 8, &text("gpt2"));
    let model = put(model, "tokenizer.ggml.pre", 8, &text("lfm2"));
    let model = put(model, "tokenizer.ggml.tokens", 9, &array(8, size, &tokens));
    let model = put(model, "tokenizer.ggml.token_type", 9, &array(5, size, &types));
    let model = put(model, "tokenizer.ggml.merges", 9, &array(8, 2, &merges));
    let model = put(model, "tokenizer.chat_template", 8, &text("{{ bos_token }}"));
    model.set_u32("tokenizer.ggml.bos_token_id", 1).set_u32("tokenizer.ggml.eos_token_id", 7)
}
