//! Where the bytes of each tensor lie in the external data files.

use crate::OnnxExportError;
use crate::pack::Pack;

/// Some bytes of a data file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Which data file, from 0.
    pub(crate) file: usize,
    pub(crate) offset: u64,
    pub(crate) bytes: u64,
}

/// What one row of a tensor adds to a place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece {
    pub(crate) pack: Pack,
    pub(crate) file: usize,
    /// Where row 0 begins.
    pub(crate) offset: u64,
    pub(crate) row_bytes: u64,
    /// From the beginning of a row to that of the next; rows of two tensors may alternate.
    pub(crate) stride: u64,
}

/// The layout of all data files.
pub(crate) struct Store {
    /// Most bytes of a file.
    limit: u64,
    /// Bytes of each file so far.
    pub(crate) files: Vec<u64>,
    /// Padding between tensors.
    pub(crate) gaps: Vec<Place>,
    /// By tensor of the source.
    pub(crate) pieces: Vec<Vec<Piece>>,
}

/// Files are mapped into memory by pages; what fills less than one only needs a cache line.
const PAGE: u64 = 4096;
const LINE: u64 = 64;

impl Store {
    pub(crate) fn new(tensors: usize, limit: u64) -> Self {
        Self { limit, files: vec![0], gaps: Vec::new(), pieces: vec![Vec::new(); tensors] }
    }

    /// Takes `bytes` of the last file, or of a new one if they do not fit: a tensor never spans files.
    pub(crate) fn take(&mut self, tensor: &str, bytes: u64) -> Result<Place, OnnxExportError> {
        if bytes > self.limit {
            let limit = self.limit;
            return Err(OnnxExportError::Chunk { tensor: tensor.to_owned(), bytes, limit });
        }
        let align = if bytes < PAGE { LINE } else { PAGE };
        let end = self.files.last().copied().unwrap_or_default();
        let start = end.next_multiple_of(align);
        if start + bytes > self.limit {
            self.files.push(bytes);
            return Ok(Place { file: self.files.len() - 1, offset: 0, bytes });
        }
        let file = self.files.len().saturating_sub(1);
        if start > end {
            self.gaps.push(Place { file, offset: end, bytes: start - end });
        }
        if let Some(size) = self.files.last_mut() {
            *size = start + bytes;
        }
        Ok(Place { file, offset: start, bytes })
    }

    /// Says that row `r` of tensor `index` goes to `place` after `skip + r * stride` bytes.
    pub(crate) fn assign(&mut self, index: usize, piece: Piece) {
        if let Some(pieces) = self.pieces.get_mut(index) {
            pieces.push(piece);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_tensors_begin_on_pages_and_none_spans_files() {
        let mut store = Store::new(0, 10_000);
        let places = [100, 10, 5000, 4000, 4096].map(|bytes| store.take("t", bytes).unwrap());
        assert_eq!(places.map(|p| (p.file, p.offset)), [(0, 0), (0, 128), (0, 4096), (1, 0), (1, 4096)]);
        assert_eq!(store.files, [9096, 8192]);
        assert_eq!(
            store.gaps.iter().map(|g| (g.file, g.offset, g.bytes)).collect::<Vec<_>>(),
            [(0, 100, 28), (0, 138, 3958), (1, 4000, 96)]
        );
        assert!(matches!(store.take("t", 10_001), Err(OnnxExportError::Chunk { .. })));
    }
}
