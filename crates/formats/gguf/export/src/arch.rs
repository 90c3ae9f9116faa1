//! The architecture's own keys, and the refusal of what they cannot say.

use crate::GgufExportError;
use crate::kv::{Kvs, Value};
use lfmq_core::{Family, Mixer, ModelSpec};

/// Name of the architecture, which prefixes its keys.
pub(crate) fn name(spec: &ModelSpec) -> &'static str {
    match spec.family {
        Family::Lfm2 => "lfm2",
        Family::Lfm2Moe => "lfm2moe",
    }
}

/// Refuses a configuration that would convert silently and run wrongly: the format has no key for these fields
/// and the runtime takes one value of each for granted.
pub(crate) fn check(spec: &ModelSpec) -> Result<(), GgufExportError> {
    let refuse = |field, found: String, why| Err(GgufExportError::Semantics { field, found, why });
    if spec.conv_bias {
        return refuse("conv_bias", "true".to_owned(), "runtimes reject biases of the short convolution");
    }
    let Some(moe) = &spec.moe else { return Ok(()) };
    if moe.scale != 1.0 {
        let why = "runtimes do not scale the weights of the chosen experts";
        return refuse("routed_scaling_factor", moe.scale.to_string(), why);
    }
    if !moe.norm_top_k {
        return refuse("norm_topk_prob", "false".to_owned(), "runtimes always divide by the sum of the chosen weights");
    }
    if !moe.use_bias {
        return refuse("use_expert_bias", "false".to_owned(), "runtimes do not load a router without its bias");
    }
    if !spec.tied {
        return refuse("tie_word_embeddings", "false".to_owned(), "the mixture architecture has no separate head");
    }
    Ok(())
}

/// Writes the keys from the number of layers to the convolution's taps, `general.file_type` among them.
pub(crate) fn keys(kvs: &mut Kvs, spec: &ModelSpec, file_type: u32) {
    let arch = name(spec);
    let mut set = |key: &str, value: Value| kvs.set(format!("{arch}.{key}"), value);
    let count = |n: usize| Value::U32(n as u32);
    let kv_heads = spec.layers.iter().map(|layer| match layer.mixer {
        Mixer::Conv => 0,
        Mixer::Attention => spec.kv_heads as i32,
    });
    set("block_count", count(spec.layers.len()));
    set("context_length", count(spec.max_positions));
    set("embedding_length", count(spec.hidden));
    set("feed_forward_length", count(spec.ffn_width));
    set("attention.head_count", count(spec.heads));
    set("attention.head_count_kv", Value::I32s(kv_heads.collect()));
    set("rope.freq_base", Value::F32(spec.rope_theta as f32));
    set("attention.layer_norm_rms_epsilon", Value::F32(spec.norm_eps as f32));
    if let Some(moe) = &spec.moe {
        set("expert_count", count(moe.experts));
        set("expert_used_count", count(moe.top_k));
    }
    if spec.explicit_head_dim {
        set("attention.key_length", count(spec.head_dim));
        set("attention.value_length", count(spec.head_dim));
    }
    kvs.set("general.file_type", Value::U32(file_type));
    let mut set = |key: &str, value: Value| kvs.set(format!("{arch}.{key}"), value);
    if let Some(moe) = &spec.moe {
        /// The router's weights are sigmoids.
        const SIGMOID: u32 = 2;
        set("expert_feed_forward_length", count(moe.width));
        set("leading_dense_block_count", count(spec.dense_layers));
        set("expert_gating_func", Value::U32(SIGMOID));
    }
    set("vocab_size", count(spec.vocab));
    set("shortconv.l_cache", count(spec.conv_taps));
}

#[cfg(test)]
mod tests {
    use super::*;
    use lfmq_core::{Ffn, LayerSpec, MoeSpec, TokenIds};

    fn mixture() -> ModelSpec {
        let layer = |mixer| LayerSpec { mixer, ffn: Ffn::Moe };
        ModelSpec {
            family: Family::Lfm2Moe,
            vocab: 512,
            hidden: 256,
            layers: vec![layer(Mixer::Conv), layer(Mixer::Attention)],
            heads: 8,
            kv_heads: 2,
            head_dim: 32,
            explicit_head_dim: true,
            conv_taps: 3,
            conv_bias: false,
            norm_eps: 1e-5,
            rope_theta: 1e6,
            max_positions: 4096,
            ffn_width: 512,
            dense_layers: 0,
            moe: Some(MoeSpec { experts: 4, top_k: 2, width: 64, use_bias: true, norm_top_k: true, scale: 1.0 }),
            tied: true,
            tokens: TokenIds::default(),
        }
    }

    #[test]
    fn what_runtimes_would_get_wrong_is_refused_by_its_field() {
        type Change = fn(&mut ModelSpec, &mut MoeSpec);
        let cases: [(&str, Change); 6] = [
            ("", |_, _| ()),
            ("conv_bias", |spec, _| spec.conv_bias = true),
            ("tie_word_embeddings", |spec, _| spec.tied = false),
            ("routed_scaling_factor", |_, moe| moe.scale = 2.5),
            ("norm_topk_prob", |_, moe| moe.norm_top_k = false),
            ("use_expert_bias", |_, moe| moe.use_bias = false),
        ];
        for (expected, change) in cases {
            let mut spec = mixture();
            let mut moe = spec.moe.unwrap();
            change(&mut spec, &mut moe);
            spec.moe = Some(moe);
            let told = match check(&spec) {
                Err(GgufExportError::Semantics { field, .. }) => field,
                _ => "",
            };
            assert_eq!(told, expected);
        }
        // A dense model may well have a head of its own.
        assert!(check(&ModelSpec { moe: None, tied: false, ..mixture() }).is_ok());
    }

    #[test]
    fn a_spelt_out_head_width_is_written() {
        let mut kvs = Kvs::default();
        keys(&mut kvs, &mixture(), 7);
        assert_eq!(kvs.get("lfm2moe.attention.key_length"), Some(&Value::U32(32)));
        assert_eq!(kvs.get("lfm2moe.attention.head_count_kv"), Some(&Value::I32s(vec![0, 2])));
        let keys = kvs.keys();
        let place = |key: &str| keys.iter().position(|k| *k == key).unwrap();
        assert!(place("lfm2moe.attention.value_length") < place("general.file_type"));
        assert!(place("general.file_type") < place("lfm2moe.expert_gating_func"));
    }
}
