//! Importance of weights: the mean square of what each column was multiplied with while a model read some text.

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

mod dat;
mod gguf;

use crate::QuantError;
use lfmq_core::{ImportanceSource, ModelSpec, TensorId, TensorRole};
use lfmq_gguf_wire::names::tensor_name;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Importance of the columns of each weight, measured on text.
#[derive(Clone, Debug)]
pub struct Importance {
    source: ImportanceSource,
    /// By the weight's name in GGUF files.
    entries: BTreeMap<String, Entry>,
}

/// One weight, or a stack of experts.
#[derive(Clone, Debug, PartialEq)]
struct Entry {
    /// Mean square of the input by `[expert, column]`; 1 throughout for an expert that no token reached.
    means: Vec<f32>,
    /// By expert, tokens that reached it.
    tokens: Vec<f32>,
}

/// How much of a model an importance file covers.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Coverage {
    /// Matrices with an entry; a stack of experts counts as one.
    pub covered: usize,
    /// GGUF names of matrices without one. The embedding, which never has one, is not listed.
    pub missing: Vec<String>,
    /// `(name, expert)` of experts that no token reached; they are quantized unweighted.
    pub unreached: Vec<(String, u16)>,
    /// The expert that the fewest tokens reached, of those that any reached, and how many.
    pub least: Option<(String, u16, f32)>,
    /// Entries that are no matrix of the model.
    pub unknown: Vec<String>,
}

impl Importance {
    /// Reads a GGUF importance file or the older `.dat`.
    ///
    /// # Errors
    /// I/O, or a file that is neither.
    pub fn read(path: &Path) -> Result<Self, QuantError> {
        let bytes = std::fs::read(path).map_err(|why| QuantError::Open { path: path.to_owned(), why })?;
        let mut read =
            Self::parse(&bytes).map_err(|why| QuantError::In { path: path.to_owned(), why: Box::new(why) })?;
        read.source.file = path.display().to_string();
        Ok(read)
    }

    /// The same from bytes; the source's file name is empty.
    ///
    /// # Errors
    /// When the bytes are neither form, or hold a sum or count that is negative or not finite.
    pub fn parse(bytes: &[u8]) -> Result<Self, QuantError> {
        if bytes.starts_with(b"GGUF") { gguf::parse(bytes) } else { dat::parse(bytes) }
    }

    fn new(entries: BTreeMap<String, Entry>, dataset: Option<String>, chunks: u32) -> Self {
        let count = u32::try_from(entries.len()).unwrap_or(u32::MAX);
        Self { source: ImportanceSource { file: String::new(), dataset, entries: count, chunks }, entries }
    }

    /// Where it came from.
    #[must_use]
    pub fn source(&self) -> &ImportanceSource {
        &self.source
    }

    /// One weight a column for the matrix `gguf_name` (of `expert`, for a stack), `None` without an entry. An entry
    /// of another size is ignored for the embedding only, as llama.cpp does.
    ///
    /// # Errors
    /// When the entry has another size.
    pub fn weights(&self, gguf_name: &str, expert: Option<u16>, cols: usize) -> Result<Option<Vec<f32>>, QuantError> {
        let Some(entry) = self.entries.get(gguf_name) else { return Ok(None) };
        let wrong = |expected: String| {
            let why = format!("it has {} columns, expected {expected}", entry.means.len());
            QuantError::ImportanceEntry { entry: gguf_name.to_owned(), why }
        };
        let start = match expert {
            None if entry.means.len() == cols => 0,
            None if gguf_name == "token_embd.weight" => return Ok(None),
            None => return Err(wrong(cols.to_string())),
            Some(e) if cols > 0 && entry.means.len().is_multiple_of(cols) => usize::from(e).saturating_mul(cols),
            Some(_) => return Err(wrong(format!("a multiple of {cols}"))),
        };
        let own = start.checked_add(cols).and_then(|end| entry.means.get(start..end));
        own.map(|w| Some(w.to_vec())).ok_or_else(|| wrong(format!("more, for expert {}", expert.unwrap_or_default())))
    }

    /// Whether the file says that no token reached `expert` of the stack `gguf_name`. Such an expert is quantized as
    /// without importance: nothing is known of which of its columns matter, so all weigh alike (as with llama.cpp).
    #[must_use]
    pub fn unreached(&self, gguf_name: &str, expert: u16) -> bool {
        let entry = self.entries.get(gguf_name);
        entry.is_some_and(|entry| entry.tokens.get(usize::from(expert)).is_some_and(|tokens| *tokens <= 0.0))
    }

    /// Checks that each stack of experts in the file has as many experts as the model.
    pub(crate) fn check_stack(&self, gguf_name: &str, cols: usize, experts: usize) -> Result<(), QuantError> {
        match self.entries.get(gguf_name) {
            Some(entry) if Some(entry.means.len()) != cols.checked_mul(experts) => {
                let why = format!("it has {} columns, expected {cols} of {experts} experts", entry.means.len());
                Err(QuantError::ImportanceEntry { entry: gguf_name.to_owned(), why })
            }
            _ => Ok(()),
        }
    }

    /// What it covers of a model.
    #[must_use]
    pub fn coverage(&self, spec: &ModelSpec) -> Coverage {
        let matrix = |(id, _): &(TensorId, _)| id.role.quantizable() && id.role != TensorRole::Embedding;
        let names: BTreeSet<String> =
            spec.tensors().iter().filter(|t| matrix(t)).map(|(id, _)| tensor_name(*id)).collect();
        let mut coverage = Coverage::default();
        for name in &names {
            let Some(entry) = self.entries.get(name) else {
                coverage.missing.push(name.clone());
                continue;
            };
            coverage.covered += 1;
            let (reached, unreached): (Vec<_>, Vec<_>) = (0u16..).zip(&entry.tokens).partition(|(_, n)| **n > 0.0);
            coverage.unreached.extend(unreached.into_iter().map(|(e, _)| (name.clone(), e)));
            // A weight that is no stack was reached by everything.
            for (e, tokens) in reached.into_iter().filter(|_| entry.tokens.len() > 1) {
                if coverage.least.as_ref().is_none_or(|(_, _, least)| tokens < least) {
                    coverage.least = Some((name.clone(), e, *tokens));
                }
            }
        }
        coverage.unknown = self.entries.keys().filter(|name| !names.contains(*name)).cloned().collect();
        coverage
    }
}

/// An entry from sums of squares by `[expert, column]` and tokens by expert.
fn entry(name: &str, sums: &[f32], counts: &[f32]) -> Result<Entry, QuantError> {
    let bad = |why: String| Err(QuantError::ImportanceEntry { entry: name.to_owned(), why });
    let cols = sums.len() / counts.len().max(1);
    if cols == 0 || cols * counts.len() != sums.len() {
        return bad(format!("{} sums for {} counts", sums.len(), counts.len()));
    }
    let mut means = Vec::with_capacity(sums.len());
    for (expert, (sums, count)) in sums.chunks_exact(cols).zip(counts).enumerate() {
        if !count.is_finite() || *count < 0.0 {
            return bad(format!("expert {expert} was reached by {count} tokens"));
        }
        let mean = |sum: &f32| if *count > 0.0 { sum / count } else { 1.0 };
        means.extend(sums.iter().map(mean));
        let sound = |(sum, mean): (&f32, &f32)| *sum >= 0.0 && sum.is_finite() && mean.is_finite();
        let of_expert = means.get(expert * cols..).unwrap_or_default();
        if let Some(col) = sums.iter().zip(of_expert).position(|pair| !sound(pair)) {
            let sum = sums.get(col).copied().unwrap_or_default();
            return bad(format!("the sum of squares {sum} over {count} tokens of column {col} is no mean square"));
        }
    }
    Ok(Entry { means, tokens: counts.to_vec() })
}
