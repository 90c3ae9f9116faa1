//! The KL-divergence base file of llama.cpp (`llama-perplexity --save-all-logits`) and the statistics its
//! `--kl-divergence` prints, number by number.

mod base;
mod statistics;
mod write;

pub use base::{BaseFile, Record};
pub use statistics::{LlamaStatistics, Mean, Percentiles, StatisticsSum};
pub use write::{BaseWriter, encode};

use crate::drift::{check, chunk};
use crate::{Side, VerifyError, Windows};
use lfmq_core::{Executor, Fault, Observer, Session, Unit, Want};
use std::io::Write;

/// Runs `executor` over the windows of `base` (first tokens replaced by `bos`, as the tool does for models that want
/// it) and compares.
///
/// # Errors
/// Another vocabulary, logits that are not finite, and those of the executor.
pub fn compare(
    base: &BaseFile<'_>,
    executor: &dyn Executor,
    bos: Option<u32>,
    observer: &dyn Observer,
) -> Result<LlamaStatistics, Fault> {
    let vocab = executor.facts().vocab;
    if vocab != base.vocab() {
        return Err(VerifyError::Vocabulary { yardstick: base.vocab(), candidate: vocab }.into());
    }
    let windows = base.windows(bos);
    let mut sum = StatisticsSum::default();
    let sink = |window: usize, first: usize, logits: &[f32], targets: &[u32]| {
        let records: Vec<Record<'_>> = (first..).take(targets.len()).filter_map(|i| base.record(window, i)).collect();
        sum.push_all(&records, logits, targets);
        Ok(())
    };
    each_scored(executor, Side::Candidate, &windows, observer, sink)?;
    Ok(sum.finish())
}

/// Compares the records of two base files of the same text. The second stands for a model only up to its 16 bits a
/// logit, so figures differ from the tool's by about 1e-5.
///
/// # Errors
/// When the files are not of the same text and vocabulary.
pub fn compare_files(base: &BaseFile<'_>, other: &BaseFile<'_>) -> Result<LlamaStatistics, VerifyError> {
    if base.vocab() != other.vocab() {
        return Err(VerifyError::Vocabulary { yardstick: base.vocab(), candidate: other.vocab() });
    }
    if base.windows(None) != other.windows(None) {
        return Err(VerifyError::BaseFile {
            what: "its text",
            expected: "the tokens of the first file".into(),
            found: "others".into(),
        });
    }
    let mut sum = StatisticsSum::default();
    for (index, window) in base.windows(None).iter().enumerate() {
        for i in 0..base.scored() {
            if let (Some(record), Some(model)) = (base.record(index, i), other.record(index, i)) {
                sum.push_record(&record, &model, window[base.context() / 2 + 1 + i]);
            }
        }
    }
    Ok(sum.finish())
}

/// Runs `executor` over `windows` and writes its base file.
///
/// # Errors
/// Logits that are not finite, a full disk, and those of the executor.
pub fn save(executor: &dyn Executor, windows: &Windows, out: impl Write, observer: &dyn Observer) -> Result<(), Fault> {
    let vocab = executor.facts().vocab;
    let mut writer = BaseWriter::new(out, windows, vocab)?;
    let sink = |_, _, logits: &[f32], _: &[u32]| {
        logits.chunks_exact(vocab).try_for_each(|row| writer.push(row)).map_err(Fault::from)
    };
    each_scored(executor, Side::Yardstick, windows, observer, sink)?;
    Ok(writer.finish()?)
}

/// Feeds window by window and hands `sink(window, first scored index, logits [n, vocab], targets [n])` the scored halves.
fn each_scored(
    executor: &dyn Executor,
    side: Side,
    windows: &Windows,
    observer: &dyn Observer,
    mut sink: impl FnMut(usize, usize, &[f32], &[u32]) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let vocab = executor.facts().vocab;
    let chunk = chunk(vocab);
    let mut session: Box<dyn Session + '_> = executor.session(windows.context())?;
    let mut logits = Vec::new();
    observer.begin("logits", (windows.count() * windows.context()) as u64, Unit::Tokens);
    for (index, window) in windows.iter().enumerate() {
        session.reset();
        let (unscored, rest) = window.split_at(windows.first_scored());
        session.feed(unscored, Want::Nothing, &mut logits)?;
        for (first, piece) in (0..).step_by(chunk).zip(rest[..windows.scored()].chunks(chunk)) {
            logits.clear();
            session.feed(piece, Want::All, &mut logits)?;
            check(&logits, side, (piece.len(), vocab), (index, windows.first_scored() + first))?;
            sink(index, first, &logits, &rest[first + 1..][..piece.len()])?;
        }
        observer.advance(window.len() as u64);
    }
    observer.end();
    Ok(())
}
