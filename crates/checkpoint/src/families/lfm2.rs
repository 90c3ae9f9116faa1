//! The dense family, `Lfm2ForCausalLM`.

use super::shared::{self, Defaults, layer_count, layer_types, width};
use crate::CheckpointError;
use crate::fields::{Fields, bad, whole};
use lfmq_core::{Family, Ffn, LayerSpec, Mixer, ModelSpec};
use serde_json::Value;

/// The shape that `fields` describe.
pub fn spec(fields: Fields<'_>) -> Result<ModelSpec, CheckpointError> {
    let mut spec = shared::spec(fields, Family::Lfm2, &DEFAULTS)?;
    spec.ffn_width = ffn_width(fields)?;
    let ffn = Ffn::Dense(spec.ffn_width);
    spec.layers = mixers(fields)?.into_iter().map(|mixer| LayerSpec { mixer, ffn }).collect();
    spec.dense_layers = spec.layers.len();
    Ok(spec)
}

const DEFAULTS: Defaults = Defaults { hidden: 2560, ffn: 12_288 };

/// The inner width that the tensors have. The configuration's is nominal: two thirds of it, times the multiplier, up to
/// the next multiple, cut to a whole number after each step.
fn ffn_width(fields: Fields<'_>) -> Result<usize, CheckpointError> {
    let nominal = match fields.size("block_ff_dim")? {
        Some(width) => width,
        None => fields.size("intermediate_size")?.unwrap_or(DEFAULTS.ffn),
    };
    if !fields.flag("block_auto_adjust_ff_dim")?.unwrap_or(true) {
        return width("intermediate_size", nominal);
    }
    let multiple = width("block_multiple_of", fields.size("block_multiple_of")?.unwrap_or(256))?;
    let multiplier = fields.positive("block_ffn_dim_multiplier")?.unwrap_or(1.0);
    // A cast from float cuts towards zero and saturates; `width` then refuses.
    let scaled = (multiplier * (2 * nominal / 3) as f64) as usize;
    if scaled == 0 {
        return Err(bad("block_ffn_dim_multiplier", "enough to leave a width", &Value::from(multiplier)));
    }
    width("intermediate_size", width("intermediate_size", scaled)?.next_multiple_of(multiple))
}

/// `layer_types` wins over `full_attn_idxs`; with neither all layers are attention.
fn mixers(fields: Fields<'_>) -> Result<Vec<Mixer>, CheckpointError> {
    let layers = layer_count(fields, 32)?;
    if let Some(mixers) = layer_types(fields, layers)? {
        return Ok(mixers);
    }
    let Some(list) = fields.list("full_attn_idxs")? else { return Ok(vec![Mixer::Attention; layers]) };
    let mut mixers = vec![Mixer::Conv; layers];
    for value in list {
        let slot = whole(value).and_then(|index| mixers.get_mut(usize::try_from(index).ok()?));
        *slot.ok_or_else(|| bad("full_attn_idxs", &format!("made of indices below {layers}"), value))? =
            Mixer::Attention;
    }
    Ok(mixers)
}
