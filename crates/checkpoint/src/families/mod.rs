//! config.json -> [`ModelSpec`]: one file a family, and the list of relatives that are refused by name.

mod lfm2;
mod lfm2_moe;
mod shared;

use crate::CheckpointError;
use crate::fields::{Fields, bad};
use lfmq_core::ModelSpec;
use serde_json::Value;

/// The shape of the model that a `config.json` describes, with the defaults and precedence of the library it is
/// written for.
///
/// # Errors
/// [`CheckpointError::Unsupported`] for a model that is not a causal LFM2 or LFM2-MoE in plain floats, and
/// [`CheckpointError::Field`] for a field that makes no sense.
pub fn spec_from_config(config: &Value) -> Result<ModelSpec, CheckpointError> {
    let fields = Fields::of(config)?;
    let architecture = architecture(fields)?;
    let model_type = fields.text("model_type")?.unwrap_or_default();
    refuse_relatives(architecture, model_type)?;
    if let Some(quantization) = fields.get("quantization_config") {
        let method = quantization.get("quant_method").and_then(Value::as_str).unwrap_or("unnamed");
        return Err(unsupported(
            format!("a checkpoint quantized by `{method}`"),
            "quantization_config is set; quantize from the original BF16 checkpoint",
        ));
    }
    match (architecture, model_type) {
        ("Lfm2ForCausalLM", "lfm2") => lfm2::spec(fields),
        ("Lfm2MoeForCausalLM", "lfm2_moe") => lfm2_moe::spec(fields),
        _ => Err(unsupported(
            format!("architecture `{architecture}` with model_type `{model_type}`"),
            "it is none of the known families",
        )),
    }
}

/// The one architecture that the configuration names. `model_type` alone does not tell an encoder from a decoder.
fn architecture(fields: Fields<'_>) -> Result<&str, CheckpointError> {
    let field = "architectures";
    let expected = "a list of one name";
    match fields.list(field)? {
        Some([Value::String(name)]) => Ok(name),
        Some(list) => Err(bad(field, expected, &Value::from(list))),
        None if fields.text("model_type")?.is_some_and(|t| t.starts_with("lfm3")) => Ok("Lfm3"),
        None => Err(bad(field, expected, &Value::Null)),
    }
}

/// Relatives of the family by what their architecture or model type contains, with the reason.
const RELATIVES: [(&[&str], &str, &str); 6] = [
    (&["lfm3"], "LFM3", "it is another architecture: gated attention, other norms, sliding windows, 7 taps"),
    (&["lfm2vl", "lfm2_vl", "lfm2-vl"], "LFM2-VL", "vision-language models are not covered, only text models"),
    (&["audio"], "LFM2-Audio", "audio models are not covered, only text models"),
    (&["draft", "eagle", "medusa", "mtp", "dspark"], "a draft model", "it cannot run without its target model"),
    (&["colbert"], "LFM2-ColBERT", "it is a retrieval encoder, not a causal language model"),
    (
        &["bidir", "encoder", "maskedlm", "classification", "lfm2model", "lfm2moemodel", "embedding"],
        "an LFM2 encoder",
        "it attends both ways and centres its convolution; only causal language models are covered",
    ),
];

fn refuse_relatives(architecture: &str, model_type: &str) -> Result<(), CheckpointError> {
    let words = [architecture.to_lowercase(), model_type.to_lowercase()];
    let contains = |marks: &[&str]| marks.iter().any(|mark| words.iter().any(|word| word.contains(mark)));
    match RELATIVES.iter().find(|(marks, ..)| contains(marks)) {
        Some((_, what, why)) => Err(unsupported(format!("{what} (`{architecture}`, `{model_type}`)"), *why)),
        None => Ok(()),
    }
}

fn unsupported(what: impl Into<String>, why: impl Into<String>) -> CheckpointError {
    CheckpointError::Unsupported { what: what.into(), why: why.into() }
}
