use crate::gguf::File;
use crate::{Gguf, RunError, decode};
use lfmq_core::{Fault, StoredTensor, Weights};
use std::ops::Range;

impl Weights for Gguf {
    fn tensors(&self) -> &[StoredTensor] {
        &self.file.table.stored
    }

    fn read_rows(&self, index: usize, rows: Range<usize>, out: &mut [f32]) -> Result<(), Fault> {
        let (ty, bytes) = self.file.row_bytes(index, rows, out.len())?;
        let values = decode::values(ty, bytes);
        out.iter_mut().zip(values).for_each(|(to, from)| *to = from);
        Ok(())
    }
}

impl File {
    /// The bytes of some rows of a tensor that shall fill `room` values.
    pub(crate) fn row_bytes(
        &self,
        index: usize,
        rows: Range<usize>,
        room: usize,
    ) -> Result<(lfmq_gguf_wire::GgmlType, &[u8]), RunError> {
        let (stored, place) = match (self.table.stored.get(index), self.table.places.get(index)) {
            (Some(stored), Some(place)) => (stored, place),
            _ => return Err(bad_rows(&format!("number {index}"), &rows, room, (0, 0))),
        };
        let bad = || bad_rows(&stored.name, &rows, room, (stored.rows, stored.cols));
        if rows.start > rows.end || rows.end > stored.rows || (rows.end - rows.start) * stored.cols != room {
            return Err(bad());
        }
        let per_row = place.bytes.len() / stored.rows;
        let start = place.bytes.start + rows.start * per_row;
        let end = place.bytes.start + rows.end * per_row;
        let bytes = self.shards.bytes(place.shard).get(start..end).ok_or_else(bad)?;
        Ok((place.ty, bytes))
    }
}

fn bad_rows(tensor: &str, rows: &Range<usize>, room: usize, (all, cols): (usize, usize)) -> RunError {
    RunError::Rows { tensor: tensor.to_owned(), start: rows.start, end: rows.end, room, rows: all, cols }
}
