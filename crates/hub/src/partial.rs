//! A file that is not whole yet: bytes are only appended, and digested as they come.

use crate::HubError;
use crate::digest::{Digester, Expected};
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

pub(crate) struct Partial {
    path: PathBuf,
    file: File,
    digester: Digester,
    expected: Expected,
    /// Bytes so far.
    length: u64,
    /// Bytes of the whole file.
    size: u64,
    /// Whether some of it is from an earlier run.
    pub(crate) inherited: bool,
}

impl Partial {
    /// Opens what an earlier run left, or begins. The caller holds the blob's lock.
    pub(crate) fn open(path: &Path, expected: &Expected, size: u64) -> Result<Self, HubError> {
        let io = || HubError::io(path);
        let file = OpenOptions::new().read(true).append(true).create(true).open(path).map_err(io())?;
        let mut partial = Self {
            path: path.to_owned(),
            file,
            digester: Digester::new(expected, size),
            expected: expected.clone(),
            length: 0,
            size,
            inherited: false,
        };
        let found = partial.file.metadata().map_err(io())?.len();
        // Bytes that no digest will vouch for are not carried over to another run.
        if found > size || *expected == Expected::Unknown && found > 0 {
            partial.restart()?;
        } else if found > 0 {
            partial.digest_what_is_there().map_err(io())?;
            partial.inherited = true;
        }
        Ok(partial)
    }

    fn digest_what_is_there(&mut self) -> std::io::Result<()> {
        let mut buffer = vec![0u8; 1 << 18];
        loop {
            match self.file.read(&mut buffer)? {
                0 => return Ok(()),
                n => {
                    self.digester.update(buffer.get(..n).unwrap_or_default());
                    self.length += n as u64;
                }
            }
        }
    }

    /// Bytes so far.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Throws away what is there.
    pub(crate) fn restart(&mut self) -> Result<(), HubError> {
        self.file.set_len(0).map_err(HubError::io(&self.path))?;
        self.digester = Digester::new(&self.expected, self.size);
        self.length = 0;
        self.inherited = false;
        Ok(())
    }

    /// The next bytes.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<(), HubError> {
        let missing = self.size.saturating_sub(self.length);
        self.file.write_all(bytes).map_err(HubError::write(&self.path, missing))?;
        self.digester.update(bytes);
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Checks length and digest and gives the file its final name; on a wrong digest it is gone.
    pub(crate) fn publish(self, blob: &Path, file: &str) -> Result<(), HubError> {
        // As the disk has it: somebody who heeds no lock may have written too, and appended bytes only add up.
        let found = self.file.metadata().map_err(HubError::io(&self.path))?.len();
        if self.length != self.size || found != self.size {
            return Err(HubError::Length { file: file.to_owned(), expected: self.size, found });
        }
        if let Err(fault) = self.digester.check(&self.expected, file) {
            drop(self.file);
            fs::remove_file(&self.path).map_err(HubError::io(&self.path))?;
            return Err(fault);
        }
        self.file.sync_all().map_err(HubError::write(&self.path, 0))?;
        fs::rename(&self.path, blob).map_err(HubError::io(blob))
    }
}
