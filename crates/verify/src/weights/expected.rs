use half::{bf16, f16};
use lfmq_core::{FloatKind, Grid, QuantizedRows};
use lfmq_quant::{QuantError, Scheme};

/// The values that a checkpoint's rows must have become.
pub(super) enum Expected {
    /// Rounded to a float type.
    Float(FloatKind),
    /// Quantized.
    Scheme(&'static dyn Scheme, Grid),
}

impl Expected {
    /// By the word an artifact's reader gives, that scheme first, then the others on its grid (the type of the scales
    /// aside): a file that holds codes and scales does not tell them apart. Empty for a scheme we do not have.
    pub(super) fn on_grid_of(word: &str) -> Vec<Self> {
        match word.to_ascii_lowercase().as_str() {
            "f32" => vec![Self::Float(FloatKind::F32)],
            "f16" => vec![Self::Float(FloatKind::F16)],
            "bf16" => vec![Self::Float(FloatKind::BF16)],
            other => {
                let Some(named) = lfmq_quant::scheme(other) else { return Vec::new() };
                let others = lfmq_quant::schemes::ALL.iter().copied();
                let others = others.filter(|s| s.id() != named.id() && alike(&s.grid(), &named.grid()));
                std::iter::once(named).chain(others).map(|s| Self::Scheme(s, s.grid())).collect()
            }
        }
    }

    /// The word of recipes for it.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Float(FloatKind::F32) => "f32",
            Self::Float(FloatKind::F16) => "f16",
            Self::Float(FloatKind::BF16) => "bf16",
            Self::Scheme(scheme, _) => scheme.id().0,
        }
    }

    pub(super) const fn is_float(&self) -> bool {
        matches!(self, Self::Float(_))
    }

    /// The values `x` (`[rows, cols]`) becomes, into `out` of the same shape.
    pub(super) fn values(
        &self,
        x: &[f32],
        cols: usize,
        importance: Option<&[f32]>,
        out: &mut [f32],
    ) -> Result<(), QuantError> {
        match self {
            Self::Float(kind) => {
                let round = |v: f32| match kind {
                    FloatKind::F32 => v,
                    FloatKind::F16 => f16::from_f32(v).to_f32(),
                    FloatKind::BF16 => bf16::from_f32(v).to_f32(),
                };
                out.iter_mut().zip(x).for_each(|(o, v)| *o = round(*v));
                Ok(())
            }
            Self::Scheme(scheme, grid) => {
                let mut rows = QuantizedRows::default();
                scheme.quantize(x, cols, importance, &mut rows)?;
                lfmq_quant::dequantize(grid, &rows, out)
            }
        }
    }
}

/// Whether codes on the one grid may as well lie on the other.
fn alike(a: &Grid, b: &Grid) -> bool {
    match (a, b) {
        (
            Grid::Affine { bits: bits_a, group: group_a, zero: zero_a, .. },
            Grid::Affine { bits: bits_b, group: group_b, zero: zero_b, .. },
        ) => (bits_a, group_a, zero_a) == (bits_b, group_b, zero_b),
        _ => false,
    }
}
