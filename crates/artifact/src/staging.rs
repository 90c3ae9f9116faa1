use crate::digest::{self, SUMS};
use crate::journal::Journal;
use crate::lock::Lock;
use crate::publish::{self, MANIFEST};
use crate::{ArtifactError, SideFile, names};
use lfmq_core::{Artifact, ArtifactFile, Mapped, PlannedFile, Sink};
use lfmq_digest::{Digests, Follower, hex};
use rayon::prelude::*;
use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long finished tensors may wait for the journal: what a power cut can cost.
const BATCH: Duration = Duration::from_secs(2);

/// What to do about what an earlier run left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// An existing output is an error; an unfinished one is begun anew.
    #[default]
    Refuse,
    /// An existing output is replaced when the new one is complete.
    Overwrite,
    /// An unfinished output of the same inputs and plan is continued (and replaces an existing one if it was
    /// begun to do so). Without an unfinished one, as [`Mode::Refuse`].
    Resume,
}

/// An output folder in the making: `<out>.partial/`, claimed by this process.
///
/// Dropping it leaves the unfinished folder for [`Mode::Resume`].
#[derive(Debug)]
pub struct Staging {
    target: PathBuf,
    folder: PathBuf,
    overwrite: bool,
    resumed: bool,
    files: Vec<Staged>,
    digests: Digests,
    placed: Vec<String>,
    /// What stands in place of the files, once they are sealed.
    pub(crate) sealed: Option<Vec<ArtifactFile>>,
    finished: BTreeSet<usize>,
    waiting: Mutex<Waiting>,
    journal: Mutex<Journal>,
    // Dropped last: the folder is ours until then.
    _lock: Lock,
}

#[derive(Debug)]
struct Staged {
    planned: PlannedFile,
    file: File,
    /// Its digest, behind its writers; gone once it is settled.
    follower: Option<Follower>,
    /// Once it is settled.
    digest: Option<ArtifactFile>,
}

/// Finished tensors that are not in the journal yet.
#[derive(Debug)]
struct Waiting {
    tensors: Vec<usize>,
    since: Instant,
}

impl Staging {
    /// Claims `<final_dir>.partial/`. `fingerprint`, one line, is a digest of the inputs and the plan: an
    /// unfinished run is continued only if its fingerprint is the same.
    ///
    /// # Errors
    /// The output exists, another run holds the folder, the fingerprint differs, or the file system refuses.
    pub fn create(final_dir: &Path, mode: Mode, fingerprint: &str) -> Result<Self, ArtifactError> {
        let folder = names::beside(final_dir, ".partial")?;
        let above = names::parent(final_dir);
        fs::create_dir_all(above).map_err(ArtifactError::io("create", above))?;
        let lock = Lock::take(names::beside(final_dir, ".partial.lock")?, &folder)?;
        publish::recover(final_dir)?;

        let earlier = match mode {
            Mode::Resume => Journal::reopen(&folder)?,
            Mode::Refuse | Mode::Overwrite => None,
        };
        if let Some((_, record)) = &earlier
            && record.fingerprint != fingerprint
        {
            let (expected, found) = (fingerprint.to_owned(), record.fingerprint.clone());
            return Err(ArtifactError::Fingerprint { path: folder, expected, found });
        }
        let overwrite = mode == Mode::Overwrite || earlier.as_ref().is_some_and(|(_, record)| record.overwrite);
        if !overwrite && publish::is_there(final_dir) {
            return Err(ArtifactError::Exists { path: final_dir.to_owned() });
        }
        let resumed = earlier.is_some();
        let (journal, finished) = match earlier {
            Some((journal, record)) => (journal, record.finished),
            None => {
                publish::remove_unfinished(&folder)?;
                fs::create_dir(&folder).map_err(ArtifactError::io("create", &folder))?;
                (Journal::create(&folder, fingerprint, overwrite)?, BTreeSet::new())
            }
        };
        Ok(Self {
            target: final_dir.to_owned(),
            folder,
            overwrite,
            resumed,
            files: Vec::new(),
            digests: Digests::default(),
            placed: Vec::new(),
            sealed: None,
            finished,
            waiting: Mutex::new(Waiting { tensors: Vec::new(), since: Instant::now() }),
            journal: Mutex::new(journal),
            _lock: lock,
        })
    }

    /// Hashes files that are added from here on beside what else `digests` follows.
    #[must_use]
    pub fn beside(mut self, digests: &Digests) -> Self {
        self.digests = digests.clone();
        self
    }

    /// Makes `files` at their exact sizes and returns the index of the first: [`Sink::write_at`] of the
    /// staging counts all files added so far; [`Self::part`] gives an exporter its own numbering.
    ///
    /// # Errors
    /// A name that is not inside the folder (a plain name, or one in a folder) or is taken, or the file system refuses.
    pub fn add(&mut self, files: &[PlannedFile]) -> Result<usize, ArtifactError> {
        let first = self.files.len();
        for planned in files {
            names::check(&planned.name, self.names())?;
            let path = self.folder.join(&planned.name);
            let above = names::parent(&path);
            fs::create_dir_all(above).map_err(ArtifactError::io("create", above))?;
            let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
            let file = open.map_err(ArtifactError::io("create", &path))?;
            let found = file.metadata().map_err(ArtifactError::io("read", &path))?.len();
            if found != planned.bytes {
                // A lost or cut file takes what the journal says with it.
                if self.resumed && !self.finished.is_empty() {
                    self.finished.clear();
                    let cleared = lock(&self.journal).clear();
                    cleared.map_err(ArtifactError::io("write", &self.folder))?;
                }
                file.set_len(planned.bytes).map_err(ArtifactError::io("reserve space for", &path))?;
            }
            let mapped = Mapped::open(&path).map_err(ArtifactError::io("map", &path))?;
            let follower = Some(self.digests.follow(Arc::new(mapped)));
            self.files.push(Staged { planned: planned.clone(), file, follower, digest: None });
        }
        Ok(first)
    }

    /// The files from index `first` on, numbered from 0.
    #[must_use]
    pub fn part(&self, first: usize) -> Part<'_> {
        Part { staging: self, first }
    }

    /// Writes a small file beside the weights.
    ///
    /// # Errors
    /// As [`Self::add`].
    pub fn place(&mut self, file: &SideFile) -> Result<(), ArtifactError> {
        names::check(&file.name, self.names())?;
        let path = self.folder.join(&file.name);
        let above = names::parent(&path);
        fs::create_dir_all(above).map_err(ArtifactError::io("create", above))?;
        publish::write_synced(&path, &file.bytes)?;
        self.placed.push(file.name.clone());
        Ok(())
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.files.iter().map(|f| f.planned.name.as_str()).chain(self.placed.iter().map(String::as_str))
    }

    /// Tensors that an earlier run finished, by index. Ask after all files were added.
    #[must_use]
    pub fn finished(&self) -> &BTreeSet<usize> {
        &self.finished
    }

    /// Notes that all bytes of tensor `index`, in all files, are written; called from any thread.
    ///
    /// # Errors
    /// The file system refuses.
    pub fn finish(&self, index: usize) -> Result<(), ArtifactError> {
        let due = {
            let mut waiting = lock(&self.waiting);
            waiting.tensors.push(index);
            waiting.since.elapsed() >= BATCH
        };
        // Whoever finds another thread flushing leaves its tensor to the next batch.
        match if due { self.journal.try_lock().ok() } else { None } {
            Some(mut journal) => self.flush(&mut journal),
            None => Ok(()),
        }
    }

    /// Brings the bytes of all waiting tensors to disk, then their lines.
    fn flush(&self, journal: &mut Journal) -> Result<(), ArtifactError> {
        let tensors = {
            let mut waiting = lock(&self.waiting);
            waiting.since = Instant::now();
            std::mem::take(&mut waiting.tensors)
        };
        if tensors.is_empty() {
            return Ok(());
        }
        for staged in &self.files {
            let path = || self.folder.join(&staged.planned.name);
            staged.file.sync_data().map_err(|e| ArtifactError::io("flush", &path())(e))?;
        }
        journal.append(&tensors).map_err(ArtifactError::io("write the journal of", &self.folder))
    }

    /// The unfinished folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Flushes and digests the files that were added, in their order: what is read of them in [`Self::folder`] from here
    /// on is what will be published.
    ///
    /// # Errors
    /// The file system refuses.
    pub fn settle(&mut self) -> Result<Vec<ArtifactFile>, ArtifactError> {
        let folder = &self.folder;
        self.files.par_iter().try_for_each(|staged| staged.flush(folder))?;
        let open: Vec<&Follower> = self.files.iter().filter_map(|staged| staged.follower.as_ref()).collect();
        let mut found = self.digests.finish(&open, &|_| ()).into_iter();
        let settled = self.files.iter_mut().filter_map(|staged| {
            // The map goes with the follower.
            let sha256 = staged.follower.take().and_then(|_| found.next());
            let PlannedFile { name, bytes } = &staged.planned;
            let new = sha256.map(|sha256| ArtifactFile { name: name.clone(), bytes: *bytes, sha256: hex(&sha256) });
            staged.digest = new.or_else(|| staged.digest.take());
            staged.digest.clone()
        });
        Ok(settled.collect())
    }

    /// Settles all files, writes `lfmq.json` and `SHA256SUMS`, and renames the folder to its final name. `manifest`, if an
    /// object, gets the list of files as its field `outputs`: of files that were sealed, as they were before. On error
    /// the partial folder stays for a resumed run.
    ///
    /// # Errors
    /// The file system refuses.
    pub fn publish(mut self, manifest: &serde_json::Value) -> Result<Artifact, ArtifactError> {
        let mut outputs = self.settle()?;
        outputs.extend(self.digest_placed()?);
        outputs.sort_by(|a, b| a.name.cmp(&b.name));
        let mut manifest = manifest.clone();
        if let serde_json::Value::Object(fields) = &mut manifest {
            fields.insert("outputs".to_owned(), serde_json::json!(outputs));
        }
        self.finish_with(format!("{manifest:#}\n").as_bytes())
    }

    /// The same with this very text as `lfmq.json`.
    pub(crate) fn finish_with(mut self, manifest: &[u8]) -> Result<Artifact, ArtifactError> {
        let settled = self.settle()?;
        let mut files = self.sealed.take().unwrap_or(settled);
        files.extend(self.digest_placed()?);
        // What a resumed run found here and did not make is not part of the artifact; nor is what was sealed.
        let known: BTreeSet<&str> = files.iter().map(|f| f.name.as_str()).collect();
        let folders = names::folders(known.iter().copied());
        publish::remove_strangers(&self.folder, &known, &folders)?;
        for folder in &folders {
            publish::sync_folder(&self.folder.join(folder))?;
        }
        publish::write_synced(&self.folder.join(MANIFEST), manifest)?;
        files.push(self.digest(MANIFEST)?);
        files.sort_by(|a, b| a.name.cmp(&b.name));
        publish::write_synced(&self.folder.join(SUMS), digest::list(&files).as_bytes())?;
        publish::rename(&self.folder, &self.target, self.overwrite)?;
        Ok(Artifact { folder: self.target.clone(), files })
    }

    fn digest_placed(&self) -> Result<Vec<ArtifactFile>, ArtifactError> {
        self.placed.iter().map(|name| self.digest(name)).collect()
    }

    fn digest(&self, name: &str) -> Result<ArtifactFile, ArtifactError> {
        digest::of_file(&self.folder, name).map_err(|e| ArtifactError::io("read", &self.folder.join(name))(e))
    }

    /// Gives up: nothing is left for a resumed run.
    ///
    /// # Errors
    /// The file system refuses.
    pub fn discard(mut self) -> Result<(), ArtifactError> {
        // Some systems keep what is mapped.
        self.files.clear();
        publish::remove(&self.folder)
    }
}

impl Staged {
    /// Brings all of an unsettled file to the disk.
    fn flush(&self, folder: &Path) -> Result<(), ArtifactError> {
        if self.follower.is_none() {
            return Ok(());
        }
        self.file.sync_all().map_err(|e| ArtifactError::io("flush", &folder.join(&self.planned.name))(e))
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // After publication there is no folder and nothing waits; after a failure this spares the next run work.
        if publish::is_there(&self.folder) {
            let mut journal = lock(&self.journal);
            drop(self.flush(&mut journal));
        }
    }
}

/// A poisoned lock only says that another thread panicked; the lists it guards are whole at all times.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Sink for Staging {
    fn write_at(&self, file: usize, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let invalid = |why: String| io::Error::new(io::ErrorKind::InvalidInput, why);
        let staged = self.files.get(file).ok_or_else(|| invalid(format!("no file {file} was added")))?;
        let end = offset.checked_add(bytes.len() as u64).filter(|end| *end <= staged.planned.bytes);
        end.ok_or_else(|| invalid(format!("{} bytes at {offset} are past the planned size", bytes.len())))?;
        write_all_at(&staged.file, offset, bytes)?;
        if let Some(follower) = &staged.follower {
            let start = usize::try_from(offset).map_err(|e| invalid(e.to_string()))?;
            follower.wrote(start..start + bytes.len());
        }
        Ok(())
    }
}

#[cfg(unix)]
fn write_all_at(file: &File, offset: u64, bytes: &[u8]) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, offset)
}

#[cfg(windows)]
fn write_all_at(file: &File, mut offset: u64, mut bytes: &[u8]) -> io::Result<()> {
    use std::os::windows::fs::FileExt;
    while !bytes.is_empty() {
        let n = file.seek_write(bytes, offset)?;
        if n == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        bytes = bytes.get(n..).unwrap_or_default();
        offset += n as u64;
    }
    Ok(())
}

#[cfg(not(any(unix, windows)))]
fn write_all_at(mut file: &File, offset: u64, bytes: &[u8]) -> io::Result<()> {
    use std::io::{Seek, SeekFrom, Write};
    // One position per file: writers take turns.
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = lock(&TURN);
    file.seek(SeekFrom::Start(offset))?;
    file.write_all(bytes)
}

/// One exporter's files inside a [`Staging`].
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    staging: &'a Staging,
    first: usize,
}

impl Sink for Part<'_> {
    fn write_at(&self, file: usize, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.staging.write_at(self.first.saturating_add(file), offset, bytes)
    }
}
