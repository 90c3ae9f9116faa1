//! Kernels whose one source body serves every rung: each rung compiles it anew under its own target features.
//! Nothing here may depend on how the compiler vectorises: no reassociation, no implicit fusing.

use crate::pack::unpack_chunk;
use crate::views::{STRIP, Strips32, Strips256, StripsRow, whole};
use std::ops::Range;

/// Virtual lanes of a sum.
pub(crate) const LANES: usize = 16;

/// Folds the lanes of a sum in halves.
#[inline(always)]
pub(crate) fn fold(mut lanes: [f32; LANES]) -> f32 {
    let mut half = LANES / 2;
    while half > 0 {
        for j in 0..half {
            lanes[j] += lanes[j + half];
        }
        half /= 2;
    }
    lanes[0]
}

/// `e^x`. Reduction `x = n ln 2 + r` with a two-part ln 2, then a polynomial of degree 7 in `r`, |r| <= ln 2 / 2.
/// The power of two is applied in two steps so that results below the normal range round once and right.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    const ROUND: f32 = 12_582_912.0; // 1.5 * 2^23: adding it leaves the nearest integer in the low bits
    const LN2_HI: f32 = 0.693_359_4; // 355 / 512: products with |n| < 2^15 are exact
    const LN2_LO: f32 = -2.121_944_4e-4;
    let y = x.clamp(-104.0, 89.0);
    let shifted = y.mul_add(std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = n.mul_add(-LN2_LO, n.mul_add(-LN2_HI, y));
    let mut p = 1.0 / 5040.0_f32;
    for c in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0_f32] {
        p = p.mul_add(r, c);
    }
    let n = (shifted.to_bits() as i32).wrapping_sub(ROUND.to_bits() as i32);
    let half = n >> 1;
    p * power_of_two(half) * power_of_two(n.wrapping_sub(half))
}

/// `2^n` for -126 <= n <= 127.
#[inline(always)]
fn power_of_two(n: i32) -> f32 {
    f32::from_bits((n.wrapping_add(127) as u32) << 23)
}

#[inline(always)]
pub(crate) fn exp_f32(row: &mut [f32]) {
    for x in row {
        *x = exp(*x);
    }
}

#[inline(always)]
pub(crate) fn sigmoid_f32(row: &mut [f32]) {
    for x in row {
        *x = 1.0 / (1.0 + exp(-*x));
    }
}

#[inline(always)]
pub(crate) fn silu_mul_f32(gate: &mut [f32], up: &[f32]) {
    assert_eq!(gate.len(), up.len(), "gate and up");
    for (g, u) in gate.iter_mut().zip(up) {
        *g = *g / (1.0 + exp(-*g)) * u;
    }
}

#[inline(always)]
pub(crate) fn softmax_f32(row: &mut [f32]) {
    let max = maximum(row);
    let mut lanes = [0.0_f32; LANES];
    let (whole, rest) = row.as_chunks_mut::<LANES>();
    for chunk in whole {
        for (x, lane) in chunk.iter_mut().zip(&mut lanes) {
            *x = exp(*x - max);
            *lane += *x;
        }
    }
    for (x, lane) in rest.iter_mut().zip(&mut lanes) {
        *x = exp(*x - max);
        *lane += *x;
    }
    let sum = fold(lanes);
    for x in row {
        *x /= sum;
    }
}

/// The greatest element; order does not matter.
#[inline(always)]
fn maximum(row: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let (whole, rest) = row.as_chunks::<LANES>();
    for chunk in whole {
        for (x, lane) in chunk.iter().zip(&mut lanes) {
            *lane = greater(*x, *lane);
        }
    }
    rest.iter().chain(&lanes).fold(f32::NEG_INFINITY, |m, x| greater(*x, m))
}

/// The greater of two; `b` where `a` is NaN.
#[inline(always)]
fn greater(a: f32, b: f32) -> f32 {
    if a > b { a } else { b }
}

/// The greatest magnitude of a block; order does not matter, NaN is passed over.
#[inline(always)]
fn magnitude<const N: usize>(block: &[f32; N]) -> f32 {
    let mut lanes = [0.0_f32; LANES];
    for chunk in block.as_chunks::<LANES>().0 {
        for (x, lane) in chunk.iter().zip(&mut lanes) {
            *lane = greater(x.abs(), *lane);
        }
    }
    let mut half = LANES / 2;
    while half > 0 {
        for j in 0..half {
            lanes[j] = greater(lanes[j + half], lanes[j]);
        }
        half /= 2;
    }
    lanes[0]
}

/// Blocks of 32 are taken 16 at a time: what a block has once is then computed side by side.
#[inline(always)]
pub(crate) fn quantize_b32(x: &[f32], codes: &mut [i8], scales: &mut [f32], sums: &mut [f32], totals: &mut [i16]) {
    let blocks = whole(x.len(), 32, 32);
    assert!(codes.len() == x.len() && scales.len() == blocks, "outputs of 32-blocks");
    assert!(sums.len() == blocks && totals.len() == blocks, "sums of 32-blocks");
    let x = x.as_chunks::<32>().0.chunks(LANES);
    let codes = codes.as_chunks_mut::<32>().0.chunks_mut(LANES);
    let factors = scales.chunks_mut(LANES).zip(sums.chunks_mut(LANES)).zip(totals.chunks_mut(LANES));
    for ((x, codes), ((scales, sums), totals)) in x.zip(codes).zip(factors) {
        let (mut d, mut inverse, mut all) = ([0.0_f32; LANES], [0.0_f32; LANES], [0_i32; LANES]);
        for (d, x) in d.iter_mut().zip(x) {
            *d = magnitude(x);
        }
        for (d, inverse) in d.iter_mut().zip(&mut inverse) {
            *d /= 127.0;
            *inverse = if *d == 0.0 { 0.0 } else { 1.0 / *d };
        }
        for (((codes, x), inverse), all) in codes.iter_mut().zip(x).zip(&inverse).zip(&mut all) {
            *all = encode(x, *inverse, codes);
        }
        for ((scale, sum), (d, all)) in scales.iter_mut().zip(sums).zip(d.iter().zip(&all)) {
            *scale = rounded_to_half(*d);
            *sum = rounded_to_half(*all as f32 * d);
        }
        for (total, all) in totals.iter_mut().zip(&all) {
            *total = *all as i16;
        }
    }
}

/// The nearest codes of a block of 32 and their sum.
#[inline(always)]
fn encode(x: &[f32; 32], factor: f32, codes: &mut [i8; 32]) -> i32 {
    let mut sums = [0_i32; LANES];
    for (x, codes) in x.as_chunks::<LANES>().0.iter().zip(codes.as_chunks_mut::<LANES>().0) {
        for ((x, code), sum) in x.iter().zip(codes).zip(&mut sums) {
            let nearest = nearest(x * factor);
            *code = nearest as i8;
            *sum += nearest;
        }
    }
    sums.iter().sum()
}

#[inline(always)]
pub(crate) fn quantize_b256(x: &[f32], codes: &mut [i8], scales: &mut [f32], sums: &mut [i16]) {
    let blocks = whole(x.len(), 256, 256);
    assert!(codes.len() == x.len() && scales.len() == blocks && sums.len() == blocks * 16, "outputs of 256-blocks");
    let (x, _) = x.as_chunks::<256>();
    let (codes, _) = codes.as_chunks_mut::<256>();
    let (sums, _) = sums.as_chunks_mut::<16>();
    for (((x, codes), scale), sums) in x.iter().zip(codes).zip(scales).zip(sums) {
        let max = signed_magnitude(x);
        let inverse = if max == 0.0 { 0.0 } else { -127.0 / max };
        let (x, codes) = (x.as_chunks::<LANES>().0, codes.as_chunks_mut::<LANES>().0);
        for ((x, codes), sum) in x.iter().zip(codes).zip(sums) {
            let mut all = 0_i32;
            for (x, code) in x.iter().zip(codes) {
                let nearest = nearest(inverse * x);
                *code = nearest as i8;
                all += nearest;
            }
            *sum = all as i16;
        }
        *scale = if inverse == 0.0 { 0.0 } else { 1.0 / inverse };
    }
}

/// The first value of greatest magnitude, which keeps its sign and becomes -127.
#[inline(always)]
fn signed_magnitude(block: &[f32; 256]) -> f32 {
    let most = magnitude(block);
    let is_it = |x: &f32| x.abs() == most;
    let sixteens = block.as_chunks::<LANES>().0;
    let first = sixteens.iter().find(|s| s.iter().fold(false, |any, x| any | is_it(x)));
    first.and_then(|s| s.iter().copied().find(is_it)).unwrap_or(0.0)
}

#[inline(always)]
pub(crate) fn quantize_row(x: &[f32], codes: &mut [i8], totals: &mut [i16]) -> (f32, i32) {
    assert_eq!(codes.len(), x.len().next_multiple_of(32), "outputs of a row");
    assert_eq!(totals.len(), codes.len() / 32, "sums of a row");
    let (lo, hi) = ends(x);
    let up = if lo == hi { 1.0 } else { 255.0 / (hi - lo) };
    let (low, high) = (lo * up, hi * up);
    let zero = if (low - 128.0) + (high + 127.0) > 0.0 { -128.0 - low } else { 127.0 - high };
    let zero = nearest_within(zero, -128.0, 127.0);
    let (least, most) = ((-128 - zero) as f32, (127 - zero) as f32);
    codes[x.len()..].fill(0);
    for (code, x) in codes.iter_mut().zip(x) {
        *code = (nearest_within(x * up, least, most) + zero) as i8;
    }
    for (total, codes) in totals.iter_mut().zip(codes.as_chunks::<32>().0) {
        *total = codes.iter().map(|c| i16::from(*c)).sum();
    }
    (1.0 / up, zero)
}

/// The least and the greatest of 0 and the elements; order does not matter, NaN is passed over.
#[inline(always)]
fn ends(x: &[f32]) -> (f32, f32) {
    let less = |a: f32, b: f32| if a < b { a } else { b };
    let (mut lows, mut highs) = ([0.0_f32; LANES], [0.0_f32; LANES]);
    let (whole, rest) = x.as_chunks::<LANES>();
    for chunk in whole {
        for ((x, low), high) in chunk.iter().zip(&mut lows).zip(&mut highs) {
            (*low, *high) = (less(*x, *low), greater(*x, *high));
        }
    }
    let low = rest.iter().chain(&lows).fold(0.0, |m, x| less(*x, m));
    (low, rest.iter().chain(&highs).fold(0.0, |m, x| greater(*x, m)))
}

/// The nearest integer between two integers, halves to even; 0 for NaN, or the end next to it.
#[inline(always)]
fn nearest_within(v: f32, least: f32, most: f32) -> i32 {
    const ROUND: f32 = 12_582_912.0;
    let v = if v.is_nan() { 0.0 } else { v };
    let v = if v < least { least } else { v };
    let v = if v > most { most } else { v };
    ((v + ROUND).to_bits() as i32).wrapping_sub(ROUND.to_bits() as i32)
}

/// The nearest integer in -127..=127, halves to even; 0 for NaN.
#[inline(always)]
fn nearest(v: f32) -> i32 {
    const ROUND: f32 = 12_582_912.0;
    // Comparisons with NaN are false, so it takes the first bound that asks for it; map it to 0 beforehand.
    let v = if v.is_nan() { 0.0 } else { v.clamp(-127.0, 127.0) };
    ((v + ROUND).to_bits() as i32).wrapping_sub(ROUND.to_bits() as i32)
}

#[inline(always)]
pub(crate) fn widen_b32(w: &Strips32<'_>, rows: Range<usize>, out: &mut [f32]) {
    w.check();
    widened(rows.clone(), w.rows, w.cols, out.len());
    let (chunks, bytes) = (w.cols / 32, w.coding.chunk_bytes());
    for (strip, lanes, first) in by_strips(rows) {
        for c in 0..chunks {
            let at = strip * chunks + c;
            let codes = unpack_chunk(w.coding, &w.codes[at * bytes..][..bytes]);
            for lane in lanes.clone() {
                let out = &mut out[(first + lane - lanes.start) * w.cols + 32 * c..][..32];
                let scale = w.scales.at(at * STRIP + lane);
                for (out, group) in out.as_chunks_mut::<4>().0.iter_mut().zip(&codes) {
                    *out = group[lane].map(|q| scale * f32::from(q));
                }
                if !w.mins.is_empty() {
                    let min = w.mins.at(at * STRIP + lane);
                    out.iter_mut().for_each(|o| *o += min);
                }
            }
        }
    }
}

#[inline(always)]
pub(crate) fn widen_row(w: &StripsRow<'_>, rows: Range<usize>, out: &mut [f32]) {
    w.check();
    widened(rows.clone(), w.rows, w.cols, out.len());
    let (chunks, bytes, per) = (w.cols / 32, w.coding.chunk_bytes(), w.group / 32);
    for (strip, lanes, first) in by_strips(rows) {
        for c in 0..chunks {
            let codes = unpack_chunk(w.coding, &w.codes[(strip * chunks + c) * bytes..][..bytes]);
            for lane in lanes.clone() {
                let out = &mut out[(first + lane - lanes.start) * w.cols + 32 * c..][..32];
                let scale = w.scales.at((strip * (chunks / per) + c / per) * STRIP + lane);
                for (out, group) in out.as_chunks_mut::<4>().0.iter_mut().zip(&codes) {
                    *out = group[lane].map(|q| scale * f32::from(q));
                }
            }
        }
    }
}

#[inline(always)]
pub(crate) fn widen_b256(w: &Strips256<'_>, rows: Range<usize>, out: &mut [f32]) {
    w.check();
    widened(rows.clone(), w.rows, w.cols, out.len());
    let (chunks, bytes, per_chunk) = (w.cols / 32, w.coding.chunk_bytes(), w.subs / 8);
    for (strip, lanes, first) in by_strips(rows) {
        for c in 0..chunks {
            let at = strip * chunks + c;
            let codes = unpack_chunk(w.coding, &w.codes[at * bytes..][..bytes]);
            for lane in lanes.clone() {
                let out = &mut out[(first + lane - lanes.start) * w.cols + 32 * c..][..32];
                let block = at / 8 * STRIP + lane;
                let (scale, min) = (w.scales.at(block), if w.mins.is_empty() { None } else { Some(w.mins.at(block)) });
                let parts = out.chunks_exact_mut(32 / per_chunk).zip(codes.chunks_exact(8 / per_chunk));
                for (s, (out, groups)) in parts.enumerate() {
                    let sub = (at * per_chunk + s) * STRIP + lane;
                    let scale = scale * f32::from(w.sub_scales[sub]);
                    for (out, group) in out.as_chunks_mut::<4>().0.iter_mut().zip(groups) {
                        *out = group[lane].map(|q| scale * f32::from(q));
                    }
                    if let Some(min) = min {
                        let min = min * f32::from(w.sub_mins[sub]);
                        out.iter_mut().for_each(|o| *o -= min);
                    }
                }
            }
        }
    }
}

/// Checks the shape of widened rows.
fn widened(rows: Range<usize>, all: usize, cols: usize, out: usize) {
    assert!(rows.start <= rows.end && rows.end <= all, "rows {rows:?} of {all}");
    assert_eq!(out, rows.len() * cols, "widened weights");
}

/// A run of rows cut at strips: the strip, the rows within it, and how many rows of the run come before.
#[inline(always)]
fn by_strips(rows: Range<usize>) -> impl Iterator<Item = (usize, Range<usize>, usize)> {
    (rows.start / STRIP..rows.end.div_ceil(STRIP)).map(move |strip| {
        let base = strip * STRIP;
        let (start, end) = (rows.start.max(base), rows.end.min(base + STRIP));
        (strip, start - base..end - base, start - rows.start)
    })
}

#[inline(always)]
pub(crate) fn widen_bf16(bits: &[u16], out: &mut [f32]) {
    assert_eq!(out.len(), bits.len(), "widened bfloat16");
    for (o, b) in out.iter_mut().zip(bits) {
        *o = f32::from_bits(u32::from(*b) << 16);
    }
}

#[inline(always)]
pub(crate) fn widen_f16(bits: &[u16], out: &mut [f32]) {
    assert_eq!(out.len(), bits.len(), "widened binary16");
    for (o, b) in out.iter_mut().zip(bits) {
        *o = half_to_f32(*b);
    }
}

/// The nearest value that binary16 holds, halves to even. Below its normal range 0.5 has the same last place as it.
#[inline(always)]
pub(crate) fn rounded_to_half(v: f32) -> f32 {
    let (magnitude, sign) = (v.to_bits() & 0x7FFF_FFFF, v.to_bits() & 0x8000_0000);
    let normal = magnitude.wrapping_add(0x0FFF + (magnitude >> 13 & 1)) & !0x1FFF;
    let subnormal = ((f32::from_bits(magnitude) + 0.5) - 0.5).to_bits();
    let value = if magnitude > 0x7F80_0000 {
        magnitude // NaN
    } else if normal > 0x477F_E000 {
        0x7F80_0000 // past 65504
    } else if magnitude < 0x3880_0000 {
        subnormal // below 2^-14
    } else {
        normal
    };
    f32::from_bits(value | sign)
}

/// binary16 to binary32 without a table or a branch: a subnormal is an integer times 2^-24.
#[inline(always)]
#[must_use]
pub fn half_to_f32(bits: u16) -> f32 {
    let magnitude = u32::from(bits & 0x7FFF);
    let sign = u32::from(bits & 0x8000) << 16;
    let normal = (magnitude << 13) + ((127 - 15) << 23);
    let special = (magnitude << 13) | 0x7F80_0000;
    let subnormal = (magnitude as i32 as f32 * (1.0 / 16_777_216.0)).to_bits();
    let value = if magnitude >= 0x7C00 {
        special
    } else if magnitude < 0x0400 {
        subnormal
    } else {
        normal
    };
    f32::from_bits(value | sign)
}

#[cfg(test)]
mod tests {
    use super::rounded_to_half;
    use half::f16;

    /// Every exponent, with mantissas about all halves between two values of binary16.
    #[test]
    fn rounding_to_half_is_that_of_the_format() {
        let mantissas =
            (0..1 << 13).map(|m| m << 10).chain((0..1 << 10).flat_map(|m| [m << 13 | 0xFFF, m << 13 | 0x1001]));
        for low in mantissas {
            for high in 0..512_u32 {
                let v = f32::from_bits(high << 23 | low);
                let (ours, theirs) = (rounded_to_half(v), f16::from_f32(v).to_f32());
                assert!(
                    ours.to_bits() == theirs.to_bits() || (v.is_nan() && ours.is_nan()),
                    "{v:e}: {ours:e}, {theirs:e}"
                );
            }
        }
    }
}
