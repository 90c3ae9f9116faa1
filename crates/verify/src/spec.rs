//! Compares what an artifact says about the model's shape with what the checkpoint says.

use lfmq_core::{Ffn, LayerSpec, Mixer, ModelSpec, MoeSpec};
use serde::Serialize;
use std::fmt::Display;

/// A field on which artifact and checkpoint differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SpecDifference {
    /// The field, e.g. `rope_theta` or `layers[3].mixer`.
    pub field: String,
    /// The checkpoint's value.
    pub expected: String,
    /// The artifact's value.
    pub found: String,
}

/// Every field on which `found` differs from `expected`.
///
/// Left out is what formats have no room for: whether `head_dim` was spelled out, further end-of-sequence ids and
/// padding. Reals are compared as f32, the widest type that artifacts store them in.
#[must_use]
pub fn compare(expected: &ModelSpec, found: &ModelSpec) -> Vec<SpecDifference> {
    let mut list = List(Vec::new());
    list.word("family", expected.family, found.family);
    for (field, of) in SIZES {
        list.size(field, of(expected), of(found));
    }
    list.real("norm_eps", expected.norm_eps, found.norm_eps);
    list.real("rope_theta", expected.rope_theta, found.rope_theta);
    list.check("conv_bias", &expected.conv_bias, &found.conv_bias);
    list.check("tied", &expected.tied, &found.tied);
    list.layers(&expected.layers, &found.layers);
    list.moe(expected.moe.as_ref(), found.moe.as_ref());
    // Silence about special tokens is not a contradiction.
    if let (Some(e), Some(f)) = (expected.tokens.bos, found.tokens.bos) {
        list.check("tokens.bos", &e, &f);
    }
    if let (Some(e), Some(f)) = (expected.tokens.eos.first(), found.tokens.eos.first()) {
        list.check("tokens.eos", e, f);
    }
    list.0
}

type Size = (&'static str, fn(&ModelSpec) -> usize);

const SIZES: [Size; 8] = [
    ("vocab", |s| s.vocab),
    ("hidden", |s| s.hidden),
    ("heads", |s| s.heads),
    ("kv_heads", |s| s.kv_heads),
    ("head_dim", |s| s.head_dim),
    ("conv_taps", |s| s.conv_taps),
    ("max_positions", |s| s.max_positions),
    ("layers", |s| s.layers.len()),
];

struct List(Vec<SpecDifference>);

impl List {
    fn check<T: PartialEq + Display>(&mut self, field: impl Into<String>, expected: &T, found: &T) {
        if expected != found {
            self.push(field, expected.to_string(), found.to_string());
        }
    }

    fn push(&mut self, field: impl Into<String>, expected: String, found: String) {
        self.0.push(SpecDifference { field: field.into(), expected, found });
    }

    fn size(&mut self, field: &str, expected: usize, found: usize) {
        self.check(field, &expected, &found);
    }

    fn real(&mut self, field: &str, expected: f64, found: f64) {
        self.check(field, &(expected as f32), &(found as f32));
    }

    /// Values whose name is the one they have in JSON.
    fn word<T: PartialEq + Serialize>(&mut self, field: impl Into<String>, expected: T, found: T) {
        if expected != found {
            let name = |v: &T| serde_json::to_string(v).unwrap_or_default().replace('"', "");
            self.push(field, name(&expected), name(&found));
        }
    }

    fn layers(&mut self, expected: &[LayerSpec], found: &[LayerSpec]) {
        let mixer = |l: &LayerSpec| match l.mixer {
            Mixer::Conv => "conv".to_owned(),
            Mixer::Attention => "attention".to_owned(),
        };
        let ffn = |l: &LayerSpec| match l.ffn {
            Ffn::Dense(width) => format!("dense {width}"),
            Ffn::Moe => "moe".to_owned(),
        };
        for (i, (e, f)) in expected.iter().zip(found).enumerate() {
            self.check(format!("layers[{i}].mixer"), &mixer(e), &mixer(f));
            self.check(format!("layers[{i}].ffn"), &ffn(e), &ffn(f));
        }
    }

    fn moe(&mut self, expected: Option<&MoeSpec>, found: Option<&MoeSpec>) {
        match (expected, found) {
            (Some(e), Some(f)) => {
                self.size("moe.experts", e.experts, f.experts);
                self.size("moe.top_k", e.top_k, f.top_k);
                self.size("moe.width", e.width, f.width);
                self.check("moe.use_bias", &e.use_bias, &f.use_bias);
                self.check("moe.norm_top_k", &e.norm_top_k, &f.norm_top_k);
                self.check("moe.scale", &e.scale, &f.scale);
            }
            (None, None) => {}
            (e, f) => {
                let say = |m: Option<&MoeSpec>| m.map_or("none", |_| "some").to_owned();
                self.push("moe", say(e), say(f));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lfmq_core::{Family, TokenIds};

    fn spec() -> ModelSpec {
        ModelSpec {
            family: Family::Lfm2Moe,
            vocab: 64,
            hidden: 32,
            layers: vec![
                LayerSpec { mixer: Mixer::Conv, ffn: Ffn::Dense(48) },
                LayerSpec { mixer: Mixer::Attention, ffn: Ffn::Moe },
            ],
            heads: 4,
            kv_heads: 2,
            head_dim: 8,
            explicit_head_dim: false,
            conv_taps: 3,
            conv_bias: false,
            norm_eps: 1e-5,
            rope_theta: 1e6,
            max_positions: 128,
            ffn_width: 48,
            dense_layers: 1,
            moe: Some(MoeSpec { experts: 4, top_k: 2, width: 16, use_bias: true, norm_top_k: true, scale: 1.0 }),
            tied: true,
            tokens: TokenIds { bos: Some(1), eos: vec![7, 2], pad: Some(0) },
        }
    }

    #[test]
    fn what_a_format_cannot_say_is_no_difference() {
        let mut found = spec();
        found.explicit_head_dim = true;
        found.norm_eps = f64::from(1e-5_f32);
        found.tokens = TokenIds { bos: None, eos: vec![7], pad: None };
        assert_eq!(compare(&spec(), &found), []);
    }

    #[test]
    fn every_shift_is_named() {
        type Change = (&'static str, fn(&mut ModelSpec));
        let changes: [Change; 13] = [
            ("rope_theta", |s| s.rope_theta = 1e4),
            ("norm_eps", |s| s.norm_eps = 1e-6),
            ("heads", |s| s.heads = 8),
            ("kv_heads", |s| s.kv_heads = 4),
            ("conv_taps", |s| s.conv_taps = 4),
            ("layers[0].mixer", |s| s.layers[0].mixer = Mixer::Attention),
            ("layers[0].ffn", |s| s.layers[0].ffn = Ffn::Dense(64)),
            ("moe.top_k", |s| s.moe.as_mut().unwrap().top_k = 1),
            ("moe.use_bias", |s| s.moe.as_mut().unwrap().use_bias = false),
            ("moe.norm_top_k", |s| s.moe.as_mut().unwrap().norm_top_k = false),
            ("moe.scale", |s| s.moe.as_mut().unwrap().scale = 2.5),
            ("moe", |s| s.moe = None),
            ("tokens.eos", |s| s.tokens.eos = vec![2]),
        ];
        for (field, change) in changes {
            let mut found = spec();
            change(&mut found);
            let fields: Vec<_> = compare(&spec(), &found).into_iter().map(|d| d.field).collect();
            assert_eq!(fields, [field]);
        }
        let mut found = spec();
        found.rope_theta = 1e4;
        let d = &compare(&spec(), &found)[0];
        assert_eq!((d.expected.as_str(), d.found.as_str()), ("1000000", "10000"));
    }
}
