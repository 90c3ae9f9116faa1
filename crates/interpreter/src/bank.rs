//! Weights of a model that does not fit into memory: those that only some runs use are laid out when one does, and given
//! up for others.

use std::any::Any;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// What is laid out at a time, within so many bytes.
pub struct Bank {
    room: u64,
    shelf: Mutex<Shelf>,
}

#[derive(Default)]
struct Shelf {
    kept: HashMap<usize, Kept>,
    /// Bytes of what is kept.
    bytes: u64,
    /// Counts up with each use.
    now: u64,
    /// Bytes of all that may be asked for.
    all: u64,
    /// All that may be asked for, until it is known whether it fits.
    waiting: Vec<Weak<dyn Layable>>,
    /// Number of those so far.
    count: usize,
}

struct Kept {
    thing: Arc<dyn Any + Send + Sync>,
    bytes: u64,
    used: u64,
}

impl Bank {
    /// Bytes that are kept unless somebody knows better.
    pub const ROOM: u64 = 2 << 30;

    /// A bank that keeps `room` bytes.
    #[must_use]
    pub fn new(room: u64) -> Self {
        Self { room, shelf: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lays everything out if everything fits, now that all is known; else each thing waits until it is used.
    ///
    /// # Errors
    /// The first thing that cannot be laid out.
    pub fn settle(&self) -> Result<(), String> {
        let (waiting, fits) = {
            let mut shelf = self.lock();
            (std::mem::take(&mut shelf.waiting), shelf.all <= self.room)
        };
        let all = waiting.iter().filter(|_| fits).filter_map(Weak::upgrade);
        all.into_iter().try_for_each(|thing| thing.lay_out())
    }
}

impl Shelf {
    /// The thing if it is there; else room is made for `bytes` of it. Those not used for longest go first; which do is a
    /// matter of time and memory, never of results.
    fn take(&mut self, key: usize, bytes: u64, room: u64) -> Option<Arc<dyn Any + Send + Sync>> {
        self.now += 1;
        if let Some(kept) = self.kept.get_mut(&key) {
            kept.used = self.now;
            return Some(kept.thing.clone());
        }
        while self.bytes + bytes > room {
            let oldest = self.kept.iter().min_by_key(|(_, kept)| kept.used).map(|(key, _)| *key);
            let gone = oldest.and_then(|key| self.kept.remove(&key))?;
            self.bytes -= gone.bytes;
        }
        None
    }

    fn put(&mut self, key: usize, bytes: u64, thing: Arc<dyn Any + Send + Sync>) {
        let used = self.now;
        self.bytes += bytes;
        if let Some(twin) = self.kept.insert(key, Kept { thing, bytes, used }) {
            self.bytes -= twin.bytes;
        }
    }
}

/// A thing that is laid out when it is asked for, and stays while its bank has room.
pub struct Later<T> {
    bank: Arc<Bank>,
    key: usize,
    bytes: u64,
    make: Box<dyn Fn() -> Result<T, String> + Send + Sync>,
}

/// Anything [`Later`].
trait Layable: Send + Sync {
    fn lay_out(&self) -> Result<(), String>;
}

impl<T: Any + Send + Sync> Later<T> {
    /// What `make` gives, always the same; it takes `bytes` in memory.
    pub fn new(
        bank: &Arc<Bank>,
        bytes: u64,
        make: impl Fn() -> Result<T, String> + Send + Sync + 'static,
    ) -> Arc<Self> {
        let mut shelf = bank.lock();
        shelf.count += 1;
        shelf.all += bytes;
        let later = Arc::new(Self { bank: bank.clone(), key: shelf.count, bytes, make: Box::new(make) });
        let weak: Weak<Self> = Arc::downgrade(&later);
        shelf.waiting.push(weak);
        drop(shelf);
        later
    }

    /// The thing, laid out.
    ///
    /// # Errors
    /// What making it says.
    pub fn get(&self) -> Result<Arc<T>, String> {
        let kept = self.bank.lock().take(self.key, self.bytes, self.bank.room);
        if let Some(thing) = kept.and_then(|kept| kept.downcast().ok()) {
            return Ok(thing);
        }
        // Not under the lock: laying out is parallel, and its threads may come here for another thing meanwhile.
        let thing = Arc::new((self.make)()?);
        self.bank.lock().put(self.key, self.bytes, thing.clone());
        Ok(thing)
    }
}

impl<T: Any + Send + Sync> Layable for Later<T> {
    fn lay_out(&self) -> Result<(), String> {
        self.get().map(drop)
    }
}

/// A thing that is laid out, or will be.
pub enum Laid<T> {
    /// For good.
    Out(Arc<T>),
    /// When it is used.
    Later(Arc<Later<T>>),
}

impl<T> Clone for Laid<T> {
    fn clone(&self) -> Self {
        match self {
            Self::Out(thing) => Self::Out(thing.clone()),
            Self::Later(later) => Self::Later(later.clone()),
        }
    }
}

impl<T: Any + Send + Sync> Laid<T> {
    /// The thing itself.
    ///
    /// # Errors
    /// As [`Later::get`].
    pub fn get(&self) -> Result<Arc<T>, String> {
        match self {
            Self::Out(thing) => Ok(thing.clone()),
            Self::Later(later) => later.get(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Ten numbers of 10 bytes each, and how often each was made.
    fn numbers(bank: &Arc<Bank>) -> Vec<(Arc<Later<usize>>, Arc<AtomicUsize>)> {
        let one = |i: usize| {
            let made = Arc::new(AtomicUsize::new(0));
            let count = made.clone();
            let make = move || {
                count.fetch_add(1, Ordering::Relaxed);
                Ok(i * i)
            };
            (Later::new(bank, 10, make), made)
        };
        (0..10).map(one).collect()
    }

    fn made(numbers: &[(Arc<Later<usize>>, Arc<AtomicUsize>)]) -> Vec<usize> {
        numbers.iter().map(|(_, made)| made.load(Ordering::Relaxed)).collect()
    }

    #[test]
    fn what_fits_is_laid_out_once() {
        let bank = Arc::new(Bank::new(100));
        let numbers = numbers(&bank);
        bank.settle().unwrap();
        assert_eq!(made(&numbers), [1; 10]);
        for (i, (later, _)) in numbers.iter().enumerate() {
            assert_eq!(*later.get().unwrap(), i * i);
        }
        assert_eq!(made(&numbers), [1; 10]);
    }

    #[test]
    fn what_does_not_fit_waits_and_goes_when_it_was_used_longest_ago() {
        let bank = Arc::new(Bank::new(35));
        let numbers = numbers(&bank);
        bank.settle().unwrap();
        assert_eq!(made(&numbers), [0; 10]);
        for i in [0, 1, 2, 0, 3, 0, 1] {
            assert_eq!(*numbers[i].0.get().unwrap(), i * i);
            assert!(bank.lock().bytes <= 35);
        }
        // 3 took the place of 1, then 1 that of 2; 0 was always in use.
        assert_eq!(made(&numbers)[..4], [1, 2, 1, 1]);
    }

    #[test]
    fn a_thing_larger_than_the_room_is_used_all_the_same() {
        let bank = Arc::new(Bank::new(5));
        let later = Later::new(&bank, 10, || Ok(7));
        assert_eq!(*later.get().unwrap(), 7);
        let broken = Later::<u8>::new(&bank, 1, || Err("no".into()));
        assert_eq!(broken.get().unwrap_err(), "no");
    }
}
