//! Models split over several files, `PREFIX-00001-of-00003.gguf`: the first holds the keys of the model.

use crate::{Container, WireError};

/// What one file of a split model says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Split {
    /// Which file this is, from 0.
    pub no: u16,
    /// How many there are.
    pub count: u16,
    /// Tensors in all of them together.
    pub tensors: u64,
}

impl Split {
    /// The `split.*` keys; `None` for a model in one file.
    ///
    /// # Errors
    /// When only some of the keys are there, or `no` is not below `count`.
    pub fn of(container: &Container<'_>) -> Result<Option<Self>, WireError> {
        let count = container.find::<u16>("split.count")?;
        if count.is_none() && container.get("split.no").is_none() {
            return Ok(None);
        }
        let key = "split.no";
        let (no, count) = (container.read::<u16>(key)?, container.read::<u16>("split.count")?);
        if no >= count {
            let (expected, found) = (format!("below split.count = {count}"), no.to_string());
            return Err(WireError::KeyValue { key: key.to_owned(), expected, found });
        }
        Ok(Some(Self { no, count, tensors: container.read("split.tensors.count")? }))
    }
}

/// The file name of part `no` (from 0) of `count`.
#[must_use]
pub fn file_name(prefix: &str, no: u16, count: u16) -> String {
    format!("{prefix}-{:05}-of-{count:05}.gguf", u32::from(no) + 1)
}

/// `(prefix, no from 0, count)` of a file name that follows the pattern.
#[must_use]
pub fn parse_file_name(name: &str) -> Option<(&str, u16, u16)> {
    let stem = name.strip_suffix(".gguf")?;
    let (rest, count) = stem.rsplit_once("-of-")?;
    let (prefix, no) = rest.rsplit_once('-')?;
    let number = |s: &str| (s.len() == 5).then(|| s.parse::<u16>().ok()).flatten();
    let (no, count) = (number(no)?, number(count)?);
    (no >= 1 && no <= count).then(|| (prefix, no - 1, count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_parts() {
        assert_eq!(file_name("m-Q4_0", 0, 3), "m-Q4_0-00001-of-00003.gguf");
        assert_eq!(parse_file_name("m-Q4_0-00001-of-00003.gguf"), Some(("m-Q4_0", 0, 3)));
        assert_eq!(parse_file_name("m-00003-of-00003.gguf"), Some(("m", 2, 3)));
        for other in ["m.gguf", "m-00000-of-00003.gguf", "m-00004-of-00003.gguf", "m-1-of-3.gguf", "m-00001-of-00003"] {
            assert_eq!(parse_file_name(other), None, "{other}");
        }
    }
}
