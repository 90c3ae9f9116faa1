use crate::WireError;

/// A read position in the file; every read is checked against what is left.
#[derive(Clone, Copy)]
pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(crate) fn at(&self) -> usize {
        self.at
    }

    pub(crate) fn left(&self) -> usize {
        self.bytes.len().saturating_sub(self.at)
    }

    pub(crate) fn take(&mut self, n: u64, what: &'static str) -> Result<&'a [u8], WireError> {
        let cut = || WireError::Cut { what, at: self.at as u64, need: n, left: self.left() as u64 };
        let end = usize::try_from(n).ok().and_then(|n| self.at.checked_add(n)).ok_or_else(cut)?;
        let taken = self.bytes.get(self.at..end).ok_or_else(cut)?;
        self.at = end;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], WireError> {
        let mut word = [0; N];
        word.copy_from_slice(self.take(N as u64, what)?);
        Ok(word)
    }

    pub(crate) fn u32(&mut self, what: &'static str) -> Result<u32, WireError> {
        self.array(what).map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self, what: &'static str) -> Result<u64, WireError> {
        self.array(what).map(u64::from_le_bytes)
    }

    /// A length-prefixed string.
    pub(crate) fn text(&mut self, what: &'static str) -> Result<&'a str, WireError> {
        let n = self.u64(what)?;
        let at = self.at as u64;
        std::str::from_utf8(self.take(n, what)?).map_err(|_| WireError::NotText { what, at })
    }
}
