//! Between rows and strips.

use crate::views::{Coding, STRIP};

/// The codes of a chunk, unpacked: 8 groups of `[16 rows][4 columns]`.
pub(crate) type Groups = [[[i8; 4]; STRIP]; 8];

/// The codes of 32 columns of a strip, row by row.
#[derive(Clone, Copy, Debug, Default)]
pub struct Chunk(pub [[i8; 32]; STRIP]);

impl Chunk {
    /// Packs the codes. Those that the coding cannot hold are the caller's mistake and come out as others. To be called
    /// from code that is compiled for each instruction set, see [`crate::multiversion!`].
    ///
    /// # Panics
    /// When `out` has not the size of a chunk.
    #[inline(always)]
    pub fn pack(&self, coding: Coding, out: &mut [u8]) {
        assert_eq!(out.len(), coding.chunk_bytes(), "a packed chunk");
        let (planes, _) = out.as_chunks_mut::<64>();
        match coding {
            Coding::Byte => {
                for (plane, group) in planes.iter_mut().zip(&self.groups()) {
                    plane.iter_mut().zip(group.as_flattened()).for_each(|(o, q)| *o = q.cast_unsigned());
                }
            }
            Coding::Table(table) => nibbles(&self.bits(|q| index(table, q)), planes),
            Coding::Four { offset } => nibbles(&self.bits(|q| q.wrapping_add(offset).cast_unsigned()), planes),
            Coding::Five { offset } => {
                let bits = self.bits(|q| q.wrapping_add(offset).cast_unsigned());
                nibbles(&bits, planes);
                planes[4] = tops::<8>(&bits, 1);
            }
            Coding::Six { offset } => {
                let bits = self.bits(|q| q.wrapping_add(offset).cast_unsigned());
                nibbles(&bits, planes);
                let [first, second] = [&bits[..4], &bits[4..]].map(|half| tops::<4>(half, 2));
                (planes[4], planes[5]) = (first, second);
            }
        }
    }

    #[inline(always)]
    fn groups(&self) -> Groups {
        let mut groups = [[[0; 4]; STRIP]; 8];
        for (g, group) in groups.iter_mut().enumerate() {
            for (four, row) in group.iter_mut().zip(&self.0) {
                *four = row.as_chunks().0[g];
            }
        }
        groups
    }

    /// What stands for each code.
    #[inline(always)]
    fn bits(&self, of: impl Fn(i8) -> u8) -> [[u8; 64]; 8] {
        let mut bits = [[0; 64]; 8];
        for (bits, group) in bits.iter_mut().zip(&self.groups()) {
            bits.iter_mut().zip(group.as_flattened()).for_each(|(b, q)| *b = of(*q));
        }
        bits
    }
}

/// The first index of a level. Sixteen comparisons, as they vectorise and a table of 256 does not.
#[inline(always)]
fn index(table: &[i8; 16], code: i8) -> u8 {
    let mut index = 0;
    for (i, level) in (0..16_u8).zip(table).rev() {
        index = if *level == code { i } else { index };
    }
    index
}

/// The low four bits of groups `v` and `v + 4` in plane `v`.
#[inline(always)]
fn nibbles(bits: &[[u8; 64]; 8], planes: &mut [[u8; 64]]) {
    let (low, high) = bits.split_at(4);
    for ((plane, low), high) in planes.iter_mut().zip(low).zip(high) {
        for ((o, low), high) in plane.iter_mut().zip(low).zip(high) {
            *o = (low & 15) | high << 4;
        }
    }
}

/// A plane of the `width` bits above the nibbles of `N` groups.
#[inline(always)]
fn tops<const N: usize>(bits: &[[u8; 64]], width: usize) -> [u8; 64] {
    let mut plane = [0; 64];
    for (g, bits) in bits.iter().enumerate().take(N) {
        for (o, q) in plane.iter_mut().zip(bits) {
            *o |= (q >> 4 & ((1 << width) - 1)) << (g * width);
        }
    }
    plane
}

crate::multiversion! {
    /// Packs the codes `[rows, cols]` of one strip, at most 16 rows, into `out`, chunk after chunk. Codes that the coding
    /// cannot hold are the caller's mistake and come out as others.
    ///
    /// # Panics
    /// When the slices do not fit the shape.
    pub fn pack_codes['a](coding: Coding, cols: usize, codes: &'a [i8], out: &'a mut [u8]) -> () {
        assert!(cols.is_multiple_of(32) && codes.len() <= STRIP * cols, "codes of one strip");
        assert_eq!(out.len(), cols / 32 * coding.chunk_bytes(), "packed codes of one strip");
        for (c, out) in out.chunks_exact_mut(coding.chunk_bytes()).enumerate() {
            let mut chunk = Chunk::default();
            for (to, row) in chunk.0.iter_mut().zip(codes.chunks_exact(cols)) {
                *to = row.as_chunks().0[c];
            }
            chunk.pack(coding, out);
        }
    }
}

/// The binary16 pattern of a finite value if there is one, else any pattern: [`crate::half_to_f32`] of it tells.
#[inline(always)]
#[must_use]
pub fn exact_half(value: f32) -> u16 {
    let (sign, magnitude) = (value.to_bits() >> 16 & 0x8000, value.to_bits() & 0x7FFF_FFFF);
    let normal = magnitude.wrapping_sub((127 - 15) << 23) >> 13;
    // A subnormal is an integer times 2^-24, the step of binary32 from 0.5 on.
    let subnormal = (f32::from_bits(magnitude) + 0.5).to_bits() - 0.5_f32.to_bits();
    (sign | if magnitude < (127 - 14) << 23 { subnormal } else { normal & 0x7FFF }) as u16
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
pub(crate) fn unpack_chunk(coding: Coding, packed: &[u8]) -> Groups {
    let mut chunk: Groups = [[[0; 4]; STRIP]; 8];
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Isa, half_to_f32};

    static LEVELS: [i8; 16] = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

    /// Codings with the codes they hold.
    fn codings() -> [(Coding, Vec<i8>); 7] {
        let range = |low: i8, high: i8| (low..=high).collect::<Vec<_>>();
        [
            (Coding::Byte, range(-128, 127)),
            (Coding::Four { offset: 8 }, range(-8, 7)),
            (Coding::Four { offset: 0 }, range(0, 15)),
            (Coding::Five { offset: 16 }, range(-16, 15)),
            (Coding::Five { offset: 0 }, range(0, 31)),
            (Coding::Six { offset: 32 }, range(-32, 31)),
            (Coding::Table(&LEVELS), LEVELS.to_vec()),
        ]
    }

    #[test]
    fn what_is_packed_is_unpacked_on_every_instruction_set() {
        const COLS: usize = 96;
        for (coding, held) in codings() {
            for rows in [1, 7, 16] {
                let codes: Vec<i8> = (0..rows * COLS).map(|i| held[(i * 31 + i / 7) % held.len()]).collect();
                let pack = || {
                    let mut packed = vec![0xA5; COLS / 32 * coding.chunk_bytes()];
                    pack_codes(coding, COLS, &codes, &mut packed);
                    packed
                };
                let packed = Isa::best().scope(pack);
                for isa in Isa::available() {
                    assert!(isa.scope(pack) == packed, "{coding:?} of {rows} rows on {}", isa.name());
                }
                for (c, chunk) in packed.chunks_exact(coding.chunk_bytes()).enumerate() {
                    let groups = unpack_chunk(coding, chunk);
                    for (at, q) in codes.iter().enumerate().filter(|(at, _)| at % COLS / 32 == c) {
                        let (row, col) = (at / COLS, at % 32);
                        assert_eq!(groups[col / 4][row][col % 4], *q, "{coding:?}, row {row}, column {}", 32 * c + col);
                    }
                    let lacking = groups.iter().flat_map(|g| &g[rows..]);
                    let zero = if matches!(coding, Coding::Table(_)) { LEVELS[0] } else { 0 };
                    assert!(lacking.flatten().all(|q| *q == zero), "{coding:?}: rows that lack");
                }
            }
        }
    }

    #[test]
    fn a_level_that_stands_twice_is_the_first() {
        static TWICE: [i8; 16] = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12];
        let mut packed = [0xFF; 256];
        pack_codes(Coding::Table(&TWICE), 32, &[0; 32], &mut packed);
        assert!(packed.iter().all(|b| *b == 0));
    }

    #[test]
    fn binary16_is_told_from_what_is_none() {
        for bits in 0..=u16::MAX {
            let value = half_to_f32(bits);
            if !value.is_finite() {
                continue;
            }
            assert_eq!(exact_half(value), bits, "{bits:#06x}");
            let between = f32::from_bits(value.to_bits() + 1);
            assert!(half_to_f32(exact_half(between)).to_bits() != between.to_bits(), "above {bits:#06x}");
        }
        for none in [65520.0, 1e30, -1e-9, 5.0e-8, f32::INFINITY.next_down(), f32::MIN_POSITIVE] {
            assert!(half_to_f32(exact_half(none)) != none, "{none}");
        }
    }
}
