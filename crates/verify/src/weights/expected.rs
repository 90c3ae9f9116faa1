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
    /// By the word an artifact's reader gives; `None` for a scheme we do not have.
    pub(super) fn of(word: &str) -> Option<Self> {
        Some(match word.to_ascii_lowercase().as_str() {
            "f32" => Self::Float(FloatKind::F32),
            "f16" => Self::Float(FloatKind::F16),
            "bf16" => Self::Float(FloatKind::BF16),
            other => {
                let scheme = lfmq_quant::scheme(other)?;
                Self::Scheme(scheme, scheme.grid())
            }
        })
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
