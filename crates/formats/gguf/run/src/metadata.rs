//! The model's shape from a file's keys and from which tensors it has; nothing else is known of the model here.

use lfmq_core::{Family, Ffn, LayerSpec, Mixer, ModelSpec, MoeSpec, TokenIds};
use lfmq_gguf_wire::{Container, FromValue, Value, WireError};

/// Layers, heads, experts and widths past these are no LFM2; the bounds keep sizes multiplied from them in range.
const MOST_LAYERS: usize = 1024;
const MOST_EXPERTS: usize = 4096;
const WIDEST: usize = 1 << 24;
/// The sigmoid, as `expert_gating_func` numbers it.
const SIGMOID: u32 = 2;

/// The architecture, if it is one that is run here.
pub(crate) fn family(file: &Container<'_>) -> Result<Family, WireError> {
    let key = "general.type";
    if let Some(found) = file.find::<&str>(key)?.filter(|t| *t != "model") {
        return Err(odd(key.into(), "model", found));
    }
    let key = "general.architecture";
    match file.read(key)? {
        "lfm2" => Ok(Family::Lfm2),
        "lfm2moe" => Ok(Family::Lfm2Moe),
        other => Err(odd(key.into(), "lfm2 or lfm2moe", other)),
    }
}

/// The shape of a model of this family.
pub(crate) fn spec(
    file: &Container<'_>,
    family: Family,
    tied: bool,
    embedding_rows: usize,
) -> Result<ModelSpec, WireError> {
    let arch = match family {
        Family::Lfm2 => "lfm2",
        Family::Lfm2Moe => "lfm2moe",
    };
    let keys = Keys { file, arch };
    keys.refuse_other_models()?;

    let hidden = keys.size("embedding_length", WIDEST)?;
    let heads = keys.size("attention.head_count", hidden)?;
    let per_layer = keys.kv_heads(keys.size("block_count", MOST_LAYERS)?)?;
    let (head_dim, explicit_head_dim) = keys.head_dim(hidden, heads)?;
    let kv_heads = keys.one_kv_heads(&per_layer, heads)?;
    let (ffn_width, dense_layers, moe) = keys.feed_forward(family, per_layer.len())?;
    let layers = per_layer
        .iter()
        .enumerate()
        .map(|(index, kv)| LayerSpec {
            mixer: if *kv == 0 { Mixer::Conv } else { Mixer::Attention },
            ffn: if index < dense_layers { Ffn::Dense(ffn_width) } else { Ffn::Moe },
        })
        .collect();
    keys.vocabulary_agrees(embedding_rows)?;
    Ok(ModelSpec {
        family,
        vocab: embedding_rows,
        hidden,
        layers,
        heads,
        kv_heads,
        head_dim,
        explicit_head_dim,
        conv_taps: keys.size("shortconv.l_cache", 64)?,
        conv_bias: false,
        norm_eps: keys.positive("attention.layer_norm_rms_epsilon")?,
        rope_theta: keys.positive("rope.freq_base")?,
        max_positions: keys.size("context_length", u32::MAX as usize)?,
        ffn_width,
        dense_layers,
        moe,
        tied,
        tokens: token_ids(file)?,
    })
}

/// The keys of one architecture.
struct Keys<'f, 'a> {
    file: &'f Container<'a>,
    arch: &'f str,
}

impl<'a> Keys<'_, 'a> {
    fn name(&self, key: &str) -> String {
        format!("{}.{key}", self.arch)
    }

    fn read<T: FromValue<'a>>(&self, key: &str) -> Result<T, WireError> {
        self.file.read(&self.name(key))
    }

    fn find<T: FromValue<'a>>(&self, key: &str) -> Result<Option<T>, WireError> {
        self.file.find(&self.name(key))
    }

    /// A count or width: 1 to `most`.
    fn size(&self, key: &str, most: usize) -> Result<usize, WireError> {
        match self.read(key)? {
            n if (1..=most).contains(&n) => Ok(n),
            n => Err(odd(self.name(key), format!("1 to {most}"), n)),
        }
    }

    /// A float above zero. Written as f32 of a decimal number, so it is read as that decimal number.
    fn positive(&self, key: &str) -> Result<f64, WireError> {
        let found: f64 = self.read(key)?;
        let decimal = (found as f32).to_string().parse().unwrap_or(found);
        if decimal > 0.0 && f64::is_finite(decimal) {
            Ok(decimal)
        } else {
            Err(odd(self.name(key), "a positive number", found))
        }
    }

    /// Variants of the architecture that compute something else.
    fn refuse_other_models(&self) -> Result<(), WireError> {
        if self.find("attention.causal")? == Some(false) {
            return Err(odd(self.name("attention.causal"), "true: encoders are not run", false));
        }
        if let Some(window) = self.find::<u64>("attention.sliding_window")?.filter(|w| *w > 0) {
            return Err(odd(self.name("attention.sliding_window"), "none", window));
        }
        if let Some(kind) = self.find::<&str>("rope.scaling.type")?.filter(|k| *k != "none") {
            return Err(odd(self.name("rope.scaling.type"), "none", kind));
        }
        // Keys that llama.cpp does not read for these architectures: a file that needs them runs wrong there.
        if let Some(scale) = self.find::<f64>("expert_weights_scale")?.filter(|s| *s != 1.0 && *s != 0.0) {
            return Err(odd(self.name("expert_weights_scale"), "1", scale));
        }
        if self.find("expert_weights_norm")? == Some(false) {
            return Err(odd(self.name("expert_weights_norm"), "true", false));
        }
        Ok(())
    }

    /// Key/value heads of each layer: an array, or one number for all. Zero marks a convolution layer.
    fn kv_heads(&self, layers: usize) -> Result<Vec<usize>, WireError> {
        let name = self.name("attention.head_count_kv");
        let expected = format!("an integer, or an array of {layers} of them");
        let value = self.file.get(&name).ok_or_else(|| WireError::MissingKey { key: name.clone() })?;
        let wrong = || WireError::KeyValue { key: name.clone(), expected: expected.clone(), found: value.describe() };
        let ints: Vec<i128> = match value {
            Value::Array(array) if array.len() == layers => array.ints().ok_or_else(wrong)?.collect(),
            scalar => vec![scalar.int().ok_or_else(wrong)?; layers],
        };
        let size = |n: &i128| usize::try_from(*n).ok().filter(|n| *n <= WIDEST);
        ints.iter().map(|n| size(n).ok_or_else(|| odd(name.clone(), "0 or more", n))).collect()
    }

    /// The number that all attention layers share. A model without attention has none; 1 stands for it.
    fn one_kv_heads(&self, per_layer: &[usize], heads: usize) -> Result<usize, WireError> {
        let mut counts = per_layer.iter().copied().filter(|n| *n > 0);
        let first = counts.next().unwrap_or(1);
        let name = self.name("attention.head_count_kv");
        if let Some(other) = counts.find(|n| *n != first) {
            return Err(odd(name, format!("the same number {first} in every attention layer"), other));
        }
        if !heads.is_multiple_of(first) {
            return Err(odd(name, format!("a divisor of the {heads} query heads"), first));
        }
        Ok(first)
    }

    /// Width of a head, and whether the file spells it out.
    fn head_dim(&self, hidden: usize, heads: usize) -> Result<(usize, bool), WireError> {
        let explicit: Option<usize> = self.find("attention.key_length")?;
        if explicit.is_none() && !hidden.is_multiple_of(heads) {
            return Err(odd(self.name("attention.head_count"), format!("a divisor of {hidden}"), heads));
        }
        let head_dim = explicit.unwrap_or(hidden / heads);
        if head_dim == 0 || head_dim > WIDEST || !head_dim.is_multiple_of(2) {
            return Err(odd(self.name("attention.key_length"), "an even width", head_dim));
        }
        for key in ["attention.value_length", "rope.dimension_count"] {
            if let Some(found) = self.find::<usize>(key)?.filter(|n| *n != head_dim) {
                return Err(odd(self.name(key), format!("the head width {head_dim}"), found));
            }
        }
        Ok((head_dim, explicit.is_some()))
    }

    /// Dense width, number of dense layers, experts.
    fn feed_forward(&self, family: Family, layers: usize) -> Result<(usize, usize, Option<MoeSpec>), WireError> {
        let width = self.size("feed_forward_length", WIDEST)?;
        if family == Family::Lfm2 {
            return Ok((width, layers, None));
        }
        let experts = self.size("expert_count", MOST_EXPERTS)?;
        let top_k = self.size("expert_used_count", experts)?;
        match self.read("expert_gating_func")? {
            SIGMOID => {}
            found => return Err(odd(self.name("expert_gating_func"), "2 (sigmoid)", found)),
        }
        let dense: usize = self.read("leading_dense_block_count")?;
        if dense > layers {
            return Err(odd(self.name("leading_dense_block_count"), format!("at most {layers}"), dense));
        }
        let expert_width = self.size("expert_feed_forward_length", WIDEST)?;
        // What the file cannot say: llama.cpp always adds the bias, always normalises, never scales.
        let moe = MoeSpec { experts, top_k, width: expert_width, use_bias: true, norm_top_k: true, scale: 1.0 };
        Ok((width, dense, Some(moe)))
    }

    fn vocabulary_agrees(&self, rows: usize) -> Result<(), WireError> {
        if let Some(found) = self.find::<usize>("vocab_size")?.filter(|n| *n != rows) {
            return Err(odd(self.name("vocab_size"), format!("the {rows} rows of the embedding"), found));
        }
        let key = "tokenizer.ggml.tokens";
        match self.file.find::<lfmq_gguf_wire::Array<'_>>(key)? {
            Some(tokens) if tokens.len() != rows => {
                Err(odd(key.into(), format!("{rows} tokens, the rows of the embedding"), tokens.len()))
            }
            _ => Ok(()),
        }
    }
}

fn token_ids(file: &Container<'_>) -> Result<TokenIds, WireError> {
    let id = |name: &str| file.find::<u32>(&format!("tokenizer.ggml.{name}_token_id"));
    let mut eos = Vec::new();
    for name in ["eos", "eot", "eom"] {
        eos.extend(id(name)?.filter(|found| !eos.contains(found)));
    }
    Ok(TokenIds { bos: id("bos")?, eos, pad: id("padding")? })
}

fn odd(key: String, expected: impl Into<String>, found: impl ToString) -> WireError {
    WireError::KeyValue { key, expected: expected.into(), found: found.to_string() }
}
