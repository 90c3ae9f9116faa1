//! Matrices kept in two-byte floats, so that a BF16 model takes no more memory than its file.

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};
use lfmq_core::{Activation, ExecError};
use lfmq_kernels::Kernels;
use lfmq_ops::{Embedding, Input, Linear, by_panels, with_scratch};
use std::ops::Range;

/// Which two-byte float.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Half {
    F16,
    BF16,
}

impl Half {
    /// False for an infinity or not-a-number.
    pub(crate) fn finite(self, pattern: u16) -> bool {
        let exponent = match self {
            Self::F16 => 0x7c00,
            Self::BF16 => 0x7f80,
        };
        pattern & exponent != exponent
    }

    /// Values as llama.cpp rounds them before a product with weights of this type.
    fn round(self, values: &[f32]) -> Vec<f32> {
        let mut rounded = vec![0.0; values.len()];
        match self {
            Self::F16 => {
                let mut half = vec![f16::ZERO; values.len()];
                half.convert_from_f32_slice(values);
                half.convert_to_f32_slice(&mut rounded);
            }
            Self::BF16 => {
                let mut half = vec![bf16::ZERO; values.len()];
                half.convert_from_f32_slice(values);
                half.convert_to_f32_slice(&mut rounded);
            }
        }
        rounded
    }
}

/// Weights `[rows, cols]` as bit patterns.
pub(crate) struct HalfLinear {
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    pub(crate) half: Half,
    pub(crate) patterns: Vec<u16>,
    pub(crate) activation: Activation,
    pub(crate) kernels: &'static Kernels,
}

impl HalfLinear {
    fn widen(&self, rows: Range<usize>, out: &mut [f32]) {
        let patterns = self.patterns.get(rows.start * self.cols..rows.end * self.cols).unwrap_or(&[]);
        match self.half {
            Half::F16 => (self.kernels.widen_f16)(patterns, out),
            Half::BF16 => (self.kernels.widen_bf16)(patterns, out),
        }
    }
}

impl Linear for HalfLinear {
    fn rows(&self) -> usize {
        self.rows
    }

    fn cols(&self) -> usize {
        self.cols
    }

    fn apply(&self, x: &Input<'_>, out: &mut [f32]) -> Result<(), ExecError> {
        let rounded = (self.activation == Activation::Runtime).then(|| self.half.round(x.values()));
        let values = rounded.as_deref().unwrap_or(x.values());
        by_panels(x.n(), self.rows, out, |rows, part| {
            with_scratch(rows.len() * self.cols, |w| {
                self.widen(rows.clone(), w);
                (self.kernels.gemm_f32)(values, w, self.cols, part, rows.len());
            });
            Ok(())
        })
    }
}

impl Embedding for HalfLinear {
    fn vocab(&self) -> usize {
        self.rows
    }

    fn hidden(&self) -> usize {
        self.cols
    }

    fn lookup(&self, token: usize, out: &mut [f32]) -> Result<(), ExecError> {
        self.widen(token..token + 1, out);
        Ok(())
    }
}
