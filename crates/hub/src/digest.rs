//! What a file's content should be, and what it is.

use crate::HubError;
use crate::id::is_lower_hex;
use sha1::Sha1;
use sha2::{Digest, Sha256};

/// The digest that the hub announces for a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    /// SHA-256 of the content: large files (LFS object id).
    Sha256(String),
    /// SHA-1 of git's blob header and the content: small files (git object id).
    Git(String),
    /// A mirror with names of its own.
    Unknown,
}

impl Expected {
    /// What a blob name says of the content.
    pub(crate) fn from_name(name: &str) -> Self {
        match name.len() {
            64 if is_lower_hex(name) => Self::Sha256(name.to_owned()),
            40 if is_lower_hex(name) => Self::Git(name.to_owned()),
            _ => Self::Unknown,
        }
    }
}

/// Digest of a file while it grows.
pub(crate) enum Digester {
    Sha256(Sha256),
    Git(Sha1),
    Unknown,
}

impl Digester {
    /// For a file that will have `size` bytes.
    pub(crate) fn new(expected: &Expected, size: u64) -> Self {
        match expected {
            Expected::Sha256(_) => Self::Sha256(Sha256::new()),
            Expected::Git(_) => Self::Git(Sha1::new_with_prefix(format!("blob {size}\0"))),
            Expected::Unknown => Self::Unknown,
        }
    }

    /// The next bytes.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(state) => state.update(bytes),
            Self::Git(state) => state.update(bytes),
            Self::Unknown => {}
        }
    }

    /// Whether all bytes are what was `expected` of `file`.
    pub(crate) fn check(self, expected: &Expected, file: &str) -> Result<(), HubError> {
        let (algorithm, expected, found) = match (self, expected) {
            (Self::Sha256(state), Expected::Sha256(expected)) => ("SHA-256", expected, hex(&state.finalize())),
            (Self::Git(state), Expected::Git(expected)) => ("git object id", expected, hex(&state.finalize())),
            _ => return Ok(()),
        };
        if *expected == found {
            return Ok(());
        }
        Err(HubError::Digest { file: file.to_owned(), algorithm, expected: expected.clone(), found })
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `printf abc | sha256sum`, `printf 'hello\n' | git hash-object --stdin`, and git's well-known empty blob.
    #[test]
    fn known_digests() {
        for (name, content) in [
            ("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", "abc"),
            ("ce013625030ba8dba906f756967f9e9ca394464a", "hello\n"),
            ("e69de29bb2d1d6434b8b29ae775ad8c2e48c5391", ""),
        ] {
            let expected = Expected::from_name(name);
            let mut digester = Digester::new(&expected, content.len() as u64);
            for byte in content.bytes() {
                digester.update(&[byte]);
            }
            digester.check(&expected, "x").unwrap();
            let mut other = Digester::new(&expected, content.len() as u64);
            other.update(b"other");
            assert!(matches!(other.check(&expected, "x"), Err(HubError::Digest { .. })));
        }
        for other in ["", "abc", &"A".repeat(64), &"a".repeat(41), &"g".repeat(40)] {
            assert_eq!(Expected::from_name(other), Expected::Unknown);
        }
    }
}
