//! Buffers that the next product uses again: fresh memory of megabytes has to be cleared by the system every time.

use std::sync::{Mutex, PoisonError};

/// Buffers kept, enough for one layer.
const KEPT: usize = 8;

static SPARE: Mutex<Vec<Vec<f32>>> = Mutex::new(Vec::new());

/// `len` floats with unspecified contents.
pub(crate) fn take(len: usize) -> Vec<f32> {
    let mut spare = SPARE.lock().unwrap_or_else(PoisonError::into_inner);
    let fits = (0..spare.len()).filter(|i| spare[*i].capacity() >= len).min_by_key(|i| spare[*i].capacity());
    let mut buffer = fits.map(|i| spare.swap_remove(i)).unwrap_or_default();
    drop(spare);
    buffer.resize(len, 0.0);
    buffer
}

/// Takes a buffer back; of too many the smallest goes.
pub(crate) fn give(buffer: Vec<f32>) {
    let mut spare = SPARE.lock().unwrap_or_else(PoisonError::into_inner);
    spare.push(buffer);
    if spare.len() > KEPT {
        let smallest = (0..spare.len()).min_by_key(|i| spare[*i].capacity());
        smallest.map(|i| spare.swap_remove(i));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back() {
        let mut large = take(1 << 20);
        large.fill(1.0);
        let place = large.as_ptr();
        give(large);
        let again = take((1 << 20) - 3);
        assert_eq!((again.as_ptr(), again.len()), (place, (1 << 20) - 3));
        let other = take(1 << 20);
        assert_ne!(other.as_ptr(), place, "a buffer in use is nobody else's");
        (0..20).map(take).collect::<Vec<_>>().into_iter().for_each(give);
        assert!(SPARE.lock().unwrap().len() <= KEPT);
    }
}
