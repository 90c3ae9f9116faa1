use crate::scalar;
use crate::views::{Acts32, Acts256, ActsRow, Strips32, Strips256, StripsRow};
use std::fmt;
use std::ops::Range;

/// A quantizer of activations to 32-blocks: values in; codes, scales, scaled sums and sums of codes out.
pub type Quantize32 = fn(x: &[f32], codes: &mut [i8], scales: &mut [f32], sums: &mut [f32], totals: &mut [i16]);

/// A quantizer of activations to 256-blocks: values in; codes, scales and sums of 16 codes out.
pub type Quantize256 = fn(x: &[f32], codes: &mut [i8], scales: &mut [f32], sums: &mut [i16]);

/// A quantizer of a row of activations: values in; codes and sums of 32 codes out, whole chunks of 32, what the row lacks
/// as code 0; gives scale and zero.
pub type QuantizeRow = fn(x: &[f32], codes: &mut [i8], totals: &mut [i16]) -> (f32, i32);

/// Weighted row sums: weights, how many of each row count, rows, sums.
pub type WeightedSums = fn(p: &[f32], counts: &[usize], v: &[f32], out: &mut [f32]);

/// The kernels of one rung. See the crate's page for the contract that makes all rungs give the same bits.
pub struct Kernels {
    /// The rung's name, as `LFMQ_ISA` takes it and reports print it.
    pub name: &'static str,
    /// Dot product of two slices of one length.
    pub dot_f32: fn(a: &[f32], b: &[f32]) -> f32,
    /// `out[i * ldo + j] = dot(x[i], w[j])` with `x [n, k]`, `w [m, k]`; `ldo >= m` and
    /// `out` reaches at least to its last element. `k > 0`.
    pub gemm_f32: fn(x: &[f32], w: &[f32], k: usize, out: &mut [f32], ldo: usize),
    /// The same with 8-bit activations and weights in 32-blocks.
    pub gemm_b32: fn(x: &Acts32<'_>, w: &Strips32<'_>, out: &mut [f32], ldo: usize),
    /// The same with weights in 256-blocks.
    pub gemm_b256: fn(x: &Acts256<'_>, w: &Strips256<'_>, out: &mut [f32], ldo: usize),
    /// The same with activations under one scale and zero a row and symmetric weights.
    pub gemm_row: fn(x: &ActsRow<'_>, w: &StripsRow<'_>, out: &mut [f32], ldo: usize),
    /// `out[j]` = dot product of `x [cols]` and row `j` of `w` as `widen_b32` gives it, to the bit. One token.
    pub single_b32: fn(x: &[f32], w: &Strips32<'_>, out: &mut [f32]),
    /// The same for 256-blocks.
    pub single_b256: fn(x: &[f32], w: &Strips256<'_>, out: &mut [f32]),
    /// `out[j] = Σ_i p[i] * v[i, j]` with `v [p.len(), out.len()]`.
    pub weighted_sum_f32: fn(p: &[f32], v: &[f32], out: &mut [f32]),
    /// The same for several rows of `p [counts.len(), any]`, of which row `i` weighs the first `counts[i]` rows of `v`;
    /// `out [counts.len(), width]` tells the width.
    pub weighted_sums_f32: WeightedSums,
    /// Replaces each `x` by `e^x`; within 2 ulp, 0 below -103.98 and infinite above 88.73.
    pub exp_f32: fn(&mut [f32]),
    /// Replaces each `x` by `1 / (1 + e^-x)`.
    pub sigmoid_f32: fn(&mut [f32]),
    /// Replaces a row by its softmax: `e^(x - max) / Σ`. An empty row stays empty.
    pub softmax_f32: fn(&mut [f32]),
    /// `gate = gate / (1 + e^-gate) * up`.
    pub silu_mul_f32: fn(gate: &mut [f32], up: &[f32]),
    /// 32-blocks as llama.cpp makes Q8_0 and Q8_1 from activations on ARM:
    /// `d = max|x| / 127`, `code = round_half_even(x * (1 / d))`; scale and `d * Σ code` rounded to binary16.
    pub quantize_b32: Quantize32,
    /// 256-blocks as llama.cpp's Q8_K: with `max` the first value of greatest
    /// magnitude, sign kept, `i = -127 / max`, `code = min(127, round_half_even(i * x))`, scale `1 / i`; sums of 16 codes.
    pub quantize_b256: Quantize256,
    /// A row as XNNPACK makes 8-bit activations: with `lo = min(x, 0)`, `hi = max(x, 0)` and `s = 255 / (hi - lo)`,
    /// `code = round_half_even(x * s) + zero` in -128..=127, the zero taken from the end that it fits better.
    pub quantize_row: QuantizeRow,
    /// A run of rows as f32 `[rows, cols]`: `scale * code`.
    pub widen_row: fn(&StripsRow<'_>, Range<usize>, &mut [f32]),
    /// A run of rows of 32-blocks as f32 `[rows, cols]`: `scale * code`, then `+ min`, each rounded.
    pub widen_b32: fn(&Strips32<'_>, Range<usize>, &mut [f32]),
    /// A run of rows of 256-blocks as f32 `[rows, cols]`: `(scale * sub_scale) * code`, then `- min * sub_min`, each rounded.
    pub widen_b256: fn(&Strips256<'_>, Range<usize>, &mut [f32]),
    /// bfloat16 patterns to f32.
    pub widen_bf16: fn(&[u16], &mut [f32]),
    /// binary16 patterns to f32.
    pub widen_f16: fn(&[u16], &mut [f32]),
}

/// A rung that does not exist or that this machine lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownRung {
    /// What was asked for.
    pub asked: String,
    /// What could be had.
    pub available: Vec<&'static str>,
}

impl fmt::Display for UnknownRung {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no kernel rung `{}` on this machine; there are: {}", self.asked, self.available.join(", "))
    }
}

impl std::error::Error for UnknownRung {}

/// Every rung this build knows for its architecture, slowest first, with the test that tells whether the machine has it.
fn rungs() -> Vec<(&'static Kernels, bool)> {
    let mut all = vec![(&scalar::TABLE, true)];
    #[cfg(target_arch = "x86_64")]
    all.extend(crate::x86_64::rungs());
    #[cfg(target_arch = "aarch64")]
    all.extend(crate::aarch64::rungs());
    all
}

impl Kernels {
    /// The names of all rungs of this build, slowest first, whether the machine has them or not.
    #[must_use]
    pub fn known() -> Vec<&'static str> {
        rungs().iter().map(|(k, _)| k.name).collect()
    }

    /// The rungs this machine can run, slowest first. Never empty: `scalar` runs everywhere.
    #[must_use]
    pub fn available() -> Vec<&'static Self> {
        rungs().into_iter().filter(|(_, here)| *here).map(|(k, _)| k).collect()
    }

    /// The fastest rung of this machine.
    #[must_use]
    pub fn best() -> &'static Self {
        Self::available().last().copied().unwrap_or(&scalar::TABLE)
    }

    /// The rung of this name, if the machine has it.
    #[must_use]
    pub fn by_name(name: &str) -> Option<&'static Self> {
        Self::available().into_iter().find(|k| k.name == name)
    }

    /// The rung asked for, or the fastest when nothing is. The program passes `LFMQ_ISA` here.
    ///
    /// # Errors
    /// When the name is not one of [`Self::available`].
    pub fn select(asked: Option<&str>) -> Result<&'static Self, UnknownRung> {
        let Some(name) = asked else { return Ok(Self::best()) };
        Self::by_name(name).ok_or_else(|| UnknownRung {
            asked: name.to_owned(),
            available: Self::available().iter().map(|k| k.name).collect(),
        })
    }
}

impl fmt::Debug for Kernels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kernels({})", self.name)
    }
}
