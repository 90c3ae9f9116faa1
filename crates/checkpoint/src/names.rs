//! Names and shapes of tensors on disk.

use lfmq_core::{TensorId, TensorRole as R};

/// The name under which a per-expert checkpoint stores `id`.
#[must_use]
pub fn disk_name(id: TensorId) -> String {
    let word = suffix(id.role);
    match (id.layer, id.role.expert()) {
        (Some(layer), Some(e)) => format!("model.layers.{layer}.feed_forward.experts.{e}.{word}.weight"),
        (Some(layer), None) => format!("model.layers.{layer}.{word}"),
        (None, _) => word.to_owned(),
    }
}

/// Stacks of all experts of layer `layer`: gate above up, and down.
pub fn fused_names(layer: u16) -> [String; 2] {
    ["gate_up_proj", "down_proj"].map(|word| format!("model.layers.{layer}.feed_forward.experts.{word}"))
}

/// The name's part behind the layer; for an expert's tensor only its word.
const fn suffix(role: R) -> &'static str {
    match role {
        R::Embedding => "model.embed_tokens.weight",
        R::Head => "lm_head.weight",
        // The final norm, although its name says otherwise.
        R::FinalNorm => "model.embedding_norm.weight",
        R::MixerNorm => "operator_norm.weight",
        R::FfnNorm => "ffn_norm.weight",
        R::ConvInProj => "conv.in_proj.weight",
        R::ConvKernel => "conv.conv.weight",
        R::ConvOutProj => "conv.out_proj.weight",
        R::ConvInBias => "conv.in_proj.bias",
        R::ConvKernelBias => "conv.conv.bias",
        R::ConvOutBias => "conv.out_proj.bias",
        R::AttnQ => "self_attn.q_proj.weight",
        R::AttnK => "self_attn.k_proj.weight",
        R::AttnV => "self_attn.v_proj.weight",
        R::AttnOut => "self_attn.out_proj.weight",
        R::AttnQNorm => "self_attn.q_layernorm.weight",
        R::AttnKNorm => "self_attn.k_layernorm.weight",
        R::FfnGate => "feed_forward.w1.weight",
        R::FfnUp => "feed_forward.w3.weight",
        R::FfnDown => "feed_forward.w2.weight",
        R::Router => "feed_forward.gate.weight",
        R::RouterBias => "feed_forward.expert_bias",
        R::ExpertGate(_) => "w1",
        R::ExpertUp(_) => "w3",
        R::ExpertDown(_) => "w2",
    }
}

/// The dimensions on disk of a tensor that the model sees as `(rows, cols)`.
pub fn disk_shape(role: R, (rows, cols): (usize, usize)) -> Vec<u64> {
    let (rows, cols) = (rows as u64, cols as u64);
    match role {
        R::ConvKernel => vec![rows, 1, cols],
        R::FinalNorm
        | R::MixerNorm
        | R::FfnNorm
        | R::AttnQNorm
        | R::AttnKNorm
        | R::ConvInBias
        | R::ConvKernelBias
        | R::ConvOutBias
        | R::RouterBias => vec![cols],
        _ => vec![rows, cols],
    }
}
