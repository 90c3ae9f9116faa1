#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

use crate::{VerifyError, Windows};

/// A KL-divergence base file in memory.
///
/// Layout, all little-endian: `_logits_`, u32 context, i32 vocabulary, i32 chunks, i32 tokens `[chunks, context]`, then
/// for each chunk a record for each of the positions `context/2 ..= context-2`: f32 scale, f32 smallest
/// log-probability, u16 codes `[vocab]`, one more if the vocabulary is odd.
#[derive(Debug)]
pub struct BaseFile<'a> {
    context: usize,
    vocab: usize,
    chunks: usize,
    tokens: Vec<u32>,
    records: &'a [u8],
}

/// The log-probabilities after one scored position; code `c` stands for `scale * c + min`.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    scale: f32,
    min: f32,
    codes: &'a [u8],
}

pub(super) const MAGIC: &[u8; 8] = b"_logits_";
const HEADER: usize = 20;

/// Bytes of one record: scale, minimum, and codes up to an even number.
pub(super) const fn record_bytes(vocab: usize) -> usize {
    8 + 2 * vocab.next_multiple_of(2)
}

fn wrong(what: &'static str, expected: impl ToString, found: impl ToString) -> VerifyError {
    VerifyError::BaseFile { what, expected: expected.to_string(), found: found.to_string() }
}

fn word(bytes: &[u8], at: usize) -> Option<[u8; 4]> {
    bytes.get(at..at.checked_add(4)?)?.try_into().ok()
}

impl<'a> BaseFile<'a> {
    /// Reads the header and checks that the size is exactly what it says. Nothing is allocated but the tokens, which
    /// are in the file.
    ///
    /// # Errors
    /// A magic, count or token out of range, or a file of another size.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, VerifyError> {
        if bytes.get(..8) != Some(MAGIC) {
            return Err(wrong("the magic", "_logits_", String::from_utf8_lossy(bytes.get(..8).unwrap_or(bytes))));
        }
        let number = |what, at| {
            let found =
                word(bytes, at).map(i32::from_le_bytes).ok_or_else(|| wrong("the header", "20 bytes", bytes.len()))?;
            usize::try_from(found).ok().filter(|n| *n > 0).ok_or_else(|| wrong(what, "a positive number", found))
        };
        let (context, vocab, chunks) =
            (number("the context", 8)?, number("the vocabulary", 12)?, number("the chunks", 16)?);
        if context < 4 {
            return Err(wrong("the context", "4 tokens or more", context));
        }
        let scored = context - 1 - context / 2;
        let size = Self::size(context, vocab, chunks, scored);
        if size != Some(bytes.len()) {
            return Err(wrong("the size", size.map_or("less than 2^64".to_owned(), |s| s.to_string()), bytes.len()));
        }
        let (ids, records) =
            bytes.get(HEADER..).unwrap_or_default().split_at_checked(4 * context * chunks).unwrap_or_default();
        let tokens = ids.chunks_exact(4).filter_map(|b| b.try_into().ok()).map(u32::from_le_bytes).collect::<Vec<_>>();
        match tokens.iter().find(|t| **t as usize >= vocab) {
            Some(token) => Err(wrong("a token", format!("less than {vocab}"), token)),
            None => Ok(Self { context, vocab, chunks, tokens, records }),
        }
    }

    fn size(context: usize, vocab: usize, chunks: usize, scored: usize) -> Option<usize> {
        let record = vocab.checked_add(vocab % 2)?.checked_mul(2)?.checked_add(8)?;
        let chunk = record.checked_mul(scored)?.checked_add(context.checked_mul(4)?)?;
        chunk.checked_mul(chunks)?.checked_add(HEADER)
    }

    /// Tokens of a window.
    #[must_use]
    pub const fn context(&self) -> usize {
        self.context
    }

    /// Tokens of the vocabulary.
    #[must_use]
    pub const fn vocab(&self) -> usize {
        self.vocab
    }

    /// Number of windows.
    #[must_use]
    pub const fn chunks(&self) -> usize {
        self.chunks
    }

    /// Scored positions of each window.
    #[must_use]
    pub const fn scored(&self) -> usize {
        self.context - 1 - self.context / 2
    }

    /// The text it was made of, with the first token of each window replaced by `bos`, which the file does not show.
    #[must_use]
    pub fn windows(&self, bos: Option<u32>) -> Windows {
        Windows::whole(self.tokens.clone(), self.context, bos)
    }

    /// The record of scored position `index` (from 0) of `chunk`.
    #[must_use]
    pub fn record(&self, chunk: usize, index: usize) -> Option<Record<'a>> {
        if chunk >= self.chunks || index >= self.scored() {
            return None;
        }
        let size = record_bytes(self.vocab);
        let bytes = self.records.get((chunk * self.scored() + index) * size..)?.get(..size)?;
        Some(Record {
            scale: f32::from_le_bytes(word(bytes, 0)?),
            min: f32::from_le_bytes(word(bytes, 4)?),
            codes: bytes.get(8..8 + 2 * self.vocab)?,
        })
    }
}

impl Record<'_> {
    /// The log-probabilities, one a token of the vocabulary.
    pub fn log_probs(&self) -> impl ExactSizeIterator<Item = f32> {
        let value = |code: &[u8]| match code {
            [low, high] => self.scale * f32::from(u16::from_le_bytes([*low, *high])) + self.min,
            _ => self.min,
        };
        self.codes.chunks_exact(2).map(value)
    }

    /// The log-probability of one token.
    #[must_use]
    pub fn log_prob(&self, token: u32) -> Option<f32> {
        self.log_probs().nth(token as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{WindowOptions, llama::BaseWriter};
    use proptest::prelude::*;

    fn sample(vocab: usize) -> Vec<u8> {
        let text: Vec<u32> = (0..64).map(|i| i % vocab as u32).collect();
        let windows = Windows::cut(&text, Some(1), &WindowOptions { context: 32, ..WindowOptions::default() }).unwrap();
        let mut bytes = Vec::new();
        let mut writer = BaseWriter::new(&mut bytes, &windows, vocab).unwrap();
        for i in 0..windows.count() * windows.scored() {
            let row: Vec<f32> =
                (0..vocab).map(|v| ((v * 7 + i) % 11) as f32 * 0.5 - 20.0 * f32::from(u8::from(v == 2))).collect();
            writer.push(&row).unwrap();
        }
        writer.finish().unwrap();
        bytes
    }

    #[test]
    fn what_is_written_is_read() {
        for vocab in [8, 9] {
            let bytes = sample(vocab);
            assert_eq!(bytes.len(), 20 + 4 * 64 + 2 * 15 * (2 * vocab.div_ceil(2) + 4) * 2);
            let file = BaseFile::parse(&bytes).unwrap();
            assert_eq!((file.context(), file.vocab(), file.chunks(), file.scored()), (32, vocab, 2, 15));
            // The file keeps the text as it was, not the token that took the first one's place.
            assert_eq!(file.windows(None).iter().next().unwrap()[..3], [0, 1, 2]);
            assert_eq!(file.windows(Some(5)).iter().next().unwrap()[..3], [5, 1, 2]);
            let probs: Vec<f32> = file.record(1, 14).unwrap().log_probs().collect();
            let sum: f32 = probs.iter().map(|l| l.exp()).sum();
            assert!((sum - 1.0).abs() < 1e-3, "{sum}");
            // 16 nats below the largest is as low as it goes.
            let top = probs.iter().copied().fold(f32::MIN, f32::max);
            assert!((top - probs[2] - 16.0).abs() < 1e-3);
            assert_eq!(file.record(0, 3).unwrap().log_prob(3), file.record(0, 3).unwrap().log_probs().nth(3));
            assert!(file.record(2, 0).is_none() && file.record(0, 15).is_none());
        }
    }

    #[test]
    fn hostile_headers_are_named() {
        let good = sample(8);
        let with = |at: usize, value: i32| {
            let mut bytes = good.clone();
            bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
            bytes
        };
        for (bytes, what) in [
            (b"_logits".to_vec(), "magic"),
            (b"GGUF....".to_vec(), "magic"),
            (good[..19].to_vec(), "header"),
            (with(8, 0), "context"),
            (with(8, 3), "context"),
            (with(12, -1), "vocabulary"),
            (with(12, i32::MAX), "size"),
            (with(16, i32::MAX), "size"),
            (with(8, i32::MAX), "size"),
            (with(20, 8), "token"),
            (with(20, -1), "token"),
            (good[..good.len() - 1].to_vec(), "size"),
            ([&good[..], &[0]].concat(), "size"),
        ] {
            let error = BaseFile::parse(&bytes).unwrap_err().to_string();
            assert!(error.contains(what), "{what}: {error}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), at in 8usize..300, value: u8) {
            let _ = BaseFile::parse(&[&MAGIC[..], &bytes].concat());
            let mut changed = sample(4);
            changed[at] = value;
            if let Ok(file) = BaseFile::parse(&changed) {
                for i in 0..file.scored() {
                    prop_assert_eq!(file.record(0, i).unwrap().log_probs().count(), file.vocab());
                }
            }
        }
    }
}
