use serde::Serialize;
use std::fmt;

/// A float type a tensor can be kept in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FloatKind {
    /// binary32
    F32,
    /// binary16
    F16,
    /// bfloat16
    BF16,
}

/// The type a group's scale (and bias) is rounded to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ScaleKind {
    /// binary32
    F32,
    /// binary16
    F16,
    /// bfloat16
    BF16,
    /// a power of two
    E8M0,
}

/// How a grid places zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Zero {
    /// value = scale * code
    None,
    /// value = scale * (code - zero), zero an integer code
    Int,
    /// value = scale * code + bias, bias a float of the scale's type
    Bias,
}

/// A super-block layout whose values cannot be told apart from its bytes; only GGUF holds these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, non_camel_case_types, reason = "the field's own names")]
pub enum Layout {
    Q2_K,
    Q3_K,
    Q4_K,
    Q5_K,
    Q6_K,
    IQ4_XS,
    TQ1_0,
    TQ2_0,
}

impl Layout {
    /// Bytes of one block of 256 weights.
    #[must_use]
    pub const fn block_bytes(self) -> usize {
        match self {
            Self::Q2_K => 84,
            Self::Q3_K => 110,
            Self::Q4_K => 144,
            Self::Q5_K => 176,
            Self::Q6_K => 210,
            Self::IQ4_XS => 136,
            Self::TQ1_0 => 54,
            Self::TQ2_0 => 66,
        }
    }
}

/// The set of values a tensor's weights may take. Quantizing chooses values on a grid; exporting only packs them.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Grid {
    /// Kept in float.
    Float {
        /// Its type.
        float: FloatKind,
    },
    /// Evenly spaced codes with one scale a group.
    Affine {
        /// Bits of a code.
        bits: u8,
        /// Smallest and largest code in use.
        codes: (i16, i16),
        /// Weights sharing a scale; 0 = the whole row.
        group: usize,
        /// Where zero lies.
        zero: Zero,
        /// Type of the scales.
        scale: ScaleKind,
    },
    /// Codes index a fixed table of levels; value = scale * level.
    Codebook {
        /// The table, 16 entries for 4 bits.
        levels: &'static [i8],
        /// Weights sharing a scale.
        group: usize,
        /// Type of the scales.
        scale: ScaleKind,
    },
    /// A super-block layout.
    Opaque {
        /// Which one.
        layout: Layout,
    },
}

impl Grid {
    /// Weights that must divide a row: the group, or 256 for a super-block layout; 1 for float and for whole rows.
    #[must_use]
    pub const fn block(&self) -> usize {
        match self {
            Self::Float { .. } | Self::Affine { group: 0, .. } => 1,
            Self::Affine { group, .. } | Self::Codebook { group, .. } => *group,
            Self::Opaque { .. } => 256,
        }
    }
}

impl fmt::Display for Grid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Float { float } => write!(f, "{float:?}"),
            Self::Affine { bits, group, zero, scale, .. } => {
                let sign = match zero {
                    Zero::None => "sym",
                    Zero::Int => "zero-point",
                    Zero::Bias => "bias",
                };
                write!(f, "int{bits}-g{group}-{sign}-{scale:?}")
            }
            Self::Codebook { levels, group, scale } => write!(f, "table{}-g{group}-{scale:?}", levels.len()),
            Self::Opaque { layout } => write!(f, "{layout:?}"),
        }
    }
}
