//! A sealed folder, opened again: the result is byte for byte the folder that was never sealed.

use crate::digest;
use crate::publish::MANIFEST;
use crate::seal::ENDING;
use crate::{ArtifactError, Mode, SideFile, Staging};
use age::{DecryptError, Decryptor, IdentityFile};
use lfmq_core::{Artifact, ArtifactFile, Observer, PlannedFile, Sink, Unit};
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

/// A manifest, a licence or a card is no longer than this.
const LONGEST_PAPER: u64 = 64 << 20;
/// The header of a sealed file, which names the recipients: a hundred bytes each.
const LONGEST_HEADER: usize = 64 << 10;

/// Secret keys.
pub struct Identities(Vec<Box<dyn age::Identity + Send + Sync>>);

impl Identities {
    /// The keys in the files that `age-keygen` wrote.
    ///
    /// # Errors
    /// A file cannot be read, or holds something else than keys and comments. Its content is in no message.
    pub fn read<P: AsRef<Path>>(files: &[P]) -> Result<Self, ArtifactError> {
        let mut all = Vec::new();
        for path in files.iter().map(AsRef::as_ref) {
            let wrong = |why: &str| ArtifactError::Identity { path: path.to_owned(), why: why.to_owned() };
            let file = File::open(path).map_err(ArtifactError::io("open", path))?;
            let parsed = IdentityFile::from_buffer(BufReader::new(file)).map_err(|e| match e.kind() {
                // Says the line's number, not the line.
                io::ErrorKind::InvalidData => wrong(&e.to_string()),
                _ => ArtifactError::io("read", path)(e),
            })?;
            let found = parsed.into_identities().map_err(|_| wrong("a key of a kind that is not known here"))?;
            if found.is_empty() {
                return Err(wrong("it is empty"));
            }
            all.extend(found);
        }
        Ok(Self(all))
    }
}

/// Opens the sealed files of `folder` into `target`, with everything beside them. The target is visible only once every
/// byte was authenticated and has the digest that the manifest gives; after an error nothing of it is left.
///
/// age tells that a file is whole and meant for the key, not who sealed it.
///
/// # Errors
/// The folder is damaged or not sealed, no identity fits, the target exists, or the file system refuses.
pub fn unseal(
    folder: &Path,
    target: &Path,
    mode: Mode,
    identities: &Identities,
    observer: &dyn Observer,
) -> Result<Artifact, ArtifactError> {
    let sealed = Sealed::read(folder)?;
    let planned: Vec<PlannedFile> =
        sealed.files.iter().map(|f| PlannedFile { name: f.name.clone(), bytes: f.bytes }).collect();
    let mut staging = Staging::create(target, mode, "unseal")?;
    let opened = staging.add(&planned).and_then(|_| {
        observer.begin("unseal", sealed.files.iter().map(|f| f.bytes).sum(), Unit::Bytes);
        let mut each = sealed.files.iter().enumerate();
        let opened = each.try_for_each(|(index, file)| open(folder, index, file, &staging, identities, observer));
        observer.end();
        opened
    });
    let placed = opened.and_then(|()| sealed.papers.iter().try_for_each(|paper| staging.place(paper)));
    match placed {
        Ok(()) => staging.finish_with(&sealed.manifest),
        Err(error) => {
            // The first error is the one to tell.
            drop(staging.discard());
            Err(error)
        }
    }
}

/// A sealed folder as its lists describe it.
struct Sealed {
    /// The files as they were before.
    files: Vec<ArtifactFile>,
    papers: Vec<SideFile>,
    manifest: Vec<u8>,
}

impl Sealed {
    fn read(folder: &Path) -> Result<Self, ArtifactError> {
        let damaged = |name: &str, why| ArtifactError::Damaged { path: folder.join(name), why };
        let report = digest::check(folder)?;
        if let Some(name) = report.changed.iter().chain(&report.missing).next() {
            return Err(damaged(name, "it is not what SHA256SUMS says"));
        }
        let manifest = paper(folder, MANIFEST)?;
        let outputs = serde_json::from_slice(&manifest).ok().and_then(|mut value: serde_json::Value| {
            serde_json::from_value::<Vec<ArtifactFile>>(value.get_mut("outputs")?.take()).ok()
        });
        let outputs = outputs.ok_or_else(|| damaged(MANIFEST, "it does not list what was sealed"))?;
        let mut sealed = Self { files: vec![], papers: vec![], manifest };
        for name in report.sound.into_iter().map(|f| f.name).filter(|name| name != MANIFEST) {
            match name.strip_suffix(ENDING) {
                Some(plain) => {
                    let known = outputs.iter().find(|f| f.name == plain);
                    sealed.files.push(known.ok_or_else(|| damaged(&name, "lfmq.json does not know it"))?.clone());
                }
                None => sealed.papers.push(SideFile { bytes: paper(folder, &name)?, name }),
            }
        }
        if sealed.files.is_empty() {
            return Err(ArtifactError::NotSealed { path: folder.to_owned() });
        }
        // What is sealed must be all there was.
        let there = |f: &ArtifactFile| {
            sealed.files.iter().any(|s| s.name == f.name) || sealed.papers.iter().any(|p| p.name == f.name)
        };
        match outputs.iter().find(|f| !there(f)) {
            Some(lost) => Err(damaged(&lost.name, "lfmq.json lists it, and it is not there")),
            None => Ok(sealed),
        }
    }
}

fn paper(folder: &Path, name: &str) -> Result<Vec<u8>, ArtifactError> {
    let path = folder.join(name);
    let read = || -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        File::open(&path)?.take(LONGEST_PAPER + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().map_err(ArtifactError::io("read", &path))?;
    if bytes.len() as u64 > LONGEST_PAPER {
        return Err(ArtifactError::Damaged { path, why: "it is too long for what it is" });
    }
    Ok(bytes)
}

/// Decrypts one file into the unfinished folder.
fn open(
    folder: &Path,
    index: usize,
    expected: &ArtifactFile,
    staging: &Staging,
    identities: &Identities,
    observer: &dyn Observer,
) -> Result<(), ArtifactError> {
    let path = folder.join(format!("{}{ENDING}", expected.name));
    let damaged = |why| ArtifactError::Damaged { path: path.clone(), why };
    let mut input =
        BufReader::with_capacity(LONGEST_HEADER, File::open(&path).map_err(ArtifactError::io("open", &path))?);
    has_header(&mut input, &path)?;
    let keys = identities.0.iter().map(|key| &**key as &dyn age::Identity);
    let opened = Decryptor::new_buffered(input).and_then(|decryptor| decryptor.decrypt(keys));
    let mut plain = opened.map_err(|error| match error {
        DecryptError::NoMatchingKeys => ArtifactError::Closed { path: path.clone() },
        DecryptError::Io(e) if !is_damage(&e) => ArtifactError::io("read", &path)(e),
        _ => damaged("its header is damaged"),
    })?;
    let mut at = 0;
    let copied = digest::copy(&mut plain, |piece| {
        staging.write_at(index, at, piece)?;
        at += piece.len() as u64;
        observer.advance(piece.len() as u64);
        Ok(())
    });
    let (bytes, sha256) = copied.map_err(|e| match is_damage(&e) {
        true => damaged("it was cut short or changed"),
        false => ArtifactError::io("unseal", &path)(e),
    })?;
    if bytes != expected.bytes || sha256 != expected.sha256 {
        return Err(damaged("what was sealed is not what lfmq.json says"));
    }
    Ok(())
}

/// How a stream that fails authentication, or ends too early, or is longer than planned, says so.
fn is_damage(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidInput)
}

/// Looks for the end of the header before it is parsed: the parser would read a file without one to its end.
fn has_header(input: &mut BufReader<File>, path: &Path) -> Result<(), ArtifactError> {
    let start = io::BufRead::fill_buf(input).map_err(ArtifactError::io("read", path))?;
    if start.starts_with(b"age-encryption.org/v1\n") && start.windows(5).any(|w| w == b"\n--- ") {
        return Ok(());
    }
    Err(ArtifactError::Damaged { path: path.to_owned(), why: "it does not begin as an age file does" })
}
