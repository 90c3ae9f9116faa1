//! Between rows and strips.

use crate::views::{Coding, STRIP};

/// One chunk unpacked: 8 groups of `[16 rows][4 columns]`.
pub(crate) type Chunk = [[[i8; 4]; STRIP]; 8];

/// Packs the codes `[rows, cols]` of one strip, at most 16 rows, into `out`, chunk after chunk. Codes that the coding
/// cannot hold are the caller's mistake and come out as others.
///
/// # Panics
/// When the slices do not fit the shape.
pub fn pack_codes(coding: Coding, cols: usize, codes: &[i8], out: &mut [u8]) {
    assert!(cols.is_multiple_of(32) && codes.len() <= STRIP * cols, "codes of one strip");
    assert_eq!(out.len(), cols / 32 * coding.chunk_bytes(), "packed codes of one strip");
    let inverse = match coding {
        Coding::Table(table) => Some(inverse(table)),
        _ => None,
    };
    for (c, out) in out.chunks_exact_mut(coding.chunk_bytes()).enumerate() {
        let mut chunk: Chunk = [[[0; 4]; STRIP]; 8];
        for (r, row) in codes.chunks_exact(cols).enumerate() {
            for (group, four) in chunk.iter_mut().zip(row[32 * c..][..32].as_chunks::<4>().0) {
                group[r] = *four;
            }
        }
        match (coding, &inverse) {
            (Coding::Byte, _) => {
                out.iter_mut().zip(chunk.as_flattened().as_flattened()).for_each(|(o, q)| *o = *q as u8);
                continue;
            }
            (Coding::Table(_), Some(inverse)) => {
                chunk
                    .as_flattened_mut()
                    .as_flattened_mut()
                    .iter_mut()
                    .for_each(|q| *q = inverse[usize::from(*q as u8)]);
            }
            _ => {
                let offset = coding.offset() as i8;
                chunk.as_flattened_mut().as_flattened_mut().iter_mut().for_each(|q| *q = q.wrapping_add(offset));
            }
        }
        planes(coding, &chunk, out);
    }
}

/// Splits codes of up to six bits into planes.
fn planes(coding: Coding, chunk: &Chunk, out: &mut [u8]) {
    let bits = |g: usize| chunk[g].as_flattened();
    let (nibbles, rest) = out.split_at_mut(4 * 64);
    for (v, plane) in nibbles.chunks_exact_mut(64).enumerate() {
        for ((o, low), high) in plane.iter_mut().zip(bits(v)).zip(bits(v + 4)) {
            *o = (*low as u8 & 15) | (*high as u8) << 4;
        }
    }
    rest.fill(0);
    for (h, plane) in rest.chunks_exact_mut(64).enumerate() {
        let (first, groups, width) = if matches!(coding, Coding::Five { .. }) { (0, 8, 1) } else { (4 * h, 4, 2) };
        for g in 0..groups {
            for (o, q) in plane.iter_mut().zip(bits(first + g)) {
                *o |= (*q as u8 >> 4 & ((1 << width) - 1)) << (g * width);
            }
        }
    }
}

/// The first index of each level.
fn inverse(table: &[i8; 16]) -> [i8; 256] {
    let mut inverse = [0; 256];
    for (index, level) in table.iter().enumerate().rev() {
        inverse[usize::from(*level as u8)] = index as i8;
    }
    inverse
}

/// Turns the values `[rows, per_row]` of one strip, at most 16 rows, into `[per_row, 16]`; rows that lack are zeros.
///
/// # Panics
/// When the slices do not fit the shape.
pub fn pack_values<T: Copy + Default>(per_row: usize, values: &[T], out: &mut [T]) {
    assert!(values.len() <= STRIP * per_row && out.len() == STRIP * per_row, "values of one strip");
    out.fill(T::default());
    for (r, row) in values.chunks_exact(per_row.max(1)).enumerate() {
        for (out, v) in out.chunks_exact_mut(STRIP).zip(row) {
            out[r] = *v;
        }
    }
}

/// Undoes [`pack_codes`] for one chunk.
#[inline(always)]
pub(crate) fn unpack_chunk(coding: Coding, packed: &[u8]) -> Chunk {
    let mut chunk: Chunk = [[[0; 4]; STRIP]; 8];
    let (planes, _) = packed.as_chunks::<64>();
    for (g, group) in chunk.iter_mut().enumerate() {
        let group = group.as_flattened_mut();
        match coding {
            Coding::Byte => group.iter_mut().zip(&planes[g]).for_each(|(q, p)| *q = *p as i8),
            _ if g < 4 => group.iter_mut().zip(&planes[g]).for_each(|(q, p)| *q = (p & 15) as i8),
            _ => group.iter_mut().zip(&planes[g - 4]).for_each(|(q, p)| *q = (p >> 4) as i8),
        }
        match coding {
            Coding::Byte | Coding::Four { .. } => {}
            Coding::Five { .. } => group.iter_mut().zip(&planes[4]).for_each(|(q, p)| *q |= (p >> g & 1) as i8 * 16),
            Coding::Six { .. } => {
                let high = &planes[4 + g / 4];
                group.iter_mut().zip(high).for_each(|(q, p)| *q |= (p >> (2 * (g % 4)) & 3) as i8 * 16);
            }
            Coding::Table(table) => group.iter_mut().for_each(|q| *q = table[usize::from(*q as u8 & 15)]),
        }
        let offset = coding.offset() as i8;
        group.iter_mut().for_each(|q| *q = q.wrapping_sub(offset));
    }
    chunk
}
