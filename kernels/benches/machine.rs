//! What this machine can do, as one line of JSON: `cargo bench -p lfmq-kernels --bench machine [-- THREADS]`. The rate of
//! reading memory from front to back and of multiplying 8-bit numbers in registers, in vectors and in tiles, on so many
//! threads (all by default).
#![allow(clippy::print_stdout, missing_docs, reason = "its output is its purpose")]

use std::hint::black_box;
use std::thread;
use std::time::Instant;

fn main() {
    let asked = std::env::args().filter_map(|a| a.parse().ok()).next();
    let threads = asked.unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from));
    let (stream, int8) = (stream(threads) / 1e9, int8(threads).map(|rate| rate / 1e9));
    let int8 = int8.map_or("null".to_owned(), |rate| format!("{rate:.1}"));
    let tiles = tiles(threads).map_or("null".to_owned(), |rate| format!("{:.1}", rate / 1e9));
    println!(
        "{{\"threads\": {threads}, \"stream_read_gb_s\": {stream:.2}, \"int8_peak_gop_s\": {int8}, \
         \"int8_tile_peak_gop_s\": {tiles}}}"
    );
}

/// Best of several rounds, in `work` a second: every thread runs `round`, made by `make` before the clock starts.
fn best<F: FnMut() + Send>(threads: usize, work: f64, make: impl Fn() -> F + Sync) -> f64 {
    let barrier = std::sync::Barrier::new(threads);
    let seconds = thread::scope(|scope| {
        let run = || {
            let mut round = make();
            round();
            let mut best = f64::MAX;
            for _ in 0..7 {
                barrier.wait();
                let start = Instant::now();
                round();
                barrier.wait();
                best = best.min(start.elapsed().as_secs_f64());
            }
            best
        };
        let all: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        all.into_iter().map(|t| t.join().unwrap_or(f64::MAX)).fold(0.0, f64::max)
    });
    threads as f64 * work / seconds
}

lfmq_kernels::multiversion! {
    fn sum['a](x: &'a [u64]) -> u64 {
        x.iter().fold(0, |sum, x| sum ^ x)
    }
}

/// Bytes read a second. Each thread has 256 MiB of its own, more than any cache share.
fn stream(threads: usize) -> f64 {
    const WORDS: usize = 32 << 20;
    best(threads, 8.0 * WORDS as f64, || {
        let memory: Vec<u64> = (0..WORDS as u64).collect();
        move || {
            black_box(sum(black_box(&memory)));
        }
    })
}

/// Rounds of products in registers.
#[cfg(target_arch = "x86_64")]
const ROUNDS: usize = 1 << 22;

/// Operations a second, two a product; nothing where no 8-bit dot product is known.
fn int8(threads: usize) -> Option<f64> {
    #[cfg(target_arch = "x86_64")]
    {
        if std::is_x86_feature_detected!("avx512vnni") {
            // SAFETY: the machine has the features that the function asks for.
            return Some(best(threads, (ROUNDS * 12 * 64 * 2) as f64, || || unsafe { dots512() }));
        }
        if std::is_x86_feature_detected!("avx2") {
            // SAFETY: as above.
            return Some(best(threads, (ROUNDS * 12 * 32 * 2) as f64, || || unsafe { dots256() }));
        }
    }
    let _ = threads;
    None
}

/// The same of the tile unit, where there is one.
fn tiles(threads: usize) -> Option<f64> {
    // The rung is there only where the system lets this process use tiles.
    #[cfg(target_arch = "x86_64")]
    if lfmq_kernels::Kernels::by_name("amx").is_some() {
        let products = 16 * 16 * 64;
        // SAFETY: the machine has tiles.
        return Some(best(threads, (ROUNDS / 8 * 4 * products * 2) as f64, || || unsafe { dots_of_tiles() }));
    }
    let _ = threads;
    None
}

/// Four independent sums of 16 rows by 16 columns, 64 products each.
#[cfg(target_arch = "x86_64")]
unsafe fn dots_of_tiles() {
    // Palette 1, eight tiles of 16 rows of 64 bytes.
    let mut config = [0_u8; 64];
    config[0] = 1;
    for t in 0..8 {
        (config[16 + 2 * t], config[48 + t]) = (64, 16);
    }
    // SAFETY: the caller has tiles; the configuration is 64 bytes, and nothing else is read or written.
    unsafe {
        std::arch::asm!("ldtilecfg [{}]", in(reg) config.as_ptr(), options(nostack, readonly));
        for _ in 0..ROUNDS / 8 {
            std::arch::asm!(
                "tdpbssd tmm0, tmm4, tmm6",
                "tdpbssd tmm1, tmm4, tmm7",
                "tdpbssd tmm2, tmm5, tmm6",
                "tdpbssd tmm3, tmm5, tmm7",
                options(nostack, nomem)
            );
        }
        std::arch::asm!("tilerelease", options(nostack, nomem));
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vnni")]
fn dots512() {
    use std::arch::x86_64::{_mm512_dpbusd_epi32, _mm512_set1_epi32};
    let (a, b) = (black_box(_mm512_set1_epi32(0x0102_0304)), black_box(_mm512_set1_epi32(0x0506_0708)));
    let mut sums = [_mm512_set1_epi32(0); 12];
    for _ in 0..ROUNDS {
        for sum in &mut sums {
            *sum = _mm512_dpbusd_epi32(*sum, a, b);
        }
    }
    black_box(sums);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn dots256() {
    use std::arch::x86_64::{
        _mm256_add_epi32, _mm256_madd_epi16, _mm256_maddubs_epi16, _mm256_set1_epi16, _mm256_set1_epi32,
    };
    let (a, b) = (black_box(_mm256_set1_epi32(0x0102_0304)), black_box(_mm256_set1_epi32(0x0506_0708)));
    let ones = black_box(_mm256_set1_epi16(1));
    let mut sums = [_mm256_set1_epi32(0); 12];
    for _ in 0..ROUNDS {
        for sum in &mut sums {
            *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(_mm256_maddubs_epi16(black_box(a), b), ones));
        }
    }
    black_box(sums);
}
