use crate::spare::{Buffer, take};
use crate::with_scratch;
use lfmq_kernels::{Acts32, Acts256, Kernels};
use rayon::prelude::*;
use std::ops::Range;
use std::sync::OnceLock;

/// The activations that enter one or more products: `[n, cols]`, as f32 and in 8-bit forms, each made once when first
/// asked for, so that q, k and v, or gate and up, share them.
pub struct Input<'a> {
    rows: Rows<'a>,
    n: usize,
    cols: usize,
    kernels: &'static Kernels,
    values: OnceLock<Buffer<f32>>,
    blocks32: OnceLock<Quantized32>,
    blocks256: OnceLock<Quantized256>,
}

/// Where rows come from.
#[derive(Clone, Copy)]
enum Rows<'a> {
    There(&'a [f32]),
    /// So many at a time. What is only quantized then never lies in memory as f32.
    Made(usize, &'a Make<'a>),
}

/// Fills the rows of some tokens, `[tokens.len(), cols]`.
pub(crate) type Make<'a> = dyn Fn(Range<usize>, &mut [f32]) + Sync + 'a;

struct Quantized32 {
    codes: Buffer<i8>,
    scales: Buffer<f32>,
    sums: Buffer<f32>,
    totals: Buffer<i16>,
}

struct Quantized256 {
    codes: Buffer<i8>,
    scales: Buffer<f32>,
    sums: Buffer<i16>,
}

impl<'a> Input<'a> {
    /// Activations `x [n, cols]`; a rest that fills no row is left out.
    #[must_use]
    pub fn new(x: &'a [f32], cols: usize, kernels: &'static Kernels) -> Self {
        let n = x.len().checked_div(cols).unwrap_or(0);
        Self::of(Rows::There(&x[..n * cols]), n, cols, kernels)
    }

    /// Activations `[n, cols]` that `make` fills, `block` rows at a time. It is called on any thread, and again for each
    /// form that is asked for.
    pub(crate) fn made(n: usize, cols: usize, block: usize, make: &'a Make<'a>, kernels: &'static Kernels) -> Self {
        Self::of(Rows::Made(block.max(1), make), if cols == 0 { 0 } else { n }, cols, kernels)
    }

    fn of(rows: Rows<'a>, n: usize, cols: usize, kernels: &'static Kernels) -> Self {
        let (values, blocks32, blocks256) = (OnceLock::new(), OnceLock::new(), OnceLock::new());
        Self { rows, n, cols, kernels, values, blocks32, blocks256 }
    }

    /// Number of rows n, one a token.
    #[must_use]
    pub fn n(&self) -> usize {
        self.n
    }

    /// Width of a row.
    #[must_use]
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// The values as they are, `[n, cols]`.
    #[must_use]
    pub fn values(&self) -> &[f32] {
        match self.rows {
            Rows::There(x) => x,
            Rows::Made(block, make) => self.values.get_or_init(|| {
                let mut values = take(self.n * self.cols);
                values.par_chunks_mut((block * self.cols).max(1)).enumerate().for_each(|(b, rows)| {
                    make(b * block..self.n.min((b + 1) * block), rows);
                });
                values
            }),
        }
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

    /// Rows that are taken together.
    fn block(&self) -> usize {
        match self.rows {
            Rows::There(_) => 1,
            Rows::Made(block, _) => block,
        }
    }

    /// Lends the rows of the `b`th block to `f`.
    fn with_block(&self, b: usize, f: impl FnOnce(&[f32])) {
        let block = b * self.block()..self.n.min((b + 1) * self.block());
        let rows = block.start * self.cols..block.end * self.cols;
        match (self.rows, self.values.get()) {
            (Rows::There(x), _) => f(&x[rows]),
            (Rows::Made(..), Some(values)) => f(&values[rows]),
            (Rows::Made(_, make), None) => with_scratch(rows.len(), |rows| {
                make(block, rows);
                f(rows);
            }),
        }
    }

    fn quantize32(&self) -> Quantized32 {
        let (len, block) = (self.n * self.cols, self.block() * self.cols.max(32));
        let n = len / 32;
        let mut q = Quantized32 { codes: take(len), scales: take(n), sums: take(n), totals: take(n) };
        q.codes
            .par_chunks_mut(block)
            .zip(q.scales.par_chunks_mut(block / 32))
            .zip(q.sums.par_chunks_mut(block / 32))
            .zip(q.totals.par_chunks_mut(block / 32))
            .enumerate()
            .for_each(|(b, (((codes, scales), sums), totals))| {
                self.with_block(b, |x| (self.kernels.quantize_b32)(x, codes, scales, sums, totals));
            });
        q
    }

    fn quantize256(&self) -> Quantized256 {
        let (len, block) = (self.n * self.cols, self.block() * self.cols.max(256));
        let mut q = Quantized256 { codes: take(len), scales: take(len / 256), sums: take(len / 16) };
        q.codes
            .par_chunks_mut(block)
            .zip(q.scales.par_chunks_mut(block / 256))
            .zip(q.sums.par_chunks_mut(block / 16))
            .enumerate()
            .for_each(|(b, ((codes, scales), sums))| {
                self.with_block(b, |x| (self.kernels.quantize_b256)(x, codes, scales, sums));
            });
        q
    }
}
