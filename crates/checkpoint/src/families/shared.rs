//! What the dense and the mixture family have in common.

use super::unsupported;
use crate::CheckpointError;
use crate::fields::{Fields, bad};
use lfmq_core::{Family, Mixer, ModelSpec, TokenIds};
use serde_json::Value;

/// Layers and experts a model may have; the deepest has 40, the widest 64.
pub const COUNT_LIMIT: usize = 512;
/// Width that a layer's matrix may have on either side.
const WIDTH_LIMIT: usize = 1 << 20;

/// The defaults that differ between the families.
pub struct Defaults {
    pub hidden: usize,
    pub ffn: usize,
}

/// Everything but layers, mixture and the width of the feed-forward.
pub fn spec(fields: Fields<'_>, family: Family, defaults: &Defaults) -> Result<ModelSpec, CheckpointError> {
    let hidden = width("hidden_size", fields.size("hidden_size")?.unwrap_or(defaults.hidden))?;
    let heads = fields.size("num_attention_heads")?.unwrap_or(32);
    let kv_heads = fields.size("num_key_value_heads")?.unwrap_or(8);
    if !heads.is_multiple_of(kv_heads) {
        let expected = format!("a divisor of num_attention_heads = {heads}");
        return Err(bad("num_key_value_heads", &expected, &Value::from(kv_heads)));
    }
    let given = fields.size("head_dim")?;
    let head_dim = match given {
        Some(given) => given,
        None if hidden.is_multiple_of(heads) => hidden / heads,
        None => {
            return Err(bad(
                "hidden_size",
                &format!("a multiple of num_attention_heads = {heads}"),
                &Value::from(hidden),
            ));
        }
    };
    if !head_dim.is_multiple_of(2) {
        return Err(bad("head_dim", "even, as rotary positions pair its halves", &Value::from(head_dim)));
    }
    width("num_attention_heads * head_dim", heads * head_dim)?;
    Ok(ModelSpec {
        family,
        vocab: fields.size("vocab_size")?.unwrap_or(65_536),
        hidden,
        layers: Vec::new(),
        heads,
        kv_heads,
        head_dim,
        explicit_head_dim: given.is_some(),
        conv_taps: width("conv_L_cache", fields.size("conv_L_cache")?.unwrap_or(3))?,
        conv_bias: fields.flag("conv_bias")?.unwrap_or(false),
        norm_eps: fields.positive("norm_eps")?.unwrap_or(1e-5),
        rope_theta: rope_theta(fields)?,
        max_positions: fields.size("max_position_embeddings")?.unwrap_or(128_000),
        ffn_width: 0,
        dense_layers: 0,
        moe: None,
        tied: fields.flag("tie_embedding")?.or(fields.flag("tie_word_embeddings")?).unwrap_or(true),
        tokens: tokens(fields)?,
    })
}

/// `width` unless it is beyond any model.
pub fn width(field: &str, width: usize) -> Result<usize, CheckpointError> {
    if width <= WIDTH_LIMIT {
        Ok(width)
    } else {
        Err(bad(field, &format!("at most {WIDTH_LIMIT}"), &Value::from(width)))
    }
}

/// The number of layers.
pub fn layer_count(fields: Fields<'_>, default: usize) -> Result<usize, CheckpointError> {
    let layers = fields.size("num_hidden_layers")?.unwrap_or(default);
    if layers <= COUNT_LIMIT {
        return Ok(layers);
    }
    Err(bad("num_hidden_layers", &format!("at most {COUNT_LIMIT}"), &Value::from(layers)))
}

/// The mixers that `layer_types` spells out, if it is given.
pub fn layer_types(fields: Fields<'_>, layers: usize) -> Result<Option<Vec<Mixer>>, CheckpointError> {
    let Some(list) = fields.list("layer_types")? else { return Ok(None) };
    if list.len() != layers {
        let expected = format!("a list of num_hidden_layers = {layers} entries");
        return Err(bad("layer_types", &expected, &Value::from(format!("a list of {}", list.len()))));
    }
    let mixer = |kind: &Value| match kind.as_str() {
        Some("conv") => Ok(Mixer::Conv),
        Some("full_attention") => Ok(Mixer::Attention),
        _ => Err(bad("layer_types", "made of `conv` and `full_attention`", kind)),
    };
    list.iter().map(mixer).collect::<Result<_, _>>().map(Some)
}

/// The base of the rotary angles: that of `rope_parameters` wins over the older top-level spelling.
fn rope_theta(fields: Fields<'_>) -> Result<f64, CheckpointError> {
    let top = fields.positive("rope_theta")?.unwrap_or(1e6);
    let mut theta = None;
    for name in ["rope_scaling", "rope_parameters"] {
        let Some(rope) = fields.object(name)? else { continue };
        for kind in [rope.text("rope_type")?, rope.text("type")?].into_iter().flatten() {
            if kind != "default" {
                return Err(unsupported(format!("rope_type `{kind}`"), "the family uses plain rotary positions only"));
            }
        }
        if rope.get("partial_rotary_factor").is_some_and(|factor| factor.as_f64() != Some(1.0)) {
            return Err(unsupported("partial_rotary_factor", "the family rotates whole heads only"));
        }
        theta = rope.positive("rope_theta")?.or(theta);
    }
    Ok(theta.unwrap_or(top))
}

/// The special tokens. The library's defaults (0, 1, 2) fit no released model, so an absent id stays absent.
fn tokens(fields: Fields<'_>) -> Result<TokenIds, CheckpointError> {
    let first = |name| fields.tokens(name).map(|ids| ids.first().copied());
    Ok(TokenIds { bos: first("bos_token_id")?, eos: fields.tokens("eos_token_id")?, pad: first("pad_token_id")? })
}
