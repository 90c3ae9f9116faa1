use lfmq_kernels::{Acts32, Acts256, Kernels};
use rayon::prelude::*;
use std::sync::OnceLock;

/// The activations that enter one or more products: f32 `[n, cols]`, and their 8-bit forms made once when first
/// asked for, so that q, k and v, or gate and up, share them.
pub struct Input<'a> {
    x: &'a [f32],
    cols: usize,
    kernels: &'static Kernels,
    blocks32: OnceLock<Quantized32>,
    blocks256: OnceLock<Quantized256>,
}

struct Quantized32 {
    codes: Vec<i8>,
    scales: Vec<f32>,
    sums: Vec<f32>,
    totals: Vec<i16>,
}

struct Quantized256 {
    codes: Vec<i8>,
    scales: Vec<f32>,
    sums: Vec<i16>,
}

impl<'a> Input<'a> {
    /// Activations `x [n, cols]`; a rest that fills no row is left out.
    #[must_use]
    pub fn new(x: &'a [f32], cols: usize, kernels: &'static Kernels) -> Self {
        let n = x.len().checked_div(cols).unwrap_or(0);
        Self { x: &x[..n * cols], cols, kernels, blocks32: OnceLock::new(), blocks256: OnceLock::new() }
    }

    /// Number of rows n, one a token.
    #[must_use]
    pub fn n(&self) -> usize {
        self.x.len().checked_div(self.cols).unwrap_or(0)
    }

    /// Width of a row.
    #[must_use]
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// The values as they are, `[n, cols]`.
    #[must_use]
    pub fn values(&self) -> &'a [f32] {
        self.x
    }

    /// The kernels in use.
    #[must_use]
    pub fn kernels(&self) -> &'static Kernels {
        self.kernels
    }

    /// The values in blocks of 32 (Q8_0, with the sums of Q8_1). `cols` must be a multiple of 32.
    #[must_use]
    pub fn blocks32(&self) -> Acts32<'_> {
        let q = self.blocks32.get_or_init(|| self.quantize32());
        Acts32 { codes: &q.codes, scales: &q.scales, sums: &q.sums, totals: &q.totals }
    }

    /// The values in blocks of 256 (Q8_K). `cols` must be a multiple of 256.
    #[must_use]
    pub fn blocks256(&self) -> Acts256<'_> {
        let q = self.blocks256.get_or_init(|| self.quantize256());
        Acts256 { codes: &q.codes, scales: &q.scales, sums: &q.sums }
    }

    fn quantize32(&self) -> Quantized32 {
        let (len, cols) = (self.x.len(), self.cols);
        let n = len / 32;
        let mut q = Quantized32 { codes: vec![0; len], scales: vec![0.0; n], sums: vec![0.0; n], totals: vec![0; n] };
        if len > 0 {
            self.x
                .par_chunks(cols)
                .zip(q.codes.par_chunks_mut(cols))
                .zip(q.scales.par_chunks_mut(cols / 32))
                .zip(q.sums.par_chunks_mut(cols / 32))
                .zip(q.totals.par_chunks_mut(cols / 32))
                .for_each(|((((x, codes), scales), sums), totals)| {
                    (self.kernels.quantize_b32)(x, codes, scales, sums, totals);
                });
        }
        q
    }

    fn quantize256(&self) -> Quantized256 {
        let (len, cols) = (self.x.len(), self.cols);
        let mut q = Quantized256 { codes: vec![0; len], scales: vec![0.0; len / 256], sums: vec![0; len / 16] };
        if len > 0 {
            self.x
                .par_chunks(cols)
                .zip(q.codes.par_chunks_mut(cols))
                .zip(q.scales.par_chunks_mut(cols / 256))
                .zip(q.sums.par_chunks_mut(cols / 16))
                .for_each(|(((x, codes), scales), sums)| (self.kernels.quantize_b256)(x, codes, scales, sums));
        }
        q
    }
}
