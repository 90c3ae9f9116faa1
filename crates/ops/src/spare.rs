//! Buffers that are used again: fresh memory of megabytes has to be cleared by the system every time.

use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, PoisonError};

/// Buffers of one kind that are kept, enough for one layer.
const KEPT: usize = 8;

/// Where buffers of a kind of number wait.
pub(crate) struct Shelf<T>(Mutex<Vec<Vec<T>>>);

/// Numbers that buffers are made of.
pub(crate) trait Spare: Copy + Default + 'static {
    fn shelf() -> &'static Shelf<Self>;
}

macro_rules! spare {
    ($($t:ty),*) => {
        $(impl Spare for $t {
            fn shelf() -> &'static Shelf<Self> {
                static SHELF: Shelf<$t> = Shelf(Mutex::new(Vec::new()));
                &SHELF
            }
        })*
    };
}

spare!(f32, i8, i16);

/// Numbers from the shelf, which they go back to in the end.
pub(crate) struct Buffer<T: Spare> {
    /// Longer than asked for where an older one is used again.
    all: Vec<T>,
    len: usize,
}

/// `len` numbers with unspecified contents.
pub(crate) fn take<T: Spare>(len: usize) -> Buffer<T> {
    let mut kept = T::shelf().0.lock().unwrap_or_else(PoisonError::into_inner);
    let fits = (0..kept.len()).filter(|i| kept[*i].len() >= len).min_by_key(|i| kept[*i].len());
    let found = fits.map(|i| kept.swap_remove(i));
    drop(kept);
    Buffer { all: found.unwrap_or_else(|| vec![T::default(); len]), len }
}

impl<T: Spare> Drop for Buffer<T> {
    /// Takes the buffer back; of too many the smallest goes.
    fn drop(&mut self) {
        let mut kept = T::shelf().0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push(std::mem::take(&mut self.all));
        let smallest = if kept.len() > KEPT { (0..kept.len()).min_by_key(|i| kept[*i].len()) } else { None };
        let gone = smallest.map(|i| kept.swap_remove(i));
        drop(kept);
        drop(gone);
    }
}

impl<T: Spare> Deref for Buffer<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.all[..self.len]
    }
}

impl<T: Spare> DerefMut for Buffer<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.all[..self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back() {
        let mut large: Buffer<i16> = take(1 << 20);
        large.fill(1);
        let place = large.as_ptr();
        drop(large);
        let again: Buffer<i16> = take((1 << 20) - 3);
        assert_eq!((again.as_ptr(), again.len()), (place, (1 << 20) - 3));
        let other: Buffer<i16> = take(1 << 20);
        assert_ne!(other.as_ptr(), place, "a buffer in use is nobody else's");
        drop((0..20).map(take::<i16>).collect::<Vec<_>>());
        assert!(i16::shelf().0.lock().unwrap().len() <= KEPT);
    }
}
