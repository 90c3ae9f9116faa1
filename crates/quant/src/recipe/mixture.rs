//! The exceptions of the presets, by role. Rules that ask for the number of query heads per key head never fire for
//! this family: the reference looks at layer 0, which is a convolution.

use super::Preset;
use lfmq_core::{Mixer, ModelSpec, SchemeId, TensorId, TensorRole as R};

/// What a recipe chooses for a tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The scheme.
    pub scheme: SchemeId,
    /// Why, in a few words.
    pub reason: String,
}

/// The scheme of the matrix `id` (rows of `cols` weights) in `preset`.
pub(super) fn choose(preset: &Preset, spec: &ModelSpec, id: TensorId, cols: usize, importance: bool) -> Choice {
    if preset.float() {
        return Choice { scheme: preset.scheme, reason: format!("{}: every matrix", preset.name) };
    }
    let default = (preset.scheme.0, "the preset's scheme");
    let (scheme, why) = exception(preset, spec, id, cols, importance).unwrap_or(default);
    let fitting = fit(scheme, cols);
    let reason = match fitting == scheme {
        true => format!("{}: {why}", preset.name),
        false => format!("{}: {scheme} does not fit rows of {cols}", preset.name),
    };
    Choice { scheme: SchemeId(fitting), reason }
}

type Exception = Option<(&'static str, &'static str)>;

fn exception(preset: &Preset, spec: &ModelSpec, id: TensorId, cols: usize, importance: bool) -> Exception {
    let expert = id.role.expert().is_some();
    // Rules written for Mixtral go by the number of experts alone.
    let eight = spec.moe.is_some_and(|moe| moe.experts == 8);
    let head = id.role == R::Head || (spec.tied && id.role == R::Embedding);
    match (id.role, preset.name) {
        _ if head => output(preset, cols),
        (_, "MXFP4_MOE") if expert => None,
        (_, "MXFP4_MOE") => Some(("q8_0", "not an expert")),
        (R::Embedding, "TQ1_0" | "TQ2_0") => Some(("q4_k", "the embedding is not ternary")),
        (R::AttnV | R::AttnK, _) if eight => Some(("q8_0", "few values, eight experts")),
        (R::AttnV, name) => value(name, spec, id),
        (R::AttnOut, name) if eight => attention_output_of_eight(name),
        (R::AttnOut, name) => attention_output(name),
        (R::FfnDown | R::ExpertDown(_), name) => {
            down(name, id.layer.unwrap_or_default().into(), spec.layers.len(), importance)
        }
        _ => None,
    }
}

/// The head, or the embedding that serves as one.
fn output(preset: &Preset, cols: usize) -> Exception {
    let block = crate::scheme(preset.scheme.0).map_or(1, |s| s.grid().block());
    match preset.scheme.0 {
        "mxfp4" => Some(("q8_0", "the head keeps eight bits")),
        _ if !cols.is_multiple_of(block) => Some(("q8_0", "the head's rows are not whole blocks")),
        "q8_0" => None,
        _ => Some(("q6_k", "the head keeps six bits")),
    }
}

/// The value projection; it counts attention layers.
fn value(preset: &str, spec: &ModelSpec, id: TensorId) -> Exception {
    let attention = |layers: &[lfmq_core::LayerSpec]| layers.iter().filter(|l| l.mixer == Mixer::Attention).count();
    let i = attention(spec.layers.get(..usize::from(id.layer.unwrap_or_default())).unwrap_or_default());
    let n = attention(&spec.layers);
    match preset {
        "Q2_K" => Some(("q3_k", "values keep more bits")),
        "Q3_K_M" if i < 2 => Some(("q5_k", "values of the first two attention layers")),
        "Q3_K_M" => Some(("q4_k", "values keep more bits")),
        "Q3_K_L" => Some(("q5_k", "values keep more bits")),
        "Q4_K_M" | "Q5_K_M" if more(i, n) => Some(("q6_k", "values: first, last and every third attention layer")),
        "Q4_K_S" if i < 4 => Some(("q5_k", "values of the first four attention layers")),
        _ => None,
    }
}

fn attention_output(preset: &str) -> Exception {
    match preset {
        "Q2_K" => Some(("q3_k", "attention output keeps more bits")),
        "Q3_K_M" => Some(("q4_k", "attention output keeps more bits")),
        "Q3_K_L" => Some(("q5_k", "attention output keeps more bits")),
        _ => None,
    }
}

fn attention_output_of_eight(preset: &str) -> Exception {
    let promoted = ["Q2_K", "Q3_K_S", "Q3_K_M", "Q4_K_S", "Q4_K_M", "IQ4_NL", "IQ4_XS"];
    promoted.contains(&preset).then_some(("q5_k", "attention output, eight experts"))
}

/// The down projection of layer `i` of `n`.
fn down(preset: &str, i: usize, n: usize, importance: bool) -> Exception {
    let early = i < n / 8;
    match preset {
        "Q2_K" => Some(("q3_k", "down projection keeps more bits")),
        "Q2_K_S" if early => Some(("q4_k", "down projection of the first eighth")),
        "Q3_K_M" if i < n / 16 => Some(("q5_k", "down projection of the first sixteenth")),
        "Q3_K_M" => Some(("q4_k", "down projection keeps more bits")),
        "Q3_K_L" => Some(("q5_k", "down projection keeps more bits")),
        "Q4_K_M" | "Q5_K_M" if more(i, n) => Some(("q6_k", "down projection: first, last and every third layer")),
        "IQ4_NL" | "IQ4_XS" if early && !importance => {
            Some(("q5_k", "down projection of the first eighth, no importance"))
        }
        "Q4_K_S" if early => Some(("q5_k", "down projection of the first eighth")),
        "Q4_0" if early && importance => Some(("q4_1", "down projection of the first eighth, with importance")),
        "Q5_0" if early && importance => Some(("q5_1", "down projection of the first eighth, with importance")),
        _ => None,
    }
}

/// The first and the last eighth, and every third between.
fn more(i: usize, n: usize) -> bool {
    i < n / 8 || i >= 7 * n / 8 || (i - n / 8) % 3 == 2
}

/// The scheme itself or, for rows that are not whole blocks, the one the preset falls back to.
fn fit(scheme: &'static str, cols: usize) -> &'static str {
    let holds = |name: &str| crate::scheme(name).is_some_and(|s| cols.is_multiple_of(s.grid().block()));
    let smaller = match scheme {
        "iq4_xs" => "iq4_nl",
        "q2_k" | "q3_k" | "tq1_0" | "tq2_0" => "q4_0",
        "q4_k" => "q5_0",
        "q5_k" => "q5_1",
        "q6_k" => "q8_0",
        other => other,
    };
    match (holds(scheme), holds(smaller)) {
        (true, _) => scheme,
        (_, true) => smaller,
        _ => "f16",
    }
}
