//! The older form: entries of (name, calls, sums) without a magic number, then what it was measured on.

use super::{Entry, Importance, entry};
use crate::QuantError;
use std::collections::BTreeMap;

pub(super) fn parse(bytes: &[u8]) -> Result<Importance, QuantError> {
    let mut from = Cursor { bytes };
    let count = from.size("the number of entries")?;
    if count == 0 {
        return Err(wrong("it has no entries"));
    }
    let mut entries = BTreeMap::new();
    // Every entry takes bytes, so the loop ends with the file whatever the count claims.
    for _ in 0..count {
        let (name, found) = read_entry(&mut from)?;
        if entries.insert(name.clone(), found).is_some() {
            return Err(QuantError::ImportanceEntry { entry: name, why: "it appears twice".to_owned() });
        }
    }
    if from.bytes.is_empty() {
        return Ok(Importance::new(entries, None, 0));
    }
    let chunks = from.size("the number of chunks")?;
    let dataset = from.text("the data set")?;
    if !from.bytes.is_empty() {
        return Err(wrong(&format!("{} bytes follow the data set", from.bytes.len())));
    }
    Ok(Importance::new(entries, Some(dataset), u32::try_from(chunks).unwrap_or(u32::MAX)))
}

fn read_entry(from: &mut Cursor<'_>) -> Result<(String, Entry), QuantError> {
    let name = from.text("a name")?;
    let calls = from.size("a number of calls")?;
    let values = from.size("a number of values")?;
    let bytes = values.checked_mul(4).ok_or_else(|| wrong("an entry is larger than any file"))?;
    let sums: Vec<f32> = from.take(bytes, "values")?.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
    // Without calls the values are means already.
    let entry = entry(&name, &sums, &[calls.max(1) as f32])?;
    Ok((name, entry))
}

fn wrong(why: &str) -> QuantError {
    QuantError::Importance { why: format!("neither GGUF nor the older form: {why}") }
}

struct Cursor<'a> {
    bytes: &'a [u8],
}

impl<'a> Cursor<'a> {
    fn take(&mut self, n: usize, what: &str) -> Result<&'a [u8], QuantError> {
        let cut = || wrong(&format!("it ends inside {what}: {n} bytes wanted, {} left", self.bytes.len()));
        let (taken, rest) = self.bytes.split_at_checked(n).ok_or_else(cut)?;
        self.bytes = rest;
        Ok(taken)
    }

    /// A count: a signed number on disk that must not be negative.
    fn size(&mut self, what: &str) -> Result<usize, QuantError> {
        let bytes = self.take(4, what)?.try_into().unwrap_or_default();
        let found = i32::from_le_bytes(bytes);
        usize::try_from(found).map_err(|_| wrong(&format!("{what} is {found}")))
    }

    fn text(&mut self, what: &str) -> Result<String, QuantError> {
        let n = self.size(what)?;
        let bytes = self.take(n, what)?;
        String::from_utf8(bytes.to_vec()).map_err(|_| wrong(&format!("{what} is not UTF-8")))
    }
}
