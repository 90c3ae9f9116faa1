//! The list of finished tensors inside a partial folder: one line each, written after their bytes are on disk.

use crate::ArtifactError;
use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

/// Its name inside the folder.
pub(crate) const FILE: &str = ".journal";
const MAGIC: &str = "lfmq-journal-1";

/// What an earlier run wrote down.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) fingerprint: String,
    /// Whether that run was to replace an existing folder.
    pub(crate) overwrite: bool,
    pub(crate) finished: BTreeSet<usize>,
    /// Bytes up to the last whole line; what follows was torn by a crash.
    sound: u64,
}

#[derive(Debug)]
pub(crate) struct Journal {
    file: File,
    head: u64,
}

impl Journal {
    pub(crate) fn create(folder: &Path, fingerprint: &str, overwrite: bool) -> Result<Self, ArtifactError> {
        let path = folder.join(FILE);
        let head = format!("{MAGIC} {} {fingerprint}\n", if overwrite { "overwrite" } else { "new" });
        let made = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&path);
        let made = made.and_then(|mut file| {
            file.write_all(head.as_bytes())?;
            file.sync_all()?;
            Ok(Self { file, head: head.len() as u64 })
        });
        made.map_err(ArtifactError::io("write", &path))
    }

    /// The journal of `folder`, if it has a readable one, ready to be continued.
    pub(crate) fn reopen(folder: &Path) -> Result<Option<(Self, Record)>, ArtifactError> {
        let path = folder.join(FILE);
        let mut file = match OpenOptions::new().read(true).write(true).open(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(ArtifactError::io("open", &path)(e)),
        };
        let mut text = Vec::new();
        file.read_to_end(&mut text).map_err(ArtifactError::io("read", &path))?;
        let Some((head, record)) = parse(&text) else { return Ok(None) };
        let cut = file.set_len(record.sound).and_then(|()| file.seek(SeekFrom::End(0)));
        cut.map_err(ArtifactError::io("write", &path))?;
        Ok(Some((Self { file, head }, record)))
    }

    /// Adds tensors whose bytes are on disk.
    pub(crate) fn append(&mut self, finished: &[usize]) -> io::Result<()> {
        let lines: String = finished.iter().map(|index| format!("{index}\n")).collect();
        self.file.write_all(lines.as_bytes())?;
        self.file.sync_data()
    }

    /// Forgets all tensors.
    pub(crate) fn clear(&mut self) -> io::Result<()> {
        self.file.set_len(self.head)?;
        self.file.seek(SeekFrom::End(0))?;
        self.file.sync_data()
    }
}

/// Length of the first line, and the record up to the first line that is torn or makes no sense.
fn parse(text: &[u8]) -> Option<(u64, Record)> {
    let mut lines = text.split_inclusive(|b| *b == b'\n').map_while(|line| line.strip_suffix(b"\n"));
    let head = lines.next()?;
    let mut words = std::str::from_utf8(head).ok()?.splitn(3, ' ');
    let (magic, mode, fingerprint) = (words.next()?, words.next()?, words.next()?);
    if magic != MAGIC || !matches!(mode, "new" | "overwrite") {
        return None;
    }
    let head = head.len() as u64 + 1;
    let (mut finished, mut sound) = (BTreeSet::new(), head);
    for line in lines {
        let Some(index) = std::str::from_utf8(line).ok().and_then(|line| line.parse().ok()) else { break };
        finished.insert(index);
        sound += line.len() as u64 + 1;
    }
    let record = Record { fingerprint: fingerprint.to_owned(), overwrite: mode == "overwrite", finished, sound };
    Some((head, record))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn torn_and_odd_lines_end_the_record() {
        let whole = b"lfmq-journal-1 new abc\n3\n1\n2";
        let (head, record) = parse(whole).unwrap();
        assert_eq!(head, 23);
        assert_eq!((record.finished, record.sound), (BTreeSet::from([1, 3]), 27));
        let (_, record) = parse(b"lfmq-journal-1 overwrite a b\n7\n\0\0\0\n8\n").unwrap();
        assert_eq!((record.fingerprint.as_str(), record.overwrite, record.sound), ("a b", true, 31));
        for bad in [&b""[..], b"lfmq-journal-1 new abc", b"other new abc\n", b"lfmq-journal-1 old abc\n"] {
            assert_eq!(parse(bad), None);
        }
    }

    #[test]
    fn what_is_appended_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Journal::reopen(folder.path()).unwrap().is_none());
        let mut journal = Journal::create(folder.path(), "f", false).unwrap();
        journal.append(&[4, 5]).unwrap();
        // A crash in the middle of a line.
        journal.file.write_all(b"6").unwrap();
        drop(journal);
        let (mut journal, record) = Journal::reopen(folder.path()).unwrap().unwrap();
        assert_eq!(record.finished, BTreeSet::from([4, 5]));
        journal.append(&[7]).unwrap();
        drop(journal);
        let (mut journal, record) = Journal::reopen(folder.path()).unwrap().unwrap();
        assert_eq!(record.finished, BTreeSet::from([4, 5, 7]));
        journal.clear().unwrap();
        assert_eq!(Journal::reopen(folder.path()).unwrap().unwrap().1.finished, BTreeSet::new());
    }
}
