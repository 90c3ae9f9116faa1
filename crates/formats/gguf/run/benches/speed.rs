//! Loading, prefill and decode of files, without the program around them:
//! `cargo bench -p lfmq-gguf-run -- FILE... [--threads N] [--f32] [--prefill N] [--decode N] [--reps N]`. Medians.
#![allow(clippy::print_stdout, missing_docs, reason = "its output is its purpose")]

use lfmq_core::{Activation, Executor, Want};
use lfmq_gguf_run::{Gguf, Options};
use lfmq_kernels::Kernels;
use std::path::{Path, PathBuf};
use std::time::Instant;

fn main() {
    let mut args = std::env::args().skip(1);
    let (mut files, mut activation) = (Vec::new(), Activation::Runtime);
    let (mut threads, mut prefill, mut decode, mut reps) = (0, 512, 64, 3);
    while let Some(arg) = args.next() {
        let mut number = || args.next().and_then(|n| n.parse().ok()).expect("a number");
        match arg.as_str() {
            "--threads" => threads = number(),
            "--prefill" => prefill = number(),
            "--decode" => decode = number(),
            "--reps" => reps = number(),
            "--f32" => activation = Activation::F32,
            "--bench" => {}
            file => files.push(PathBuf::from(file)),
        }
    }
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global().expect("threads");
    for file in files {
        measure(&file, Options { activation, kernels: Kernels::best() }, (prefill, decode, reps));
    }
}

fn measure(file: &Path, options: Options, (prefill, decode, reps): (usize, usize, usize)) {
    let start = Instant::now();
    let model = Gguf::open(file, options).expect("a model");
    model.decoder().expect("weights");
    let load = start.elapsed().as_secs_f64();
    let vocab = model.facts().vocab as u32;
    let tokens: Vec<u32> = (0..prefill.max(decode) as u32).map(|i| i * 37 % vocab).collect();
    let mut session = model.session(prefill + decode + 8).expect("a session");
    let (mut prompts, mut steps, mut out) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..reps {
        session.reset();
        out.clear();
        let start = Instant::now();
        session.feed(&tokens[..prefill], Want::Last, &mut out).expect("a prompt");
        prompts.push(start.elapsed().as_secs_f64());
        session.reset();
        for token in &tokens[..decode] {
            out.clear();
            let start = Instant::now();
            session.feed(&[*token], Want::Last, &mut out).expect("a token");
            steps.push(start.elapsed().as_secs_f64());
        }
    }
    let bytes = model.facts().weight_bytes as f64;
    let (prompt, step) = (median(prompts), median(steps));
    println!(
        "{}: load {:.0} ms, prefill {:.1} tok/s, decode {:.1} tok/s ({:.2} ms, {:.1} GB/s)",
        file.file_name().unwrap_or_default().display(),
        1e3 * load,
        prefill as f64 / prompt,
        1.0 / step,
        1e3 * step,
        bytes / step / 1e9,
    );
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or(f64::NAN)
}
