//! Memory for weights. A token reads all of a model once, so what it costs to find a page counts: weights of one arena lie
//! side by side in large mappings, for which the system is asked for large pages.

use memmap2::MmapMut;
use std::alloc::{Layout, handle_alloc_error};
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, PoisonError};

/// Every slab begins at a cache line.
const LINE: usize = 64;

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
    open: Mutex<Option<Open>>,
}

/// A mapping that still has room.
#[derive(Debug)]
struct Open {
    mapping: Arc<Mapping>,
    used: usize,
}

#[derive(Debug)]
struct Mapping {
    start: NonNull<u8>,
    len: usize,
    /// Only held: its bytes are reached through slabs.
    _memory: MmapMut,
}

// SAFETY: `start` is the memory's own address, which does not change; the bytes belong to the slabs, each of which
// has its part for itself.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    fn new(len: usize) -> Self {
        let layout = Layout::from_size_align(len, LINE).unwrap_or(Layout::new::<u8>());
        let mut memory = MmapMut::map_anon(len).unwrap_or_else(|_| handle_alloc_error(layout));
        // A system without large pages has small ones.
        #[cfg(target_os = "linux")]
        let _ = memory.advise(memmap2::Advice::HugePage);
        let start = NonNull::new(memory.as_mut_ptr()).unwrap_or_else(|| handle_alloc_error(layout));
        Self { start, len, _memory: memory }
    }
}

impl Arena {
    /// An arena of mappings of at least `mapping` bytes. Bytes that are not handed out take no memory. With 0, the
    /// default, every slab has a mapping of its own, for slabs that come and go one by one.
    #[must_use]
    pub fn new(mapping: usize) -> Self {
        Self { mapping, open: Mutex::default() }
    }

    /// `len` zeros.
    #[must_use]
    pub fn zeros<T: Number>(&self, len: usize) -> Slab<T> {
        let bytes = len.checked_mul(size_of::<T>()).and_then(|b| b.checked_next_multiple_of(LINE));
        let Some(bytes) = bytes else { handle_alloc_error(Layout::new::<T>()) };
        if len == 0 {
            return Slab { start: NonNull::dangling(), len, _mapping: None };
        }
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.as_ref().is_none_or(|o| o.mapping.len - o.used < bytes) {
            *open = Some(Open { mapping: Arc::new(Mapping::new(bytes.max(self.mapping))), used: 0 });
        }
        let Some(Open { mapping, used }) = open.as_mut() else { unreachable!("just opened") };
        // SAFETY: `used + bytes` is within the mapping, as was just seen.
        let start = unsafe { mapping.start.add(*used) }.cast();
        *used += bytes;
        Slab { start, len, _mapping: Some(mapping.clone()) }
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
}
