//! Files that are followed, and who hashes them when.

use crate::progress::Progress;
use lfmq_core::Mapped;
use lfmq_kernels::Sha256;
use rayon::prelude::*;
use std::cmp::Reverse;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError, Weak};

/// Bytes of a file that are hashed before threads look again what there is.
const PIECE: usize = 1 << 20;

/// Files with less to hash are left alone: a call for a few bytes is not worth it.
const LEAST: usize = 32 << 10;

/// Bytes that a file without company keeps waiting. In the page cache they cost nothing, and company comes late: an output
/// has an order of its own.
const PATIENCE: usize = 128 << 20;

/// Files that are hashed side by side.
#[derive(Clone, Debug, Default)]
pub struct Digests {
    files: Arc<Mutex<Vec<Weak<Followed>>>>,
}

/// A file whose digest grows behind those who read or write it.
#[derive(Debug)]
pub struct Follower {
    digests: Digests,
    file: Arc<Followed>,
}

#[derive(Debug)]
struct Followed {
    bytes: Arc<Mapped>,
    progress: Mutex<Progress>,
    /// Whoever holds it hashes what `progress` gives out.
    sha: Mutex<Sha256>,
}

impl Digests {
    /// Follows a file of a fixed size.
    #[must_use]
    pub fn follow(&self, bytes: Arc<Mapped>) -> Follower {
        let file = Arc::new(Followed { bytes, progress: Mutex::default(), sha: Mutex::default() });
        let mut files = lock(&self.files);
        files.retain(|file| file.strong_count() > 0);
        files.push(Arc::downgrade(&file));
        Follower { digests: self.clone(), file }
    }

    /// The digests of whole files, in their order. What nobody has told of is read now. `advance` is told of their bytes
    /// as they are hashed, from any thread.
    pub fn finish(&self, followers: &[&Follower], advance: &(dyn Fn(usize) + Sync)) -> Vec<[u8; 32]> {
        for Follower { file, .. } in followers {
            let mut sha = lock(&file.sha);
            if lock(&file.progress).complete(file.bytes.len()) {
                *sha = Sha256::default();
            }
        }
        let wanted = |file: &Arc<Followed>| followers.iter().any(|f| Arc::ptr_eq(&f.file, file));
        (0..rayon::current_num_threads()).into_par_iter().for_each(|_| while self.step(&wanted, advance) {});
        followers.iter().map(|f| lock(&f.file.sha).clone().finish()).collect()
    }

    /// Hashes a piece of one or two files that nobody else is at, as far as that is worth it: those that are `wanted` to
    /// their ends, others in company. Whether there was something to do.
    fn step(&self, wanted: &dyn Fn(&Arc<Followed>) -> bool, advance: &dyn Fn(usize)) -> bool {
        let files: Vec<_> = lock(&self.files).iter().filter_map(Weak::upgrade).collect();
        let patience = if files.len() > 1 { PATIENCE } else { 0 };
        let mut waiting: Vec<Turn<'_>> = files
            .iter()
            .map(|file| Turn { wanted: wanted(file), waiting: lock(&file.progress).waiting(), file })
            .filter(|turn| turn.waiting >= if turn.wanted { 1 } else { LEAST })
            .collect();
        waiting.sort_by_key(|turn| Reverse((turn.wanted, turn.waiting)));
        let mut free = waiting.iter().filter_map(|turn| Some((turn, try_lock(&turn.file.sha)?)));
        let Some((first, mut sha)) = free.next() else { return false };
        if let Some((second, mut other)) = free.next() {
            let most = first.waiting.min(second.waiting);
            let (a, b) = (first.take(most, advance), second.take(most, advance));
            Sha256::update_two((&mut sha, a), (&mut other, b));
            return true;
        }
        let most = first.waiting - if first.wanted { 0 } else { patience.min(first.waiting) };
        sha.update(first.take(most, advance));
        most > 0
    }
}

impl Follower {
    /// Bytes that are not hashed yet.
    #[must_use]
    pub fn rest(&self) -> usize {
        self.file.bytes.len() - lock(&self.file.progress).taken()
    }

    /// The bytes `range` were read, and stay what they are.
    pub fn read(&self, range: Range<usize>) {
        lock(&self.file.progress).add(range);
        self.work();
    }

    /// The bytes `range` were written.
    pub fn wrote(&self, range: Range<usize>) {
        lock(&self.file.progress).change(range);
        self.work();
    }

    fn work(&self) {
        while self.digests.step(&|_| false, &|_| ()) {}
    }
}

/// A file that could be hashed now.
struct Turn<'a> {
    file: &'a Followed,
    wanted: bool,
    waiting: usize,
}

impl<'a> Turn<'a> {
    /// The next bytes to hash, for whoever holds the hash.
    fn take(&self, most: usize, advance: &dyn Fn(usize)) -> &'a [u8] {
        let range = lock(&self.file.progress).take(most.min(PIECE));
        if self.wanted {
            advance(range.len());
        }
        self.file.bytes.get(range).unwrap_or_default()
    }
}

/// What the locks guard is whole at all times, even where a thread panicked.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn try_lock<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    match mutex.try_lock() {
        Ok(guard) => Some(guard),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::Digest;
    use std::fs::File;
    use std::os::unix::fs::FileExt;
    use std::sync::atomic::{AtomicUsize, Ordering};

    const LEN: usize = 3 * PIECE + 12_345;

    fn content(seed: usize) -> Vec<u8> {
        (0..LEN).map(|i| (i * 31 + i / 1000 * seed) as u8).collect()
    }

    fn file(folder: &tempfile::TempDir, name: &str, bytes: &[u8]) -> (File, Arc<Mapped>) {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        (File::options().write(true).open(&path).unwrap(), Arc::new(Mapped::open(&path).unwrap()))
    }

    fn known(bytes: &[u8]) -> [u8; 32] {
        sha2::Sha256::digest(bytes).into()
    }

    #[test]
    fn read_and_written_by_many_in_any_order() {
        const ROWS: usize = 50_000;
        let folder = tempfile::tempdir().unwrap();
        let (x, y) = (content(3), content(5));
        let digests = Digests::default();
        let input = digests.follow(file(&folder, "x", &x).1);
        let (out, map) = file(&folder, "y", &vec![0; LEN]);
        let output = digests.follow(map);
        let ranges: Vec<Range<usize>> = (0..LEN).step_by(ROWS).map(|at| at..LEN.min(at + ROWS)).collect();
        ranges.par_iter().rev().enumerate().for_each(|(i, range)| {
            // The last rows of the input are never read.
            if range.end < LEN - ROWS {
                input.read(range.clone());
            }
            let range = &ranges[i * 7 % ranges.len()];
            out.write_all_at(&y[range.clone()], range.start as u64).unwrap();
            output.wrote(range.clone());
        });
        let told = AtomicUsize::new(0);
        let advance = |n| {
            told.fetch_add(n, Ordering::Relaxed);
        };
        assert_eq!(digests.finish(&[&input], &advance), [known(&x)]);
        assert!(told.load(Ordering::Relaxed) <= LEN);
        assert_eq!(digests.finish(&[&output, &input], &|_| ()), [known(&y), known(&x)]);
    }

    #[test]
    fn bytes_written_again_after_they_were_hashed() {
        let folder = tempfile::tempdir().unwrap();
        let y = content(7);
        let (out, map) = file(&folder, "y", &y);
        let follower = Digests::default().follow(map);
        follower.wrote(0..LEN);
        assert!(lock(&follower.file.progress).waiting() < LEN, "it was hashed at once, being alone");
        out.write_all_at(b"other", 10).unwrap();
        follower.wrote(10..15);
        let other = [&y[..10], b"other", &y[15..]].concat();
        assert_eq!(follower.digests.finish(&[&follower], &|_| ()), [known(&other)]);
    }

    #[test]
    fn a_file_of_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let digests = Digests::default();
        let follower = digests.follow(file(&folder, "x", &[]).1);
        assert_eq!(digests.finish(&[&follower], &|_| ()), [known(&[])]);
    }

    #[test]
    fn one_that_has_company_waits_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let digests = Digests::default();
        let [a, b] = ["a", "b"].map(|name| digests.follow(file(&folder, name, &content(1)).1));
        let waiting = |f: &Follower| lock(&f.file.progress).waiting();
        a.read(0..LEN);
        assert_eq!(waiting(&a), LEN);
        b.read(0..LEN / 2);
        assert_eq!((waiting(&a), waiting(&b)), (LEN - LEN / 2, 0));
        drop(b);
        a.read(0..1);
        assert_eq!(waiting(&a), 0);
    }
}
