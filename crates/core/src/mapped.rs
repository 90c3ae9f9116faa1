//! A file mapped for reading: the one place outside `kernels` with `unsafe`.
#![allow(unsafe_code, reason = "mapping a file is unsafe by nature; it is wrapped here once")]

use std::fs::File;
use std::io;
use std::ops::Deref;
use std::path::{Path, PathBuf};

/// The bytes of a file, read by the operating system as they are touched.
#[derive(Debug)]
pub struct Mapped {
    path: PathBuf,
    map: Option<memmap2::Mmap>,
}

impl Mapped {
    /// Maps `path` for reading. An empty file is an empty slice.
    ///
    /// # Errors
    /// When the file cannot be opened or mapped, or is not a regular file.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let meta = file.metadata()?;
        if !meta.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        let map = if meta.len() == 0 {
            None
        } else {
            // SAFETY: the map is private and read-only. Should another process shrink the file while it is
            // mapped, touching the lost pages raises SIGBUS: the process ends, no memory is misread.
            Some(unsafe { memmap2::Mmap::map(&file)? })
        };
        Ok(Self { path: path.to_owned(), map })
    }

    /// The file's path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Deref for Mapped {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.map.as_deref().unwrap_or(&[])
    }
}
