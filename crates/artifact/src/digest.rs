//! SHA-256 of files, and the list of them.

use crate::{ArtifactError, names};
use lfmq_core::ArtifactFile;
use lfmq_digest::{Sha256, hex};
use rayon::prelude::*;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Name of the list of digests, in the form of `sha256sum`.
pub const SUMS: &str = "SHA256SUMS";

/// A list is short; a longer file is no list.
const LONGEST_LIST: u64 = 16 << 20;

/// What [`check`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Files whose digest is the listed one.
    pub sound: Vec<ArtifactFile>,
    /// Listed files that are not there.
    pub missing: Vec<String>,
    /// Files whose digest is another one.
    pub changed: Vec<String>,
    /// Files in the folder that are not listed.
    pub unlisted: Vec<String>,
}

impl Report {
    /// Whether all listed files are there as listed, and no others.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.missing.is_empty() && self.changed.is_empty() && self.unlisted.is_empty()
    }
}

/// Verifies the `SHA256SUMS` of a published folder.
///
/// # Errors
/// When there is no readable list, or a file cannot be read.
pub fn check(folder: &Path) -> Result<Report, ArtifactError> {
    let path = folder.join(SUMS);
    let io = |doing, path| ArtifactError::io(doing, path);
    let mut list = String::new();
    let file = File::open(&path).map_err(io("open", &path))?;
    file.take(LONGEST_LIST).read_to_string(&mut list).map_err(io("read", &path))?;
    let listed = parse(&list).map_err(|line| ArtifactError::Sums { path: path.clone(), line })?;
    let seen: Vec<_> = listed.par_iter().map(|(_, name)| of_file(folder, name)).collect();

    let mut report = Report::default();
    for ((sha256, name), seen) in listed.iter().zip(seen) {
        match seen {
            Ok(file) if file.sha256 == *sha256 => report.sound.push(file),
            Ok(file) => report.changed.push(file.name),
            Err(e) if e.kind() == io::ErrorKind::NotFound => report.missing.push((*name).to_owned()),
            Err(e) => return Err(io("read", &folder.join(name))(e)),
        }
    }
    let folders = names::folders(listed.iter().map(|(_, name)| *name));
    let found = names::list(folder, &folders).map_err(io("list", folder))?;
    let unlisted = |name: &str| name != SUMS && !listed.iter().any(|(_, known)| *known == name);
    report.unlisted = found.into_iter().map(|(name, _)| name).filter(|name| unlisted(name)).collect();
    report.unlisted.sort();
    Ok(report)
}

/// Digest and size of one file.
pub(crate) fn of_file(folder: &Path, name: &str) -> io::Result<ArtifactFile> {
    let (bytes, sha256) = copy(&mut File::open(folder.join(name))?, |_| Ok(()))?;
    Ok(ArtifactFile { name: name.to_owned(), bytes, sha256 })
}

/// Hands everything in `from` on, piece by piece; how many bytes it was, and their digest.
pub(crate) fn copy(from: &mut impl Read, mut to: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<(u64, String)> {
    let mut sha = Sha256::default();
    let mut buffer = vec![0; 1 << 20];
    let mut bytes = 0;
    loop {
        let piece = match from.read(&mut buffer) {
            Ok(0) => return Ok((bytes, hex(&sha.finish()))),
            Ok(n) => buffer.get(..n).unwrap_or_default(),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(e),
        };
        sha.update(piece);
        to(piece)?;
        bytes += piece.len() as u64;
    }
}

/// The list as `sha256sum` writes it.
pub(crate) fn list(files: &[ArtifactFile]) -> String {
    files.iter().map(|file| format!("{}  {}\n", file.sha256, file.name)).collect()
}

/// Digests and names of a list; the number of the first bad line.
fn parse(list: &str) -> Result<Vec<(&str, &str)>, usize> {
    let entry = |line: &'_ str| -> Option<(usize, usize)> {
        let (sha256, name) = line.split_once(' ')?;
        let name = name.strip_prefix([' ', '*'])?;
        let is_digest = sha256.len() == 64 && sha256.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        (is_digest && names::is_inside(name)).then_some((sha256.len(), name.len()))
    };
    let mut all = Vec::new();
    for (index, line) in list.lines().enumerate() {
        let (sha256, name) = entry(line).ok_or(index + 1)?;
        let (Some(sha256), Some(name)) = (line.get(..sha256), line.get(line.len() - name..)) else {
            return Err(index + 1);
        };
        all.push((sha256, name));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn lists_are_read_strictly() {
        let line = |name: &str| format!("{EMPTY}  {name}\n");
        assert_eq!(parse(&line("a b.gguf")), Ok(vec![(EMPTY, "a b.gguf")]));
        assert_eq!(parse(&format!("{EMPTY} *x")), Ok(vec![(EMPTY, "x")]));
        assert_eq!(parse(&line("onnx/x")), Ok(vec![(EMPTY, "onnx/x")]));
        for bad in [
            line("../x"),
            line("/a"),
            line("a/b/c"),
            line("a/.."),
            line(""),
            "abc  x\n".to_owned(),
            EMPTY.to_uppercase() + "  x",
        ] {
            assert_eq!(parse(&(line("ok") + &bad)), Err(2), "{bad}");
        }
    }

    #[test]
    fn every_kind_of_trouble_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        write("a", "");
        write("b", "changed");
        write("d", "");
        fs::create_dir(folder.path().join("x")).unwrap();
        write("x/a", "");
        write("x/e", "");
        write(SUMS, &["a", "b", "c", "x/a"].map(|n| format!("{EMPTY}  {n}\n")).concat());
        let report = check(folder.path()).unwrap();
        assert_eq!(report.sound.iter().map(|f| f.name.as_str()).collect::<Vec<_>>(), ["a", "x/a"]);
        assert_eq!(
            (report.missing, report.changed, report.unlisted),
            (vec!["c".to_owned()], vec!["b".to_owned()], vec!["d".to_owned(), "x/e".to_owned()])
        );
    }
}
