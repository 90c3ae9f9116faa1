//! A file mapped for reading: the one place outside `kernels` with `unsafe`.
#![allow(unsafe_code, reason = "mapping a file is unsafe by nature; it is wrapped here once")]

use std::fs::File;
use std::io;
use std::ops::{Deref, Range};
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

    /// Gives the memory under `range` back to the system: for bytes that were read and copied. They are read from the
    /// file again if they are touched once more. A hint, without effect where the system knows none or `range` is empty
    /// or not inside the file.
    pub fn release(&self, range: Range<usize>) {
        #[cfg(unix)]
        if let Some(map) = self.map.as_ref().filter(|map| range.start < range.end && range.end <= map.len()) {
            // SAFETY: the map is private, of a file, and never written, so a dropped page comes back with the same
            // bytes. Whoever holds a slice of it meanwhile only waits for the file.
            // That it fails changes nothing but the memory in use.
            let _ = unsafe { map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, range.start, range.len()) };
        }
        #[cfg(not(unix))]
        let _ = range;
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

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    /// Resident bytes of mapped files.
    fn resident() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|l| l.strip_prefix("RssFile:")).unwrap();
        1024 * line.trim().trim_end_matches(" kB").parse::<u64>().unwrap()
    }

    #[test]
    fn released_bytes_leave_memory_and_come_back() {
        const SIZE: usize = 16 << 20;
        let path = std::env::temp_dir().join(format!("lfmq-mapped-{}", std::process::id()));
        let bytes: Vec<u8> = (0..SIZE).map(|i| (i / 4096) as u8).collect();
        std::fs::write(&path, &bytes).unwrap();
        let map = Mapped::open(&path).unwrap();
        let before = resident();
        assert_eq!(map[..], bytes[..]);
        assert!(resident() >= before + SIZE as u64 / 2, "reading brought the file in");
        map.release(SIZE..SIZE + 1);
        map.release(0..SIZE - 5);
        assert!(resident() < before + SIZE as u64 / 2, "it is out again");
        assert_eq!(map[..], bytes[..]);
        std::fs::remove_file(&path).unwrap();
    }
}
