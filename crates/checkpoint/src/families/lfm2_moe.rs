//! The mixture-of-experts family, `Lfm2MoeForCausalLM`.

use super::shared::{self, COUNT_LIMIT, Defaults, layer_count, layer_types, width};
use crate::CheckpointError;
use crate::fields::{Fields, bad};
use lfmq_core::{Family, Ffn, LayerSpec, ModelSpec, MoeSpec};
use serde_json::Value;

const DEFAULTS: Defaults = Defaults { hidden: 2048, ffn: 7168 };

/// The shape that `fields` describe. The dense layers' width is taken as it is: this family knows no rounding rule.
pub fn spec(fields: Fields<'_>) -> Result<ModelSpec, CheckpointError> {
    let mut spec = shared::spec(fields, Family::Lfm2Moe, &DEFAULTS)?;
    spec.ffn_width = width("intermediate_size", fields.size("intermediate_size")?.unwrap_or(DEFAULTS.ffn))?;
    let layers = layer_count(fields, 32)?;
    let Some(mixers) = layer_types(fields, layers)? else {
        return Err(bad("layer_types", "given, as full_attn_idxs does not count in this family", &Value::Null));
    };
    spec.dense_layers = fields.count("num_dense_layers")?.unwrap_or(2).min(layers);
    spec.moe = Some(mixture(fields)?);
    // Mixer and feed-forward are told apart independently: one by type, the other by index.
    let ffn = |index| if index < spec.dense_layers { Ffn::Dense(spec.ffn_width) } else { Ffn::Moe };
    spec.layers = mixers.into_iter().enumerate().map(|(index, mixer)| LayerSpec { mixer, ffn: ffn(index) }).collect();
    Ok(spec)
}

fn mixture(fields: Fields<'_>) -> Result<MoeSpec, CheckpointError> {
    let experts = fields.size("num_experts")?.unwrap_or(32);
    if experts > COUNT_LIMIT {
        return Err(bad("num_experts", &format!("at most {COUNT_LIMIT}"), &Value::from(experts)));
    }
    let top_k = fields.size("num_experts_per_tok")?.unwrap_or(4);
    if top_k > experts {
        return Err(bad("num_experts_per_tok", &format!("at most num_experts = {experts}"), &Value::from(top_k)));
    }
    Ok(MoeSpec {
        experts,
        top_k,
        width: width("moe_intermediate_size", fields.size("moe_intermediate_size")?.unwrap_or(1792))?,
        use_bias: fields.flag("use_expert_bias")?.unwrap_or(true),
        norm_top_k: fields.flag("norm_topk_prob")?.unwrap_or(true),
        scale: fields.positive("routed_scaling_factor")?.unwrap_or(1.0) as f32,
    })
}
