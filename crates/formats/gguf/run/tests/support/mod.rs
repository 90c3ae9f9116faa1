//! What the tests share: opening a file, and the files that llama-perplexity saves logits in.
#![allow(dead_code, reason = "each test file uses its part")]

use lfmq_core::{Activation, Executor, Want};
use lfmq_gguf_run::{Gguf, Options};
use lfmq_kernels::Kernels;
use std::path::Path;

pub fn options(activation: Activation) -> Options {
    Options { activation, kernels: Kernels::best() }
}

pub fn open(path: &Path, activation: Activation) -> Gguf {
    Gguf::open(path, options(activation)).unwrap_or_else(|e| panic!("{e}"))
}

/// Logits of `llama-perplexity --save-all-logits`: windows of tokens, and for the second half of each the
/// log-probabilities of the next token, in 16 bits down to 16 nats below the best.
pub struct Saved {
    pub context: usize,
    pub vocab: usize,
    pub windows: Vec<Vec<u32>>,
    /// `[window][position - context / 2][vocab]`; `None` where the value lies at the floor.
    pub log_probs: Vec<Vec<Vec<Option<f32>>>>,
}

impl Saved {
    pub fn read(path: &Path) -> Self {
        let bytes = std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        assert_eq!(&bytes[..8], b"_logits_");
        let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        let (context, vocab, count) = (word(8) as usize, word(12) as usize, word(16) as usize);
        let tokens: Vec<u32> = (0..context * count).map(|i| word(20 + 4 * i)).collect();
        let windows = tokens.chunks(context).map(<[u32]>::to_vec).collect();
        let scored = context - 1 - context / 2;
        let record = 2 * (2 * vocab.div_ceil(2) + 4);
        let start = 20 + 4 * context * count;
        assert_eq!(bytes.len(), start + count * scored * record, "{}", path.display());
        let position = |index: usize| {
            let record = &bytes[start + index * record..][..record];
            let float = |at: usize| f32::from_le_bytes(record[at..at + 4].try_into().unwrap());
            let (scale, least) = (float(0), float(4));
            let codes = record[8..8 + 2 * vocab].chunks(2).map(|c| u16::from_le_bytes([c[0], c[1]]));
            codes.map(|c| (c > 0).then(|| scale * f32::from(c) + least)).collect()
        };
        let log_probs = (0..count).map(|w| (w * scored..(w + 1) * scored).map(&position).collect()).collect();
        Self { context, vocab, windows, log_probs }
    }
}

/// `logits` as log-probabilities.
pub fn log_softmax(logits: &[f32]) -> Vec<f32> {
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logits.iter().map(|l| f64::from(l - max).exp()).sum();
    logits.iter().map(|l| l - max - sum.ln() as f32).collect()
}

/// How far a model is from saved logits.
#[derive(Debug)]
pub struct Gap {
    /// Largest difference of a log-probability above the floor, by position.
    pub by_position: Vec<f32>,
    /// Mean KL divergence of the saved distribution from ours, nats.
    pub kld: f64,
}

impl Gap {
    /// Largest difference of all.
    pub fn max(&self) -> f32 {
        self.by_position.iter().copied().fold(0.0, f32::max)
    }

    /// Share of positions that agree but for the 16 bits of the saved values.
    pub fn exact(&self) -> f64 {
        let exact = self.by_position.iter().filter(|d| **d < 1e-3).count();
        exact as f64 / self.by_position.len() as f64
    }
}

/// Runs every window of `saved` and compares. The tool puts the bos token in place of each window's first.
pub fn gap(model: &Gguf, saved: &Saved) -> Gap {
    let vocabulary = model.vocabulary().unwrap().expect("a tokenizer");
    let bos = vocabulary.bos.filter(|_| vocabulary.add_bos);
    let (mut by_position, mut kld) = (Vec::new(), 0.0);
    for (window, expected) in saved.windows.iter().zip(&saved.log_probs) {
        let mut tokens = window.clone();
        tokens[0] = bos.unwrap_or(tokens[0]);
        let mut session = model.session(saved.context).unwrap();
        let mut logits = Vec::new();
        session.feed(&tokens[..saved.context - 1], Want::From(saved.context / 2), &mut logits).unwrap();
        for (logits, expected) in logits.chunks(saved.vocab).zip(expected) {
            let found = log_softmax(logits);
            let pairs: Vec<(f32, f32)> = found.iter().zip(expected).filter_map(|(f, e)| Some((*f, (*e)?))).collect();
            by_position.push(pairs.iter().map(|(f, e)| (f - e).abs()).fold(0.0, f32::max));
            kld += pairs.iter().map(|(f, e)| f64::from(*e).exp() * f64::from(e - f)).sum::<f64>();
        }
    }
    assert!(!by_position.is_empty());
    let kld = kld / by_position.len() as f64;
    Gap { by_position, kld }
}
