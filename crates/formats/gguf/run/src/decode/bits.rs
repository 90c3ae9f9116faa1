//! Ways of packing that several types share.

/// A binary16 in the file's byte order.
#[inline(always)]
pub(super) fn half(low: u8, high: u8) -> f32 {
    lfmq_kernels::half_to_f32(u16::from_le_bytes([low, high]))
}

/// Codes, less what was added to them. A loop, as `map` of an array is not always inlined.
#[inline(always)]
pub(super) fn signed<const N: usize>(bits: &[u8; N], offset: i8) -> [i8; N] {
    let mut codes = [0; N];
    codes.iter_mut().zip(bits).for_each(|(code, b)| *code = b.cast_signed().wrapping_sub(offset));
    codes
}

/// What the indices choose from a table.
#[inline(always)]
pub(super) fn looked_up(table: &[i8; 16], indices: &[u8; 32]) -> [i8; 32] {
    let mut codes = [0; 32];
    for (code, index) in codes.iter_mut().zip(indices) {
        *code = table.get(usize::from(*index)).copied().unwrap_or_default();
    }
    codes
}

/// 16 bytes as 32 codes: the low nibbles first, then the high ones.
#[inline(always)]
pub(super) fn nibbles(bytes: &[u8; 16]) -> [u8; 32] {
    let mut codes = [0; 32];
    let (low, high) = codes.split_at_mut(16);
    for ((low, high), byte) in low.iter_mut().zip(high).zip(bytes) {
        (*low, *high) = (byte & 15, byte >> 4);
    }
    codes
}

/// 32 codes of 5 bits: nibbles, and the fifth bit of element `j` in bit `j` of a word.
#[inline(always)]
pub(super) fn nibbles_and_a_bit(word: [u8; 4], bytes: &[u8; 16]) -> [u8; 32] {
    let mut codes = nibbles(bytes);
    let word = u32::from_le_bytes(word);
    for (j, code) in (0u32..).zip(&mut codes) {
        *code |= ((word >> j & 1) as u8) << 4;
    }
    codes
}

/// The eight 6-bit scales and eight 6-bit minima that Q4_K and Q5_K pack into 12 bytes; each is given twice, as
/// their sub-blocks of 32 are two sub-blocks of 16.
#[inline(always)]
pub(super) fn six_bit_pairs(packed: &[u8; 12]) -> ([i8; 16], [u8; 16]) {
    let [s0, s1, s2, s3, m0, m1, m2, m3, x0, x1, x2, x3] = *packed;
    let (s, m, x) = ([s0, s1, s2, s3], [m0, m1, m2, m3], [x0, x1, x2, x3]);
    let (mut scales, mut mins) = ([0; 16], [0; 16]);
    let (early, late) = scales.split_at_mut(8);
    twice(early, s.map(|s| (s & 63) as i8));
    twice(late, both(x, s).map(|(x, s)| (x & 15 | s >> 6 << 4) as i8));
    let (early, late) = mins.split_at_mut(8);
    twice(early, m.map(|m| m & 63));
    twice(late, both(x, m).map(|(x, m)| x >> 4 | m >> 6 << 4));
    (scales, mins)
}

#[inline(always)]
fn both([a0, a1, a2, a3]: [u8; 4], [b0, b1, b2, b3]: [u8; 4]) -> [(u8, u8); 4] {
    [(a0, b0), (a1, b1), (a2, b2), (a3, b3)]
}

#[inline(always)]
fn twice<T: Copy>(to: &mut [T], from: [T; 4]) {
    to.as_chunks_mut::<2>().0.iter_mut().zip(from).for_each(|(pair, v)| *pair = [v; 2]);
}
