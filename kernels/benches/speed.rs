//! Speed of the products on one core, per rung: `cargo bench -p lfmq-kernels`. A note, not a test.
#![allow(clippy::print_stdout, missing_docs, reason = "its output is its purpose")]

use lfmq_kernels::{Acts32, Acts256, Coding, Factors, Kernels, Strips32, Strips256};
use std::hint::black_box;
use std::time::Instant;

fn main() {
    for kernels in Kernels::available().iter().rev() {
        for (k, n) in [(1024, 1), (2048, 1), (1024, 16), (1024, 256), (4608, 256)] {
            report(kernels, k, n);
        }
    }
}

/// Rows of weights.
const ROWS: usize = 512;

fn report(kernels: &Kernels, k: usize, n: usize) {
    let fill = |len: usize| (0..len).map(|i| (i % 17) as f32 * 0.125 - 1.0).collect::<Vec<f32>>();
    let codes = |len: usize| (0..len).map(|i| (i % 255) as i8).map(|q| q.max(-127)).collect::<Vec<i8>>();
    let (x, w, scales) = (fill(n * k), fill(ROWS * k), fill(ROWS.max(n) * k / 16));
    let (qx, qw, bsums) = (codes(n * k), vec![0x5A; ROWS * k], vec![5; n * k / 16]);
    let (halves, subs) = (vec![0x1234; ROWS * k / 32], vec![7; ROWS * k / 16]);
    let mut out = vec![0.0; n * ROWS];
    let f32s = rate(n * ROWS * k, || (kernels.gemm_f32)(&x, &w, k, &mut out, ROWS));

    let acts =
        Acts32 { codes: &qx, scales: &scales[..n * k / 32], sums: &scales[..n * k / 32], totals: &bsums[..n * k / 32] };
    let mut of32 = |coding: Coding| {
        let codes = &qw[..ROWS / 16 * k / 32 * coding.chunk_bytes()];
        let scales = Factors::F16(&halves);
        let w = Strips32 { rows: ROWS, cols: k, coding, codes, scales, mins: Factors::NONE };
        rate(n * ROWS * k, || (kernels.gemm_b32)(&acts, &w, &mut out, ROWS))
    };
    let (q4_0, q8_0) = (of32(Coding::Four { offset: 8 }), of32(Coding::Byte));
    let acts = Acts256 { codes: &qx, scales: &scales[..n * k / 256], sums: &bsums };
    let mut of256 = |coding: Coding, subs_of: usize, minima: bool| {
        let (d, count) = (Factors::F16(&halves[..ROWS * k / 256]), ROWS * k / 256 * subs_of);
        let sub_mins: Vec<u8> = vec![9; if minima { count } else { 0 }];
        let w = Strips256 {
            rows: ROWS,
            cols: k,
            coding,
            subs: subs_of,
            codes: &qw[..ROWS / 16 * k / 32 * coding.chunk_bytes()],
            scales: d,
            sub_scales: &subs[..count],
            mins: if minima { d } else { Factors::NONE },
            sub_mins: &sub_mins,
        };
        rate(n * ROWS * k, || (kernels.gemm_b256)(&acts, &w, &mut out, ROWS))
    };
    let (q4_k, q6_k) = (of256(Coding::Four { offset: 0 }, 8, true), of256(Coding::Six { offset: 32 }, 16, false));
    println!(
        "{:10} [{n:3}, {k}] x [{ROWS}, {k}]: f32 {f32s:6.1}  Q4_0 {q4_0:6.1}  Q8_0 {q8_0:6.1}  Q4_K {q4_k:6.1}  \
         Q6_K {q6_k:6.1}  GOP/s",
        kernels.name
    );
}

/// Best rate of several runs, in 10^9 operations (two a product) per second.
fn rate(products: usize, mut run: impl FnMut()) -> f64 {
    let repeat = (5_000_000 / products).max(1);
    let best = (0..20)
        .map(|_| {
            let start = Instant::now();
            (0..repeat).for_each(|_| black_box(&mut run)());
            start.elapsed().as_secs_f64()
        })
        .fold(f64::MAX, f64::min);
    2.0 * (products * repeat) as f64 / best / 1e9
}
