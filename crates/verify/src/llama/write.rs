use super::base::{MAGIC, record_bytes};
use crate::{VerifyError, Windows};
use libm::{expf, log};
use std::io::{self, Write};

/// Writes a KL-divergence base file row by row.
pub struct BaseWriter<W> {
    out: W,
    vocab: usize,
    left: usize,
    record: Vec<u8>,
}

impl<W: Write> BaseWriter<W> {
    /// Writes the header and the text.
    ///
    /// # Errors
    /// I/O, or counts that do not fit the header.
    pub fn new(mut out: W, windows: &Windows, vocab: usize) -> Result<Self, VerifyError> {
        out.write_all(MAGIC)?;
        for n in [windows.context(), vocab, windows.count()] {
            let n = i32::try_from(n).map_err(|_| io::Error::other("a count does not fit 31 bits"))?;
            out.write_all(&n.to_le_bytes())?;
        }
        for token in windows.original() {
            out.write_all(&token.to_le_bytes())?;
        }
        Ok(Self { out, vocab, left: windows.count() * windows.scored(), record: Vec::new() })
    }

    /// Writes the next scored position's logits `[vocab]`.
    ///
    /// # Errors
    /// I/O, a row of another length, or more rows than the text has.
    pub fn push(&mut self, logits: &[f32]) -> Result<(), VerifyError> {
        if logits.len() != self.vocab || self.left == 0 {
            return Err(io::Error::other("not the rows that the header announces").into());
        }
        self.left -= 1;
        encode(logits, &mut self.record);
        Ok(self.out.write_all(&self.record)?)
    }

    /// Ends the file.
    ///
    /// # Errors
    /// I/O, or fewer rows than the text has.
    pub fn finish(mut self) -> Result<(), VerifyError> {
        if self.left > 0 {
            return Err(io::Error::other(format!("{} rows are missing", self.left)).into());
        }
        Ok(self.out.flush()?)
    }
}

/// One record of finite `logits`: everything down to 16 below the largest on 65536 even steps.
///
/// f32 throughout, the sum in f64, as the tool computes it.
pub fn encode(logits: &[f32], record: &mut Vec<u8>) {
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let min = logits.iter().copied().fold(f32::INFINITY, f32::min).max(max - 16.0);
    let sum: f64 = logits.iter().map(|l| f64::from(expf(l - max))).sum();
    let scale = (max - min) / 65535.0;
    let inverse = if scale == 0.0 { 0.0 } else { 1.0 / scale };
    record.clear();
    record.extend(scale.to_le_bytes());
    record.extend((min - max - log(sum) as f32).to_le_bytes());
    for l in logits {
        let code = if *l > min { (inverse * (l - min)).round_ties_even() as u16 } else { 0 };
        record.extend(code.to_le_bytes());
    }
    record.resize(record_bytes(logits.len()), 0);
}
