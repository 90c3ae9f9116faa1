//! Which bytes of a file may be hashed.

use std::collections::BTreeMap;
use std::ops::Range;

/// How far the bytes of a file are known.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// Bytes that were given out to be hashed.
    taken: usize,
    /// Bytes before the first gap.
    whole: usize,
    /// What lies behind gaps: ends by starts.
    islands: BTreeMap<usize, usize>,
    /// Whether bytes that were given out are not what they were.
    stale: bool,
}

impl Progress {
    /// The bytes `range` are there.
    pub(crate) fn add(&mut self, range: Range<usize>) {
        if range.start > self.whole {
            let end = self.islands.entry(range.start).or_insert(range.end);
            *end = range.end.max(*end);
            return;
        }
        self.whole = self.whole.max(range.end);
        while let Some(island) = self.islands.first_entry().filter(|island| *island.key() <= self.whole) {
            self.whole = self.whole.max(island.remove());
        }
    }

    /// The bytes `range` are there and perhaps others than before.
    pub(crate) fn change(&mut self, range: Range<usize>) {
        self.stale |= range.start < self.taken && !range.is_empty();
        self.add(range);
    }

    /// Bytes that were given out.
    pub(crate) fn taken(&self) -> usize {
        self.taken
    }

    /// Bytes that can be taken.
    pub(crate) fn waiting(&self) -> usize {
        self.whole - self.taken
    }

    /// Gives out the next `most` bytes that wait, or what there is.
    pub(crate) fn take(&mut self, most: usize) -> Range<usize> {
        let start = self.taken;
        self.taken += self.waiting().min(most);
        start..self.taken
    }

    /// All `len` bytes of the file are there. Whether what was given out has to be hashed anew; then it can be taken again.
    pub(crate) fn complete(&mut self, len: usize) -> bool {
        self.add(0..len);
        if self.stale {
            (self.taken, self.stale) = (0, false);
            return true;
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_wait_until_there_is_no_gap_before_them() {
        let mut progress = Progress::default();
        for (range, waiting) in
            [(10..20, 0), (30..40, 0), (15..25, 0), (0..5, 5), (5..10, 25), (25..30, 40), (0..3, 40)]
        {
            progress.add(range.clone());
            assert_eq!(progress.waiting(), waiting, "{range:?}");
        }
        assert_eq!((progress.take(15), progress.take(100), progress.take(1)), (0..15, 15..40, 40..40));
        assert!(!progress.complete(50));
        assert_eq!(progress.take(100), 40..50);
    }

    #[test]
    fn what_changed_after_it_was_taken_is_taken_again() {
        let mut progress = Progress::default();
        progress.change(0..10);
        progress.change(5..10);
        assert_eq!(progress.take(8), 0..8);
        progress.change(8..12);
        progress.add(0..8);
        assert!(!progress.complete(20));
        progress.change(7..8);
        assert!(progress.complete(20));
        assert_eq!(progress.take(100), 0..20);
    }
}
