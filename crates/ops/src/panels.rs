//! Cutting a product `[n, rows]` into panels of rows, one per task.

use rayon::prelude::*;
use std::cell::Cell;
use std::ops::Range;

/// Rows of a panel: at 1024 columns its weights fill 128 KiB of f32, well inside a second-level cache.
const PANEL: usize = 32;

/// Fills `out [n, rows]` panel by panel on the current rayon pool. `panel(range, part)` must fill `part [n, range.len()]`
/// with the outputs of those rows. Which thread takes which panel cannot matter: panels share nothing.
///
/// # Errors
/// One of the errors of `panel`, if any; `out` is unspecified then.
pub fn by_panels<E: Send>(
    n: usize,
    rows: usize,
    out: &mut [f32],
    panel: impl Fn(Range<usize>, &mut [f32]) -> Result<(), E> + Sync,
) -> Result<(), E> {
    debug_assert_eq!(out.len(), n * rows, "output of a product");
    if n == 0 || rows == 0 {
        return Ok(());
    }
    let range = |p: usize| p * PANEL..rows.min((p + 1) * PANEL);
    if n == 1 {
        return out.par_chunks_mut(PANEL).enumerate().try_for_each(|(p, part)| panel(range(p), part));
    }
    let mut parts = vec![0.0; n * rows];
    parts.par_chunks_mut(n * PANEL).enumerate().try_for_each(|(p, part)| panel(range(p), part))?;
    out.par_chunks_mut(rows).enumerate().for_each(|(i, row)| {
        for (p, piece) in row.chunks_mut(PANEL).enumerate() {
            let start = p * n * PANEL + i * piece.len();
            piece.copy_from_slice(&parts[start..start + piece.len()]);
        }
    });
    Ok(())
}

/// Lends a buffer of `len` floats with unspecified contents that the thread keeps for the next call.
pub fn with_scratch<R>(len: usize, f: impl FnOnce(&mut [f32]) -> R) -> R {
    thread_local!(static BUFFER: Cell<Vec<f32>> = const { Cell::new(Vec::new()) });
    // Taken out while in use, so a nested call gets a buffer of its own.
    let mut buffer = BUFFER.take();
    if buffer.len() < len {
        buffer.resize(len, 0.0);
    }
    let result = f(&mut buffer[..len]);
    BUFFER.set(buffer);
    result
}
