use super::Record;
use libm::{expf, log};
use rayon::prelude::*;
use serde::Serialize;
use std::fmt;

/// A mean and the error the tool prints: tokens taken as independent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Mean {
    /// The mean.
    pub value: f64,
    /// Its standard error.
    pub error: f64,
}

/// Values at fixed shares of the sorted list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Percentiles {
    pub max: f32,
    pub p999: f32,
    pub p99: f32,
    pub p95: f32,
    pub p90: f32,
    pub p75: f32,
    pub median: f32,
    pub p25: f32,
    pub p10: f32,
    pub p05: f32,
    pub p01: f32,
    pub p001: f32,
    pub min: f32,
}

/// What `llama-perplexity --kl-divergence` prints at its end, in the same words and the same arithmetic (f32 terms,
/// f64 sums, tokens independent, 16-nat floor).
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct LlamaStatistics {
    /// Scored tokens.
    pub tokens: usize,
    /// Mean PPL(Q).
    pub ppl: Mean,
    /// Mean PPL(base).
    pub ppl_base: Mean,
    /// Cor(ln(PPL(Q)), ln(PPL(base))), from 0 to 1.
    pub correlation: f64,
    /// Mean ln(PPL(Q)/PPL(base)).
    pub ln_ratio: Mean,
    /// Mean PPL(Q)/PPL(base).
    pub ratio: Mean,
    /// Mean PPL(Q)-PPL(base).
    pub difference: Mean,
    /// Mean KLD.
    pub kld: Mean,
    /// KLD percentiles.
    pub kld_at: Percentiles,
    /// Mean Δp of the true token, as a share (the tool prints per cent).
    pub delta_p: Mean,
    /// Δp percentiles.
    pub delta_p_at: Percentiles,
    /// RMS Δp.
    pub delta_p_rms: Mean,
    /// Same top p.
    pub same_top: Mean,
}

/// What one token adds.
struct Term {
    nll: f32,
    nll_base: f32,
    kld: f32,
    delta_p: f32,
    same_top: bool,
}

/// Sums over tokens, in their order.
#[derive(Default)]
pub struct StatisticsSum {
    nll: [f64; 2],
    nll_base: [f64; 2],
    product: f64,
    kld: [f64; 2],
    delta_p: [f64; 2],
    fourth: f64,
    same_top: usize,
    klds: Vec<f32>,
    deltas: Vec<f32>,
}

/// Compares one position. `normalised` rows are log-probabilities already: what a 16-bit file holds is cut off at 16 nats
/// below the top, so summing it up again would count the floor as probability.
fn term(base: &Record<'_>, logits: &[f32], token: u32, normalised: bool) -> Term {
    let mut top = 0;
    for (i, l) in logits.iter().enumerate() {
        if *l > logits[top] {
            top = i;
        }
    }
    let lse = if normalised { 0.0 } else { log_sum_exp(logits, top) };
    let nll = lse - logits.get(token as usize).copied().unwrap_or(f32::NAN);
    let nll_base = -base.log_prob(token).unwrap_or(f32::NAN);
    let (mut kld, mut top_base) = (0.0_f64, (0, f32::NEG_INFINITY));
    for (i, (log_p, l)) in base.log_probs().zip(logits).enumerate() {
        if log_p > top_base.1 {
            top_base = (i, log_p);
        }
        if log_p > -16.0 {
            kld += f64::from(expf(log_p) * (log_p - l + lse));
        }
    }
    let delta_p = expf(-nll) - expf(-nll_base);
    Term { nll, nll_base, kld: kld as f32, delta_p, same_top: top == top_base.0 }
}

fn log_sum_exp(logits: &[f32], top: usize) -> f32 {
    let max = logits.get(top).copied().unwrap_or_default();
    let sum: f64 = logits.iter().map(|l| f64::from(expf(l - max))).sum();
    max + log(sum) as f32
}

impl StatisticsSum {
    /// Adds positions: their base records, logits `[positions, vocab]` of the model under test, and the true tokens.
    pub fn push_all(&mut self, base: &[Record<'_>], logits: &[f32], targets: &[u32]) {
        let vocab = logits.len() / targets.len().max(1);
        let rows = base.par_iter().zip(logits.par_chunks_exact(vocab.max(1))).zip(targets);
        let terms: Vec<Term> = rows.map(|((record, row), target)| term(record, row, *target, false)).collect();
        terms.iter().for_each(|t| self.push(t));
    }

    /// Adds one position of two files.
    pub(super) fn push_record(&mut self, base: &Record<'_>, other: &Record<'_>, target: u32) {
        let row: Vec<f32> = other.log_probs().collect();
        self.push(&term(base, &row, target, true));
    }

    fn push(&mut self, t: &Term) {
        let add = |sums: &mut [f64; 2], v: f64| {
            sums[0] += v;
            sums[1] += v * v;
        };
        let (nll, nll_base) = (f64::from(t.nll), f64::from(t.nll_base));
        add(&mut self.nll, nll);
        add(&mut self.nll_base, nll_base);
        self.product += nll * nll_base;
        add(&mut self.kld, f64::from(t.kld));
        add(&mut self.delta_p, f64::from(t.delta_p));
        self.fourth += f64::from(t.delta_p).powi(4);
        self.same_top += usize::from(t.same_top);
        self.klds.push(t.kld);
        self.deltas.push(t.delta_p);
    }

    /// The statistics of all tokens so far.
    #[must_use]
    pub fn finish(mut self) -> LlamaStatistics {
        let n = self.klds.len();
        let mean = |sums: [f64; 2]| mean_and_error(sums, n);
        let (q, b) = (mean(self.nll), mean(self.nll_base));
        let covariance = if n > 10 { (self.product / n as f64 - q.value * b.value) / (n - 1) as f64 } else { 0.0 };
        let ln_ratio = Mean {
            value: q.value - b.value,
            error: (q.error * q.error + b.error * b.error - 2.0 * covariance).max(0.0).sqrt(),
        };
        let exp = |m: Mean| Mean { value: libm::exp(m.value), error: libm::exp(m.value) * m.error };
        let (ppl, ppl_base) = (exp(q), exp(b));
        let spread =
            ppl.error * ppl.error + ppl_base.error * ppl_base.error - 2.0 * covariance * ppl.value * ppl_base.value;
        let square = mean([self.delta_p[1], self.fourth]);
        let rms = square.value.sqrt();
        let same = self.same_top as f64 / n.max(1) as f64;
        LlamaStatistics {
            tokens: n,
            ppl,
            ppl_base,
            correlation: covariance / (q.error * b.error),
            ln_ratio,
            ratio: exp(ln_ratio),
            difference: Mean { value: ppl.value - ppl_base.value, error: spread.max(0.0).sqrt() },
            kld: mean(self.kld),
            kld_at: percentiles(&mut self.klds),
            delta_p: mean(self.delta_p),
            delta_p_at: percentiles(&mut self.deltas),
            delta_p_rms: Mean { value: rms, error: if rms > 0.0 { 0.5 / rms * square.error } else { 0.0 } },
            same_top: Mean { value: same, error: (same * (1.0 - same) / n.saturating_sub(1).max(1) as f64).sqrt() },
        }
    }
}

fn mean_and_error(sums: [f64; 2], n: usize) -> Mean {
    if n == 0 {
        return Mean::default();
    }
    let value = sums[0] / n as f64;
    let variance = sums[1] / n as f64 - value * value;
    let error = if variance > 0.0 && n > 10 { (variance / (n - 1) as f64).sqrt() } else { 0.0 };
    Mean { value, error }
}

fn percentiles(values: &mut [f32]) -> Percentiles {
    values.sort_by(f32::total_cmp);
    let Some(last) = values.len().checked_sub(1) else { return Percentiles::default() };
    let at = |share: f32| {
        let position = share * last as f32;
        let below = (position as usize).min(last);
        let part = position - below as f32;
        (1.0 - part) * values[below] + part * values[(below + 1).min(last)]
    };
    Percentiles {
        max: values[last],
        p999: at(0.999),
        p99: at(0.99),
        p95: at(0.95),
        p90: at(0.90),
        p75: at(0.75),
        median: if last % 2 == 0 { values[last / 2] } else { 0.5 * (values[last / 2] + values[last / 2 + 1]) },
        p25: at(0.25),
        p10: at(0.10),
        p05: at(0.05),
        p01: at(0.01),
        p001: at(0.001),
        min: values[0],
    }
}

/// The tool's own words and columns.
impl fmt::Display for LlamaStatistics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut row = |label: &str, m: Mean| writeln!(f, "{label}: {:>10.6} ± {:>10.6}", m.value, m.error);
        row("====== Perplexity statistics ======\nMean PPL(Q)                   ", self.ppl)?;
        row("Mean PPL(base)                ", self.ppl_base)?;
        writeln!(f, "Cor(ln(PPL(Q)), ln(PPL(base))): {:>6.2}%", 100.0 * self.correlation)?;
        let mut row = |label: &str, m: Mean| writeln!(f, "{label}: {:>10.6} ± {:>10.6}", m.value, m.error);
        row("Mean ln(PPL(Q)/PPL(base))     ", self.ln_ratio)?;
        row("Mean PPL(Q)/PPL(base)         ", self.ratio)?;
        row("Mean PPL(Q)-PPL(base)         ", self.difference)?;
        row("\n====== KL divergence statistics ======\nMean    KLD", self.kld)?;
        let k = &self.kld_at;
        for (label, v) in [
            ("Maximum KLD", k.max),
            ("99.9%   KLD", k.p999),
            ("99.0%   KLD", k.p99),
            ("95.0%   KLD", k.p95),
            ("90.0%   KLD", k.p90),
            ("Median  KLD", k.median),
            ("10.0%   KLD", k.p10),
            (" 5.0%   KLD", k.p05),
            (" 1.0%   KLD", k.p01),
            (" 0.1%   KLD", k.p001),
            ("Minimum KLD", k.min),
        ] {
            writeln!(f, "{label}: {v:>10.6}")?;
        }
        let percent = |m: Mean| (100.0 * m.value, 100.0 * m.error);
        let (mean, error) = percent(self.delta_p);
        writeln!(f, "\n====== Token probability statistics ======\nMean    Δp: {mean:>6.3} ± {error:>5.3} %")?;
        let d = &self.delta_p_at;
        for (label, v) in [
            ("Maximum Δp", d.max),
            ("99.9%   Δp", d.p999),
            ("99.0%   Δp", d.p99),
            ("95.0%   Δp", d.p95),
            ("90.0%   Δp", d.p90),
            ("75.0%   Δp", d.p75),
            ("Median  Δp", d.median),
            ("25.0%   Δp", d.p25),
            ("10.0%   Δp", d.p10),
            (" 5.0%   Δp", d.p05),
            (" 1.0%   Δp", d.p01),
            (" 0.1%   Δp", d.p001),
            ("Minimum Δp", d.min),
        ] {
            writeln!(f, "{label}: {:>6.3}%", 100.0 * v)?;
        }
        let ((rms, rms_error), (same, same_error)) = (percent(self.delta_p_rms), percent(self.same_top));
        writeln!(f, "RMS Δp    : {rms:>6.3} ± {rms_error:>5.3} %")?;
        writeln!(f, "Same top p: {same:>6.3} ± {same_error:>5.3} %")
    }
}
