//! Memory for weights. A token reads all of a model once, so what it costs to find a page counts: weights of one arena lie
//! side by side in large mappings, and the system is asked for large pages.
//!
//! When is a trade: the first touch of a large page takes memory that nobody had for long. A virtual machine that gives
//! such memory back to its host gets it again in pieces of 4 KiB, at 10 µs each where that was measured, while what small
//! pages are cut from was often never given back. So an arena of a model hands out small pages, and [`Arena::gather`]
//! makes large ones of them once the model is ready.

use memmap2::MmapMut;
use std::alloc::{Layout, handle_alloc_error};
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// Every slab begins at a cache line.
const LINE: usize = 64;

/// A large page; mappings that hold one begin at one.
const LARGE: usize = 2 << 20;

/// `MADV_COLLAPSE`, from Linux 6.1 on: make a large page of what lies here. Not every libc names it.
#[cfg(target_os = "linux")]
const COLLAPSE: libc::c_int = 25;

/// Numbers for which zero bytes are a value.
pub trait Number: Copy + Send + Sync + fmt::Debug + private::Sealed + 'static {}

mod private {
    pub trait Sealed {}
}

macro_rules! numbers {
    ($($t:ty)*) => { $(impl private::Sealed for $t {} impl Number for $t {})* };
}
numbers!(u8 i8 u16 i32 f32);

/// Where slabs are cut from. Memory goes back to the system when no slab of its mapping is left.
#[derive(Debug, Default)]
pub struct Arena {
    mapping: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The mapping that still has room, and how much of it is handed out.
    open: Option<(Arc<Mapping>, usize)>,
    /// What began on small pages, each with the bytes that were gathered so far.
    small: Vec<(Weak<Mapping>, usize)>,
    /// Whether mappings begin on small pages.
    begin_small: bool,
}

#[derive(Debug)]
struct Mapping {
    start: NonNull<u8>,
    len: usize,
    /// Only held: its bytes are reached through slabs.
    memory: MmapMut,
}

// SAFETY: `start` is an address in the memory, which does not move; the bytes belong to the slabs, each of which
// has its part for itself.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Bytes that take no memory until they are touched.
    fn new(len: usize) -> Self {
        let layout = Layout::from_size_align(len, LINE).unwrap_or(Layout::new::<u8>());
        let slack = if len < LARGE { 0 } else { LARGE };
        let memory = len.checked_add(slack).and_then(|all| MmapMut::map_anon(all).ok());
        let mut memory = memory.unwrap_or_else(|| handle_alloc_error(layout));
        let skipped = memory.as_ptr().align_offset(LARGE).min(slack);
        let start = NonNull::from(&mut memory[skipped..]).cast();
        Self { start, len, memory }
    }

    /// Says whether pages shall be large from the first touch on. A system without large pages has small ones.
    fn advise(&self, large: bool) {
        #[cfg(target_os = "linux")]
        {
            let advice = if large { memmap2::Advice::HugePage } else { memmap2::Advice::NoHugePage };
            let skipped = self.start.as_ptr() as usize - self.memory.as_ptr() as usize;
            let _ = self.memory.advise_range(advice, skipped, self.len);
        }
        #[cfg(not(target_os = "linux"))]
        let _ = (large, &self.memory);
    }

    /// Makes a large page of the small ones at `offset`. That it fails changes nothing but the pace of reading.
    fn gather(&self, offset: usize) {
        #[cfg(target_os = "linux")]
        if offset + LARGE <= self.len {
            // SAFETY: the address lies in the mapping, as was just seen, and what it is advised keeps the bytes: whoever
            // reads or writes them meanwhile waits for the new page.
            unsafe { libc::madvise(self.start.as_ptr().add(offset).cast(), LARGE, COLLAPSE) };
        }
        #[cfg(not(target_os = "linux"))]
        let _ = offset;
    }
}

/// Whether the system makes large pages of small ones: it takes that advice, here for no bytes, and not any advice, as
/// an emulator does that follows none.
fn gathers() -> bool {
    #[cfg(target_os = "linux")]
    {
        // SAFETY: an advice for no bytes has no effect.
        let takes = |advice| unsafe { libc::madvise(std::ptr::null_mut(), 0, advice) } == 0;
        takes(COLLAPSE) && !takes(-1)
    }
    #[cfg(not(target_os = "linux"))]
    false
}

impl Arena {
    /// An arena of mappings of at least `mapping` bytes, on small pages until it is gathered where the system can do
    /// that. Bytes that are not handed out take no memory. The default is for slabs that come and go one by one: each has
    /// a mapping of its own, on large pages from the start.
    #[must_use]
    pub fn new(mapping: usize) -> Self {
        Self { mapping, state: Mutex::new(State { begin_small: gathers(), ..State::default() }) }
    }

    /// `len` zeros.
    #[must_use]
    pub fn zeros<T: Number>(&self, len: usize) -> Slab<T> {
        let bytes = len.checked_mul(size_of::<T>()).and_then(|b| b.checked_next_multiple_of(LINE));
        let Some(bytes) = bytes else { handle_alloc_error(Layout::new::<T>()) };
        if len == 0 {
            return Slab { start: NonNull::dangling(), len, _mapping: None };
        }
        let mut state = self.state();
        if state.open.as_ref().is_none_or(|(mapping, used)| mapping.len - used < bytes) {
            let mapping = Arc::new(Mapping::new(bytes.max(self.mapping)));
            mapping.advise(!state.begin_small);
            if state.begin_small {
                state.small.push((Arc::downgrade(&mapping), 0));
            }
            state.open = Some((mapping, 0));
        }
        let Some((mapping, used)) = state.open.as_mut() else { unreachable!("just opened") };
        // SAFETY: `used + bytes` is within the mapping, as was just seen.
        let start = unsafe { mapping.start.add(*used) }.cast();
        *used += bytes;
        Slab { start, len, _mapping: Some(mapping.clone()) }
    }

    /// Makes one more large page of small ones, and from now on asks for large pages from the start. False when none is
    /// left to be made. Slabs may be read, written and dropped meanwhile, also while this takes its time.
    pub fn gather(&self) -> bool {
        let Some((mapping, offset)) = self.next() else { return false };
        if offset == 0 {
            mapping.advise(true);
        }
        mapping.gather(offset);
        true
    }

    /// The next page to gather. Not under the lock, as slabs are cut meanwhile.
    fn next(&self) -> Option<(Arc<Mapping>, usize)> {
        let mut state = self.state();
        state.begin_small = false;
        loop {
            let (mapping, gathered) = state.small.last_mut()?;
            let offset = *gathered;
            *gathered += LARGE;
            let mapping = mapping.upgrade().filter(|m| offset < m.len);
            if mapping.is_some() {
                return mapping.map(|m| (m, offset));
            }
            state.small.pop();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A slice of numbers in an [`Arena`]'s memory.
pub struct Slab<T> {
    start: NonNull<T>,
    len: usize,
    _mapping: Option<Arc<Mapping>>,
}

// SAFETY: a slab is the only way to its numbers, as a boxed slice is.
unsafe impl<T: Number> Send for Slab<T> {}
// SAFETY: as above.
unsafe impl<T: Number> Sync for Slab<T> {}

impl<T: Number> Deref for Slab<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: `len` numbers from `start` lie in the mapping, which lives as long as the slab, at a cache line's
        // alignment; none need no memory. Fresh memory is zeros, a value of `T`. No other slab was given these bytes.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl<T: Number> DerefMut for Slab<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as in `deref`, and `self` is borrowed exclusively.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

impl<T: Number> Clone for Slab<T> {
    fn clone(&self) -> Self {
        let mut copy = Arena::default().zeros(self.len);
        copy.copy_from_slice(self);
        copy
    }
}

impl<T: Number> fmt::Debug for Slab<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Slab({} x {} bytes)", self.len, size_of::<T>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slabs_are_zeros_of_their_own() {
        let arena = Arena::new(4096);
        let mut bytes: Slab<u8> = arena.zeros(100);
        let mut floats: Slab<f32> = arena.zeros(2000);
        let empty: Slab<i8> = arena.zeros(0);
        assert!(bytes.iter().all(|b| *b == 0) && floats.iter().all(|f| *f == 0.0) && empty.is_empty());
        bytes.fill(7);
        floats.fill(1.5);
        assert_eq!((bytes[99], floats[0], floats[1999]), (7, 1.5, 1.5));
        assert!(floats.as_ptr().cast::<u8>().is_aligned() && (floats.as_ptr() as usize).is_multiple_of(LINE));
        let copy = floats.clone();
        floats.fill(0.0);
        assert_eq!((copy[1999], floats[1999]), (1.5, 0.0));
        drop(arena);
        assert_eq!(bytes[0], 7, "a slab outlives its arena");
    }

    /// Bytes of large pages under the mapping that `slab` lies in.
    #[cfg(target_os = "linux")]
    fn large_pages(slab: &[i32]) -> u64 {
        let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let address = slab.as_ptr() as usize;
        let mut here = false;
        for line in maps.lines() {
            let mut words = line.split_whitespace();
            let first = words.next().unwrap_or_default();
            if let Some((start, end)) = first.split_once('-') {
                let bounds = [start, end].map(|n| usize::from_str_radix(n, 16));
                here = matches!(bounds, [Ok(start), Ok(end)] if (start..end).contains(&address));
            } else if here && first == "AnonHugePages:" {
                return 1024 * words.next().unwrap().parse::<u64>().unwrap();
            }
        }
        panic!("{address:#x} is not mapped");
    }

    #[test]
    #[cfg(target_os = "linux")]
    #[allow(clippy::print_stderr, reason = "a skipped test says so")]
    fn gathered_slabs_keep_their_numbers_on_large_pages() {
        if !gathers() {
            eprintln!("SKIPPED gathered slabs: this system makes no large pages of small ones");
            return;
        }
        let arena = Arena::new(4 * LARGE);
        let cut = |len: usize, seed: i32| {
            let mut slab: Slab<i32> = arena.zeros(len);
            slab.iter_mut().zip(seed..).for_each(|(to, n)| *to = n);
            slab
        };
        let holds = |slab: &[i32], seed: i32| slab.iter().zip(seed..).all(|(a, b)| *a == b);
        drop(cut(4 * LARGE / 4, 9));
        let (first, second) = (cut(3 * LARGE / 4, 5), cut(3 * LARGE / 4, 1 << 20));
        assert!((first.as_ptr() as usize).is_multiple_of(LARGE), "at a large page");
        assert_eq!((large_pages(&first), large_pages(&second)), (0, 0), "small pages at first");
        std::thread::scope(|scope| {
            let gathering = scope.spawn(|| while arena.gather() {});
            while !gathering.is_finished() {
                assert!(holds(&first, 5) && holds(&second, 1 << 20), "while pages are gathered");
            }
        });
        assert!(holds(&first, 5) && holds(&second, 1 << 20), "after pages were gathered");
        assert!(large_pages(&first) > 0 && large_pages(&second) > 0, "large pages after all");
        let later = [cut(LARGE / 4, 3), cut(4 * LARGE / 4, 4)];
        assert!(!arena.gather(), "what comes later is large from the start");
        assert!(holds(&later[0], 3) && holds(&later[1], 4) && large_pages(&later[1]) > 0);
    }
}
