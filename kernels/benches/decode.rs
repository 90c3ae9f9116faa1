//! How near one token's products come to the pace of memory: `cargo bench -p lfmq-kernels --bench decode [-- THREADS]`.
//! Each thread multiplies rows of its own, more than any cache share, panel after panel as the operators do.
#![allow(clippy::print_stdout, missing_docs, reason = "its output is its purpose")]

use lfmq_kernels::{Acts32, Acts256, Coding, Factors, Kernels, STRIP, Strips32, Strips256};
use std::hint::black_box;
use std::sync::Barrier;
use std::thread;
use std::time::Instant;

const COLS: usize = 1024;
const PANEL: usize = 32;
/// Bytes of weights a thread.
const BYTES: usize = 128 << 20;

struct Matrix {
    coding: Coding,
    subs: usize,
    minima: bool,
    f32s: bool,
    rows: usize,
    codes: Vec<u8>,
    scales: Vec<u16>,
    sub_scales: Vec<i8>,
    sub_mins: Vec<u8>,
}

impl Matrix {
    fn new(coding: Coding, subs: usize, minima: bool, f32s: bool) -> Self {
        let block = if subs == 0 { 32 } else { 256 };
        let strip = COLS / 32 * coding.chunk_bytes();
        let strips = BYTES / strip;
        let factors = strips * COLS / block * STRIP;
        Self {
            coding,
            subs,
            minima,
            f32s,
            rows: strips * STRIP,
            codes: (0..strips * strip).map(|i| (i * 7) as u8).collect(),
            scales: vec![0x1234; factors],
            sub_scales: vec![7; factors * subs],
            sub_mins: vec![9; if minima { factors * subs } else { 0 }],
        }
    }

    fn bytes(&self) -> usize {
        let factors = self.scales.len() * if self.minima { 2 } else { 1 };
        self.codes.len() + 2 * factors + self.sub_scales.len() + self.sub_mins.len()
    }

    fn panel(&self, kernels: &Kernels, acts: &Acts, row: usize, out: &mut [f32]) {
        let rows = out.len();
        let (strip, strips) = (row / STRIP, rows / STRIP);
        let of = |per: usize| strip * per..(strip + strips) * per;
        let codes = &self.codes[of(COLS / 32 * self.coding.chunk_bytes())];
        let factor = |n: usize| Factors::F16(&self.scales[of(n)]);
        if self.subs == 0 {
            let w = Strips32 {
                rows,
                cols: COLS,
                coding: self.coding,
                codes,
                scales: factor(COLS / 32 * STRIP),
                mins: Factors::NONE,
            };
            let x = Acts32 {
                codes: &acts.codes,
                scales: &acts.scales,
                sums: &acts.scales,
                totals: &acts.sums[..COLS / 32],
            };
            if self.f32s { (kernels.single_b32)(&acts.values, &w, out) } else { (kernels.gemm_b32)(&x, &w, out, rows) }
        } else {
            let n = COLS / 256 * STRIP;
            let w = Strips256 {
                rows,
                cols: COLS,
                coding: self.coding,
                subs: self.subs,
                codes,
                scales: factor(n),
                sub_scales: &self.sub_scales[of(n * self.subs)],
                mins: if self.minima { factor(n) } else { Factors::NONE },
                sub_mins: if self.minima { &self.sub_mins[of(n * self.subs)] } else { &[] },
            };
            let x = Acts256 { codes: &acts.codes, scales: &acts.scales[..COLS / 256], sums: &acts.sums };
            if self.f32s {
                (kernels.single_b256)(&acts.values, &w, out)
            } else {
                (kernels.gemm_b256)(&x, &w, out, rows)
            }
        }
    }
}

struct Acts {
    values: Vec<f32>,
    codes: Vec<i8>,
    scales: Vec<f32>,
    sums: Vec<i16>,
}

fn main() {
    let asked = std::env::args().filter_map(|a| a.parse().ok()).next();
    let threads = asked.unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from));
    let kernels = Kernels::best();
    let acts = Acts {
        values: vec![0.5; COLS],
        codes: (0..COLS).map(|i| (i % 255) as i8).map(|q| q.max(-127)).collect(),
        scales: vec![0.5; COLS / 32],
        sums: vec![5; COLS / 16],
    };
    let kinds = [
        ("Q4_0", Coding::Four { offset: 8 }, 0, false),
        ("Q8_0", Coding::Byte, 0, false),
        ("Q4_K", Coding::Four { offset: 0 }, 8, true),
        ("Q6_K", Coding::Six { offset: 32 }, 16, false),
    ];
    print!("{} x{threads}, GB/s:", kernels.name);
    for f32s in [false, true].into_iter().take(if std::env::var("F32").is_ok() { 2 } else { 1 }) {
        for (name, coding, subs, minima) in kinds {
            let (rate, read) = rate(threads, || Matrix::new(coding, subs, minima, f32s), kernels, &acts);
            print!("  {name}{} {rate:.1}/{read:.1}={:.2}", if f32s { " f32" } else { "" }, rate / read);
        }
    }
    println!();
}

/// GB/s of the products and of reading the same bytes, medians of alternating rounds.
fn rate(threads: usize, make: impl Fn() -> Matrix + Sync, kernels: &Kernels, acts: &Acts) -> (f64, f64) {
    let barrier = Barrier::new(threads);
    let run = || {
        let matrix = make();
        let mut out = vec![0.0; matrix.rows];
        let time = |work: &mut dyn FnMut()| {
            barrier.wait();
            let start = Instant::now();
            work();
            barrier.wait();
            start.elapsed().as_secs_f64()
        };
        let (mut products, mut reads) = (Vec::new(), Vec::new());
        for _ in 0..9 {
            products.push(time(&mut || {
                for (p, out) in out.chunks_exact_mut(PANEL).enumerate() {
                    matrix.panel(kernels, acts, p * PANEL, out);
                }
            }));
            reads.push(time(&mut || {
                black_box(sum(black_box(matrix.codes.as_chunks().0)));
            }));
        }
        black_box(out);
        (matrix.bytes() as f64 / median(products) / 1e9, matrix.codes.len() as f64 / median(reads) / 1e9)
    };
    let rates: Vec<(f64, f64)> = thread::scope(|s| {
        let all: Vec<_> = (0..threads).map(|_| s.spawn(run)).collect();
        all.into_iter().filter_map(|t| t.join().ok()).collect()
    });
    rates.iter().fold((0.0, 0.0), |(a, b), (c, d)| (a + c, b + d))
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

lfmq_kernels::multiversion! {
    fn sum['a](x: &'a [[u8; 8]]) -> u64 {
        x.iter().fold(0, |sum, x| sum ^ u64::from_le_bytes(*x))
    }
}
