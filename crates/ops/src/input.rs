use lfmq_kernels::{Acts32, Acts256, Kernels, Quantize};
use rayon::prelude::*;
use std::sync::OnceLock;

/// The activations that enter one or more products: f32 `[n, cols]`, and their 8-bit forms made once when first
/// asked for, so that q, k and v, or gate and up, share them.
pub struct Input<'a> {
    x: &'a [f32],
    cols: usize,
    kernels: &'static Kernels,
    blocks32: OnceLock<Quantized<f32>>,
    blocks256: OnceLock<Quantized<i16>>,
}

struct Quantized<S> {
    codes: Vec<i8>,
    scales: Vec<f32>,
    sums: Vec<S>,
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
        let q = self.blocks32.get_or_init(|| self.quantize(32, 32, self.kernels.quantize_b32));
        Acts32 { codes: &q.codes, scales: &q.scales, sums: &q.sums }
    }

    /// The values in blocks of 256 (Q8_K). `cols` must be a multiple of 256.
    #[must_use]
    pub fn blocks256(&self) -> Acts256<'_> {
        let q = self.blocks256.get_or_init(|| self.quantize(256, 16, self.kernels.quantize_b256));
        Acts256 { codes: &q.codes, scales: &q.scales, sums: &q.sums }
    }

    fn quantize<S: Default + Clone + Send>(&self, block: usize, per_sum: usize, kernel: Quantize<S>) -> Quantized<S> {
        let (len, cols) = (self.x.len(), self.cols);
        let mut q =
            Quantized { codes: vec![0; len], scales: vec![0.0; len / block], sums: vec![S::default(); len / per_sum] };
        if len > 0 {
            self.x
                .par_chunks(cols)
                .zip(q.codes.par_chunks_mut(cols))
                .zip(q.scales.par_chunks_mut(cols / block))
                .zip(q.sums.par_chunks_mut(cols / per_sum))
                .for_each(|(((x, codes), scales), sums)| kernel(x, codes, scales, sums));
        }
        q
    }
}
