//! Experts of a model whose experts do not fit: laid out when tokens are routed to them, and given up for others.

use crate::RunError;
use crate::gguf::File;
use lfmq_core::{ExecError, SourceError};
use lfmq_kernels::Arena;
use lfmq_ops::{Input, Linear};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Experts of so many bytes are all laid out when the model is loaded, as the first token would wait little less for its own.
pub(crate) const AT_ONCE: u64 = 2 << 30;

/// The experts that are laid out, by tensor.
pub(crate) struct Bank {
    room: u64,
    shelf: Mutex<Shelf>,
}

#[derive(Default)]
struct Shelf {
    matrices: HashMap<usize, Kept>,
    bytes: u64,
    /// Counts up with each use.
    now: u64,
}

struct Kept {
    matrix: Arc<dyn Linear>,
    bytes: u64,
    used: u64,
}

impl Bank {
    pub(crate) fn new(room: u64) -> Self {
        Self { room, shelf: Mutex::default() }
    }

    /// Whether `bytes` of experts wait in the file until tokens are routed to them.
    pub(crate) fn later(&self, bytes: u64) -> bool {
        bytes > self.room.min(AT_ONCE)
    }

    /// Whether none of `bytes` of experts has ever to go.
    pub(crate) fn keeps(&self, bytes: u64) -> bool {
        bytes <= self.room
    }

    /// The matrix of tensor `index`, which `load` lays out if it is not. Those not used for longest go first; which do is
    /// a matter of time and memory, never of results.
    fn get(
        &self,
        index: usize,
        bytes: u64,
        load: impl FnOnce() -> Result<Arc<dyn Linear>, RunError>,
    ) -> Result<Arc<dyn Linear>, RunError> {
        if let Some(matrix) = self.lock().take(index, bytes, self.room) {
            return Ok(matrix);
        }
        // Not under the lock: laying out is parallel, and its threads may come here for another expert meanwhile.
        let matrix = load()?;
        let mut shelf = self.lock();
        shelf.bytes += bytes;
        let used = shelf.now;
        if let Some(twin) = shelf.matrices.insert(index, Kept { matrix: matrix.clone(), bytes, used }) {
            shelf.bytes -= twin.bytes;
        }
        Ok(matrix)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shelf {
    /// The matrix if it is there; else room is made for `bytes` of it.
    fn take(&mut self, index: usize, bytes: u64, room: u64) -> Option<Arc<dyn Linear>> {
        self.now += 1;
        if let Some(kept) = self.matrices.get_mut(&index) {
            kept.used = self.now;
            return Some(kept.matrix.clone());
        }
        while self.bytes + bytes > room {
            let oldest = self.matrices.iter().min_by_key(|(_, kept)| kept.used).map(|(index, _)| *index);
            let gone = oldest.and_then(|index| self.matrices.remove(&index))?;
            self.bytes -= gone.bytes;
        }
        None
    }
}

/// A matrix of an expert, in the file until it is multiplied with.
pub(crate) struct Expert {
    pub(crate) file: Arc<File>,
    pub(crate) index: usize,
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    /// Whether it is never given up once it is laid out.
    pub(crate) stays: bool,
}

impl Linear for Expert {
    fn rows(&self) -> usize {
        self.rows
    }

    fn cols(&self) -> usize {
        self.cols
    }

    fn apply(&self, x: &Input<'_>, out: &mut [f32]) -> Result<(), ExecError> {
        let stored = self.file.table.stored.get(self.index);
        let (name, bytes) = stored.map(|t| (t.name.clone(), t.bytes)).unwrap_or_default();
        let load = || {
            // What may go alone has memory of its own.
            let own = Arena::default();
            let memory = if self.stays { &self.file.memory } else { &own };
            self.file.matrix_at(self.index, (self.rows, self.cols), memory).map(|m| m.linear())
        };
        let matrix = self.file.bank.get(self.index, bytes, load).map_err(|why| SourceError {
            path: self.file.shards.path(0).to_owned(),
            tensor: name,
            why: why.to_string(),
        })?;
        matrix.apply(x, out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_stays_and_little_is_not_put_off() {
        let bank = Bank::new(3 * AT_ONCE);
        assert!(!bank.later(AT_ONCE) && bank.later(AT_ONCE + 1));
        assert!(bank.keeps(3 * AT_ONCE) && !bank.keeps(3 * AT_ONCE + 1));
        let small = Bank::new(10);
        assert!(!small.later(10) && small.later(11) && !small.keeps(11));
    }
}
