//! Speed of the products on one core, per rung: `cargo bench -p lfmq-kernels`. A note, not a test.
#![allow(clippy::print_stdout, missing_docs, reason = "its output is its purpose")]

use lfmq_kernels::{Acts32, Acts256, Kernels, Rows32, Rows256};
use std::hint::black_box;
use std::time::Instant;

fn main() {
    for kernels in Kernels::available().iter().rev() {
        for (k, n) in [(1024, 1), (2048, 1), (2048, 64), (8192, 64)] {
            report(kernels, k, n);
        }
    }
}

fn report(kernels: &Kernels, k: usize, n: usize) {
    let m = 32;
    let fill = |len: usize| (0..len).map(|i| (i % 17) as f32 * 0.125 - 1.0).collect::<Vec<f32>>();
    let codes = |len: usize| (0..len).map(|i| (i % 255) as i8).map(|q| q.max(-127)).collect::<Vec<i8>>();
    let (x, w, scales) = (fill(n * k), fill(m * k), fill(m.max(n) * k / 16));
    let (qx, qw, bsums) = (codes(n * k), codes(m * k), vec![5; n * k / 16]);
    let mut out = vec![0.0; n * m];

    let f32s = rate(n * m * k, || (kernels.gemm_f32)(&x, &w, k, &mut out, m));
    let acts = Acts32 { codes: &qx, scales: &scales[..n * k / 32], sums: &scales[..n * k / 32] };
    let rows = Rows32 { cols: k, codes: &qw, scales: &scales[..m * k / 32], mins: &[] };
    let b32 = rate(n * m * k, || (kernels.gemm_b32)(&acts, &rows, &mut out, m));
    let acts = Acts256 { codes: &qx, scales: &scales[..n * k / 256], sums: &bsums };
    let (d, subs) = (&scales[..m * k / 256], &qw[..m * k / 16]);
    let rows = Rows256 { cols: k, codes: &qw, scales: d, sub_scales: subs, mins: &[], sub_mins: &[] };
    let b256 = rate(n * m * k, || (kernels.gemm_b256)(&acts, &rows, &mut out, m));
    println!("{:8} [{n:3}, {k}] x [{m}, {k}]: f32 {f32s:6.1}  b32 {b32:6.1}  b256 {b256:6.1}  GOP/s", kernels.name);
}

/// Best rate of several runs, in 10^9 operations (two a product) per second.
fn rate(products: usize, mut run: impl FnMut()) -> f64 {
    let repeat = (20_000_000 / products).max(1);
    let best = (0..5)
        .map(|_| {
            let start = Instant::now();
            (0..repeat).for_each(|_| black_box(&mut run)());
            start.elapsed().as_secs_f64()
        })
        .fold(f64::MAX, f64::min);
    2.0 * (products * repeat) as f64 / best / 1e9
}
