//! Cutting a product `[n, rows]` into panels of rows, one per task.

use crate::spare::take;
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
    cut(n, rows, PANEL, out, panel)
}

/// Panels of so many rows.
fn cut<E: Send>(
    n: usize,
    rows: usize,
    size: usize,
    out: &mut [f32],
    panel: impl Fn(Range<usize>, &mut [f32]) -> Result<(), E> + Sync,
) -> Result<(), E> {
    if n == 0 || rows == 0 {
        return Ok(());
    }
    let range = |p: usize| p * size..rows.min((p + 1) * size);
    if n == 1 {
        // One by one: threads finish within a panel of each other, too soon for any of them to fall asleep.
        return out.par_chunks_mut(size).enumerate().with_max_len(1).try_for_each(|(p, part)| panel(range(p), part));
    }
    let mut parts = take(n * rows);
    parts.par_chunks_mut(n * size).enumerate().try_for_each(|(p, part)| panel(range(p), part))?;
    out.par_chunks_mut(rows).enumerate().for_each(|(i, row)| {
        for (p, piece) in row.chunks_mut(size).enumerate() {
            let start = p * n * size + i * piece.len();
            piece.copy_from_slice(&parts[start..start + piece.len()]);
        }
    });
    Ok(())
}

/// Tokens of a tile: their 8-bit activations stay in the nearest caches while weights go by. With fewer, what threads read
/// of weights would count for more than what they compute.
const TOKENS: usize = 64;

/// How many of `n` tokens make a tile, if there are enough for all threads; about as many tiles for each.
pub(crate) fn tokens_of_a_tile(n: usize) -> Option<usize> {
    let each = n.div_ceil(rayon::current_num_threads());
    (each >= TOKENS).then(|| each.div_ceil(each.div_ceil(TOKENS)).next_multiple_of(TOKENS / 4))
}

/// As [`by_panels`], for products whose weights cost nothing to visit again: many tokens are cut instead of rows, and a
/// tile then writes in place. `tile(tokens, rows, part, ldo)` must fill `part[i * ldo + j]` with output `rows.start + j` of
/// token `tokens.start + i`, in an order that suits first-level caches. How the work is cut depends on the number of
/// threads, an output does not.
///
/// # Errors
/// One of the errors of `tile`, if any; `out` is unspecified then.
pub fn by_tiles<E: Send>(
    n: usize,
    rows: usize,
    out: &mut [f32],
    tile: impl Fn(Range<usize>, Range<usize>, &mut [f32], usize) -> Result<(), E> + Sync,
) -> Result<(), E> {
    let Some(size) = tokens_of_a_tile(n).filter(|_| rows > 0) else {
        // A few large panels: what a kernel does once for its tokens counts less then.
        let few = rows.div_ceil(2 * rayon::current_num_threads()).next_multiple_of(PANEL);
        let size = if n == 1 { PANEL } else { few };
        return cut(n, rows, size, out, |range, part| tile(0..n, range.clone(), part, range.len()));
    };
    out.par_chunks_mut(size * rows).enumerate().try_for_each(|(t, out)| {
        let tokens = t * size..n.min((t + 1) * size);
        tile(tokens, 0..rows, out, rows)
    })
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
