//! Speed of the products on one core, per rung: `cargo bench -p lfmq-kernels --bench speed`. A note, not a test.
//!
//! `-- count RUNG PRODUCT TOKENS TIMES` only runs one product so many times, for a tool that counts instructions; see
//! `benches/instructions.py`.
#![allow(clippy::print_stdout, missing_docs, reason = "its output is its purpose")]

use lfmq_kernels::{Acts32, Acts256, Coding, Factors, Kernels, Strips32, Strips256};
use std::hint::black_box;
use std::time::Instant;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    if let Some(at) = args.iter().position(|a| a == "count") {
        let [rung, product, tokens, times] = &args[at + 1..][..4] else { unreachable!("four arguments") };
        let number = |text: &str| text.parse().expect("a number");
        let kernels = Kernels::by_name(rung).expect("a rung of this machine");
        products(kernels, 1024, number(tokens), &mut |name, _, run| {
            if name == product {
                (0..number(times)).for_each(|_| black_box(&mut *run)());
            }
        });
        return;
    }
    for kernels in Kernels::available().iter().rev() {
        for (k, n) in [(1024, 1), (2048, 1), (1024, 16), (1024, 256), (4608, 256)] {
            print!("{:10} [{n:3}, {k}] x [{ROWS}, {k}]:", kernels.name);
            products(kernels, k, n, &mut |name, products, run| print!(" {name} {:6.1} ", rate(products, run)));
            println!(" GOP/s");
        }
    }
}

/// Rows of weights.
const ROWS: usize = 512;

/// What is done with a product: its name, number of multiplications and work.
type Take<'a> = &'a mut dyn FnMut(&str, usize, &mut dyn FnMut());

/// Hands each product to `take`.
fn products(kernels: &Kernels, k: usize, n: usize, take: Take<'_>) {
    let fill = |len: usize| (0..len).map(|i| (i % 17) as f32 * 0.125 - 1.0).collect::<Vec<f32>>();
    let codes = |len: usize| (0..len).map(|i| (i % 255) as i8).map(|q| q.max(-127)).collect::<Vec<i8>>();
    let (x, w, scales) = (fill(n * k), fill(ROWS * k), fill(ROWS.max(n) * k / 16));
    let (qx, qw, bsums) = (codes(n * k), vec![0x5A; ROWS * k], vec![5; n * k / 16]);
    let (halves, subs) = (vec![0x1234; ROWS * k / 32], vec![7; ROWS * k / 16]);
    let mut out = vec![0.0; n * ROWS];
    let all = n * ROWS * k;
    take("f32", all, &mut || (kernels.gemm_f32)(&x, &w, k, &mut out, ROWS));

    let acts =
        Acts32 { codes: &qx, scales: &scales[..n * k / 32], sums: &scales[..n * k / 32], totals: &bsums[..n * k / 32] };
    for (name, coding) in [("Q4_0", Coding::Four { offset: 8 }), ("Q8_0", Coding::Byte)] {
        let codes = &qw[..ROWS / 16 * k / 32 * coding.chunk_bytes()];
        let scales = Factors::F16(&halves);
        let w = Strips32 { rows: ROWS, cols: k, coding, codes, scales, mins: Factors::NONE };
        take(name, all, &mut || (kernels.gemm_b32)(&acts, &w, &mut out, ROWS));
    }
    let acts = Acts256 { codes: &qx, scales: &scales[..n * k / 256], sums: &bsums };
    let kinds = [("Q4_K", Coding::Four { offset: 0 }, 8, true), ("Q6_K", Coding::Six { offset: 32 }, 16, false)];
    for (name, coding, subs_of, minima) in kinds {
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
        take(name, all, &mut || (kernels.gemm_b256)(&acts, &w, &mut out, ROWS));
    }
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
