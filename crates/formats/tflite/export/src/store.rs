//! Where the rows of each tensor of the checkpoint go.

use crate::TfliteExportError;
use crate::flat::{Layout, Ref};
use crate::model::{ALIGN, Model};
use crate::pack::Pack;
use crate::subgraph::BufferId;

/// Most bytes of a flatbuffer: its offsets are 32 bits with a sign.
pub(crate) const FLAT_LIMIT: u64 = (1 << 31) - 1;

/// Kernels may read a little past the last weight.
const MARGIN: u64 = 64;

/// A run of bytes that is filled in row by row.
#[derive(Clone, Copy, Debug)]
enum Home {
    /// Inside the flatbuffer.
    Inside(Ref),
    /// After it; index of the part.
    After(usize),
}

/// What one row of a tensor adds to a place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece {
    pub(crate) pack: Pack,
    /// Where row 0 begins, counted from the model's first byte.
    pub(crate) offset: u64,
    pub(crate) row_bytes: u64,
}

struct Part {
    bytes: u64,
    /// The late number that is its offset; the next one is its size.
    late: usize,
}

/// The runs of bytes of all weights.
pub(crate) struct Store {
    inline: bool,
    parts: Vec<Part>,
    /// By tensor of the source.
    pieces: Vec<Vec<(Home, Pack, u64)>>,
}

/// Everything fixed.
pub(crate) struct Places {
    /// By tensor of the source.
    pub(crate) pieces: Vec<Vec<Piece>>,
    /// Late numbers of the flatbuffer.
    pub(crate) late: Vec<u64>,
    /// Padding: offset and length.
    pub(crate) gaps: Vec<(u64, u64)>,
    /// Bytes of the model.
    pub(crate) size: u64,
}

impl Store {
    pub(crate) fn new(tensors: usize, inline: bool) -> Self {
        Self { inline, parts: Vec::new(), pieces: vec![Vec::new(); tensors] }
    }

    /// A buffer of `rows` rows of tensor `index`.
    pub(crate) fn buffer(
        &mut self,
        model: &mut Model,
        index: usize,
        rows: usize,
        pack: Pack,
        row_bytes: u64,
    ) -> BufferId {
        let bytes = row_bytes * rows as u64;
        let (buffer, home) = if self.inline {
            let (buffer, open) = model.inside(bytes as usize);
            (buffer, Home::Inside(open))
        } else {
            let (buffer, late) = model.appended();
            self.parts.push(Part { bytes, late });
            (buffer, Home::After(self.parts.len() - 1))
        };
        self.assign(index, home, pack, row_bytes);
        buffer
    }

    /// Rows of tensor `index` that lie in an open part of the flatbuffer.
    pub(crate) fn inside(&mut self, index: usize, open: Ref, pack: Pack, row_bytes: u64) {
        self.assign(index, Home::Inside(open), pack, row_bytes);
    }

    fn assign(&mut self, index: usize, home: Home, pack: Pack, row_bytes: u64) {
        if let Some(pieces) = self.pieces.get_mut(index) {
            pieces.push((home, pack, row_bytes));
        }
    }

    /// Puts the parts one after another behind a flatbuffer of `layout`.
    pub(crate) fn fix(&self, layout: &Layout) -> Result<Places, TfliteExportError> {
        if layout.size > FLAT_LIMIT {
            return Err(TfliteExportError::TooLarge { bytes: layout.size, limit: FLAT_LIMIT });
        }
        let mut at = layout.size;
        let mut starts = Vec::with_capacity(self.parts.len());
        let (mut late, mut gaps) = (vec![0; self.parts.len() * 2], Vec::new());
        for part in &self.parts {
            let start = at.next_multiple_of(ALIGN);
            if start > at {
                gaps.push((at, start - at));
            }
            starts.push(start);
            for (n, value) in [(part.late, start), (part.late + 1, part.bytes)] {
                if let Some(place) = late.get_mut(n) {
                    *place = value;
                }
            }
            at = start + part.bytes;
        }
        gaps.push((at, MARGIN));
        let begin = |home: Home| match home {
            Home::Inside(open) => layout.open(open),
            Home::After(part) => starts.get(part).copied().unwrap_or_default(),
        };
        let fixed = |&(home, pack, row_bytes): &(Home, Pack, u64)| Piece { pack, offset: begin(home), row_bytes };
        let pieces = self.pieces.iter().map(|pieces| pieces.iter().map(fixed).collect()).collect();
        Ok(Places { pieces, late, gaps, size: at + MARGIN })
    }
}
