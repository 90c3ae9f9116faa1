//! Times an executor the way Liquid AI's pipette does: fixed token counts, prefill outside the decode window, no end of
//! sequence, a fresh state each repetition, warm-up apart, milliseconds with their spread.

mod counts;
mod timing;

pub use timing::{Decode, Prefill, Timing};

use crate::memory::{Memory, memory};
use crate::metrics::argmax;
use crate::stats::{Dice, mean, quantile, sorted};
use counts::Counts;
use lfmq_core::{Executor, Fault, Observer, Session, Unit, Want};
use serde::Serialize;
use std::time::{Duration, Instant};

/// What is timed.
#[derive(Clone, Debug)]
pub struct LatencyOptions {
    /// Prompt lengths, each clipped to the model's context.
    pub prefill: Vec<usize>,
    /// Tokens decoded in a repetition.
    pub decode: usize,
    /// Tokens in the caches when decoding begins.
    pub depth: usize,
    /// Repetitions, at least [`LatencyOptions::LEAST`].
    pub repetitions: usize,
    /// Token counts are cut until all fits into this, by an estimate of the warm-up; repetitions never are.
    pub budget: Option<Duration>,
    /// Seed of the token ids.
    pub seed: u64,
}

impl LatencyOptions {
    /// Fewer repetitions say nothing about noise.
    pub const LEAST: usize = 5;
    /// Fewer tokens are not measured, whatever the budget.
    pub const LEAST_TOKENS: usize = 3;
}

impl Default for LatencyOptions {
    fn default() -> Self {
        Self { prefill: vec![128, 512], decode: 32, depth: 128, repetitions: 5, budget: None, seed: 1 }
    }
}

/// The timings of one executor on this machine.
#[derive(Clone, Debug, Serialize)]
pub struct LatencyReport {
    /// Repetitions of each figure.
    pub repetitions: usize,
    /// Repetitions before them that do not count.
    pub warm_up: usize,
    /// Seed of the token ids.
    pub seed: u64,
    /// Whether token counts were cut for the budget or the context.
    pub clipped: bool,
    /// Opening the artifact, if the caller timed it.
    pub load_ms: Option<f64>,
    /// By prompt length.
    pub prefill: Vec<Prefill>,
    /// Decoding.
    pub decode: Decode,
    /// Kernel rung.
    pub rung: &'static str,
    /// Threads.
    pub threads: usize,
    /// Memory after the runs.
    pub memory: Option<Memory>,
}

/// Times `executor`. `load_ms` is passed through.
///
/// # Errors
/// Those of the executor.
pub fn measure(
    executor: &dyn Executor,
    options: &LatencyOptions,
    load_ms: Option<f64>,
    observer: &dyn Observer,
) -> Result<LatencyReport, Fault> {
    let counts = Counts::fit(executor, options)?;
    let mut tokens = Tokens::new(executor, options.seed);
    let stages = counts.prefill.len() + 1;
    observer.begin("latency", (stages * counts.repetitions) as u64, Unit::Items);
    let mut prefill = Vec::with_capacity(counts.prefill.len());
    for length in &counts.prefill {
        prefill.push(time_prefill(executor, *length, counts.repetitions, &mut tokens, observer)?);
    }
    let decode = time_decode(executor, &counts, &mut tokens, observer)?;
    observer.end();
    Ok(LatencyReport {
        repetitions: counts.repetitions,
        warm_up: 1,
        seed: options.seed,
        clipped: counts.clipped,
        load_ms,
        prefill,
        decode,
        rung: executor.facts().rung,
        threads: executor.facts().threads,
        memory: memory(),
    })
}

/// Random ids, so that no run profits from a repeated token.
struct Tokens {
    dice: Dice,
    vocab: usize,
}

impl Tokens {
    fn new(executor: &dyn Executor, seed: u64) -> Self {
        Self { dice: Dice::new(seed), vocab: executor.facts().vocab }
    }

    fn take(&mut self, n: usize) -> Vec<u32> {
        (0..n).map(|_| u32::try_from(self.dice.below(self.vocab.max(1))).unwrap_or_default()).collect()
    }
}

/// `n` random ids of the vocabulary, the same each time.
pub(crate) fn random_tokens(executor: &dyn Executor, n: usize) -> Vec<u32> {
    Tokens::new(executor, LatencyOptions::default().seed).take(n)
}

fn ms(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}

fn time_prefill(
    executor: &dyn Executor,
    length: usize,
    repetitions: usize,
    tokens: &mut Tokens,
    observer: &dyn Observer,
) -> Result<Prefill, Fault> {
    let mut session = executor.session(length)?;
    let (mut whole, mut first) = (Vec::new(), Vec::new());
    let mut logits = Vec::new();
    for repetition in 0..=repetitions {
        session.reset();
        logits.clear();
        let prompt = tokens.take(length);
        let start = Instant::now();
        session.feed(&prompt, Want::Last, &mut logits)?;
        let prefill = ms(start);
        std::hint::black_box(argmax(&logits));
        let chosen = ms(start);
        if repetition > 0 {
            whole.push(prefill);
            first.push(chosen);
            observer.advance(1);
        }
    }
    let time = Timing::of(whole);
    let tokens_per_second = 1e3 * length as f64 / time.mean_ms;
    Ok(Prefill { tokens: length, time, first_token: Timing::of(first), tokens_per_second })
}

fn time_decode(
    executor: &dyn Executor,
    counts: &Counts,
    tokens: &mut Tokens,
    observer: &dyn Observer,
) -> Result<Decode, Fault> {
    let mut session = executor.session(counts.depth + counts.decode)?;
    let (mut means, mut singles) = (Vec::new(), Vec::new());
    for repetition in 0..=counts.repetitions {
        let run = decode_once(session.as_mut(), counts, tokens)?;
        if repetition > 0 {
            means.push(mean(&run));
            singles.extend(run);
            observer.advance(1);
        }
    }
    let order = sorted(&singles);
    let per_token = Timing::of(means);
    Ok(Decode {
        depth: counts.depth,
        tokens: counts.decode,
        token_p50_ms: quantile(&order, 0.5),
        token_p95_ms: quantile(&order, 0.95),
        tokens_per_second: 1e3 / per_token.mean_ms,
        per_token,
    })
}

fn decode_once(session: &mut dyn Session, counts: &Counts, tokens: &mut Tokens) -> Result<Vec<f64>, Fault> {
    let mut logits = Vec::new();
    session.reset();
    session.feed(&tokens.take(counts.depth), Want::Last, &mut logits)?;
    let mut times = Vec::with_capacity(counts.decode);
    for token in tokens.take(counts.decode) {
        logits.clear();
        let start = Instant::now();
        session.feed(&[token], Want::Last, &mut logits)?;
        std::hint::black_box(argmax(&logits));
        times.push(ms(start));
    }
    Ok(times)
}
