use crate::GgufExportError;
use std::str::FromStr;

/// Whose file is written: both hold the same tensors, in another order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Profile {
    /// That of `convert_hf_to_gguf.py --outtype …`: tensors by checkpoint name. For `F32`, `F16`, `BF16`, `Q8_0`.
    Convert,
    /// That of the converter followed by `llama-quantize`: tensors by layer.
    #[default]
    Quantize,
}

/// When a new shard begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SplitLimit {
    /// A shard holds at most this many tensors.
    Tensors(usize),
    /// A shard's tensors, padding not counted, hold at most this many bytes.
    Bytes(u64),
}

/// Sharded output `STEM-00001-of-0000N.gguf`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Split {
    /// When a new shard begins.
    pub limit: SplitLimit,
    /// The first shard holds metadata only.
    pub no_tensor_first: bool,
}

/// The value of a [`KvOverride`].
#[derive(Clone, Debug, PartialEq)]
pub enum OverrideValue {
    /// Written as u32 of its magnitude, as `llama-quantize` does.
    Int(i64),
    /// Written as f32.
    Float(f64),
    /// Written as bool.
    Bool(bool),
    /// Written as a string.
    Str(String),
}

/// A metadata key given by the user, `key=type:value` with type `int`, `float`, `bool` or `str`.
#[derive(Clone, Debug, PartialEq)]
pub struct KvOverride {
    /// The key.
    pub key: String,
    /// Its value.
    pub value: OverrideValue,
}

impl FromStr for KvOverride {
    type Err = GgufExportError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = |why| GgufExportError::Override { text: text.to_owned(), why };
        let (key, rest) = text.split_once('=').ok_or_else(|| bad("expected key=type:value"))?;
        if key.is_empty() || key.len() > 127 {
            return Err(bad("a key has 1 to 127 bytes"));
        }
        let (kind, value) = rest.split_once(':').ok_or_else(|| bad("expected key=type:value"))?;
        let value = match kind {
            "int" => OverrideValue::Int(value.parse().map_err(|_| bad("not an integer"))?),
            "float" => OverrideValue::Float(value.parse().map_err(|_| bad("not a number"))?),
            "bool" => OverrideValue::Bool(value.parse().map_err(|_| bad("expected true or false"))?),
            "str" if value.len() <= 127 => OverrideValue::Str(value.to_owned()),
            "str" => return Err(bad("a string has at most 127 bytes")),
            _ => return Err(bad("the type is int, float, bool or str")),
        };
        Ok(Self { key: key.to_owned(), value })
    }
}

/// How to write.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GgufOptions {
    /// Whose file.
    pub profile: Profile,
    /// Shards.
    pub split: Option<Split>,
    /// `general.name` instead of the one guessed.
    pub model_name: Option<String>,
    /// Keys to set, in order, at the end of the metadata.
    pub override_kv: Vec<KvOverride>,
}
