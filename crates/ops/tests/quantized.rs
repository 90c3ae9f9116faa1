//! Quantized products against the values their blocks stand for, in f64.

use lfmq_core::Activation;
use lfmq_kernels::Kernels;
use lfmq_ops::{Block32, Block256, BlockLinear, Blocks, Embedding, Input, Linear};

struct Noise(u64);

impl Noise {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) % n
    }

    fn float(&mut self) -> f32 {
        self.below(1 << 20) as f32 / (1 << 19) as f32 - 1.0
    }

    fn many<T>(&mut self, n: usize, mut one: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..n).map(|_| one(self)).collect()
    }
}

const ROWS: usize = 70;
const COLS: usize = 512;

fn block32(minima: bool) -> (Blocks, Vec<f64>) {
    let mut noise = Noise(11);
    let b = Block32 {
        rows: ROWS,
        cols: COLS,
        codes: noise.many(ROWS * COLS, |n| n.below(31) as i8 - 15),
        scales: noise.many(ROWS * COLS / 32, Noise::float),
        mins: noise.many(if minima { ROWS * COLS / 32 } else { 0 }, Noise::float),
    };
    let weight = |i: usize| {
        let min = b.mins.get(i / 32).copied().unwrap_or(0.0);
        f64::from(b.scales[i / 32]) * f64::from(b.codes[i]) + f64::from(min)
    };
    let weights = (0..ROWS * COLS).map(weight).collect();
    (Blocks::B32(b), weights)
}

fn block256(minima: bool) -> (Blocks, Vec<f64>) {
    let mut noise = Noise(12);
    let b = Block256 {
        rows: ROWS,
        cols: COLS,
        codes: noise.many(ROWS * COLS, |n| n.below(64) as i8 - 32),
        scales: noise.many(ROWS * COLS / 256, Noise::float),
        sub_scales: noise.many(ROWS * COLS / 16, |n| n.below(127) as i8 - 63),
        mins: noise.many(if minima { ROWS * COLS / 256 } else { 0 }, Noise::float),
        sub_mins: noise.many(if minima { ROWS * COLS / 16 } else { 0 }, |n| n.below(64) as u8),
    };
    let weight = |i: usize| {
        let min = b.mins.get(i / 256).map_or(0.0, |m| f64::from(*m) * f64::from(b.sub_mins[i / 16]));
        f64::from(b.scales[i / 256]) * f64::from(b.sub_scales[i / 16]) * f64::from(b.codes[i]) - min
    };
    let weights = (0..ROWS * COLS).map(weight).collect();
    (Blocks::B256(b), weights)
}

fn all() -> Vec<(&'static str, Blocks, Vec<f64>)> {
    let with = |name, (blocks, weights)| (name, blocks, weights);
    vec![
        with("32", block32(false)),
        with("32 with minima", block32(true)),
        with("256", block256(false)),
        with("256 with minima", block256(true)),
    ]
}

/// Largest difference to the exact products, in parts of the sum of magnitudes.
fn drift(weights: &[f64], x: &[f32], out: &[f32]) -> f64 {
    let mut worst = 0.0_f64;
    for (x, out) in x.chunks_exact(COLS).zip(out.chunks_exact(ROWS)) {
        for (w, o) in weights.chunks_exact(COLS).zip(out) {
            let products = || w.iter().zip(x).map(|(w, x)| w * f64::from(*x));
            let (exact, size): (f64, f64) = (products().sum(), products().map(f64::abs).sum());
            worst = worst.max((f64::from(*o) - exact).abs() / size);
        }
    }
    worst
}

#[test]
fn products_are_those_of_the_values() {
    for (name, blocks, weights) in all() {
        for n in [1, 5] {
            let x = Noise(13).many(n * COLS, Noise::float);
            let run = |activation, kernels: &'static Kernels| {
                let linear = BlockLinear::new(&blocks, activation, kernels).unwrap();
                let mut out = vec![0.0; n * ROWS];
                linear.apply(&Input::new(&x, COLS, kernels), &mut out).unwrap();
                out
            };
            for kernels in Kernels::available() {
                let exact = run(Activation::F32, kernels);
                assert!(drift(&weights, &x, &exact) < 1e-6, "{name}: f32 on {}", kernels.name);
                // 8-bit activations are off by up to half a step of 1/127 each, and by far less in a sum.
                let coarse = run(Activation::Runtime, kernels);
                let gap = drift(&weights, &x, &coarse);
                assert!(gap > 1e-6 && gap < 1.5e-3, "{name}: runtime on {}: {gap}", kernels.name);
                assert_eq!(coarse, run(Activation::Runtime, Kernels::best()), "{name}: {} and best", kernels.name);
            }
        }
    }
}

#[test]
fn rows_are_looked_up_as_their_values() {
    for (name, blocks, weights) in all() {
        let linear = BlockLinear::new(&blocks, Activation::Runtime, Kernels::best()).unwrap();
        let mut row = vec![0.0; COLS];
        for token in [0, 1, ROWS - 1] {
            linear.lookup(token, &mut row).unwrap();
            for (ours, exact) in row.iter().zip(&weights[token * COLS..]) {
                assert!((f64::from(*ours) - exact).abs() <= 1e-6 * exact.abs().max(64.0), "{name}, row {token}");
            }
        }
    }
}

#[test]
fn blocks_that_do_not_fit_their_shape_are_refused() {
    let refuse = |blocks| BlockLinear::new(&blocks, Activation::F32, Kernels::best()).unwrap_err().to_string();
    let good = || Block32 { rows: 1, cols: 32, codes: vec![0; 32], scales: vec![0.0; 1], mins: vec![] };
    assert!(BlockLinear::new(&Blocks::B32(good()), Activation::F32, Kernels::best()).is_ok());
    assert_eq!(
        refuse(Blocks::B32(Block32 { codes: vec![0; 31], ..good() })),
        "codes of 32-blocks: expected 32, found 31"
    );
    assert_eq!(
        refuse(Blocks::B32(Block32 { mins: vec![0.0; 2], ..good() })),
        "minima of 32-blocks: expected 1, found 2"
    );
    assert!(refuse(Blocks::B32(Block32 { cols: 33, ..good() })).contains("a multiple of 32"));
    assert!(refuse(Blocks::B32(Block32 { rows: usize::MAX, ..good() })).contains("expected a size"));
    let good = || Block256 {
        rows: 1,
        cols: 256,
        codes: vec![0; 256],
        scales: vec![0.0; 1],
        sub_scales: vec![0; 16],
        ..Block256::default()
    };
    assert!(BlockLinear::new(&Blocks::B256(good()), Activation::F32, Kernels::best()).is_ok());
    assert!(refuse(Blocks::B256(Block256 { mins: vec![0.0], ..good() })).contains("sub-minima"));
    assert!(refuse(Blocks::B256(Block256 { sub_scales: vec![0; 8], ..good() })).contains("sub-scales"));
}
