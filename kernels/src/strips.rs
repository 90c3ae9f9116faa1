//! The products of strips of weights. Every rung walks strips alike; what it brings is a register of `LANES` rows and a
//! few operations on it, which the macro finds by name in the module it is used in:
//!
//! - types `Codes` (4 codes of each row), `Ints`, `Floats` (one of each row), and `SIGNED_BIAS`, what `signed` adds;
//! - `load`, `keep` (bits of each byte), `shl`, `shr` (bits may cross bytes), `either`, `choose`, `signed`: unpacking;
//! - `dot::<SIGNED>(sums, codes, four)`: adds the products of each row's four codes with four activations, which are
//!   not -128; `wide_dot`: with any; for `two_by_two` also `two_dots(sums, codes, acts)`, of several groups with two
//!   tokens;
//! - `splat`, `ints`, `plus`, `times`, `subs`, `pair`, `plus_pair`: integers; `factors`, `floats`, `by`, `fma`, `put`: floats.

use crate::views::STRIP;
use std::ops::Range;

/// Defines `gemm_b32`, `gemm_b256` and `gemm_row` on the operations in scope. So many tokens as the heights say meet a strip at once,
/// `one_by_one` or `two_by_two`.
macro_rules! strip_products {
    ($features:literal, $walk:ident, [$($height:literal),*]) => {
        /// The registers of one chunk: a group each.
        #[target_feature(enable = $features)]
        #[inline]
        pub(crate) fn unpack(coding: Coding, chunk: &[u8], part: usize) -> [Codes; 8] {
            let (planes, _) = chunk.as_chunks::<64>();
            let mut planes = planes.iter();
            let mut plane = || {
                let plane = planes.next().map_or(&[0; 64], |p| p);
                load(&plane.as_chunks::<{ 4 * LANES }>().0[part])
            };
            if coding == Coding::Byte {
                let p = [plane(), plane(), plane(), plane(), plane(), plane(), plane(), plane()];
                return [signed(p[0]), signed(p[1]), signed(p[2]), signed(p[3]), signed(p[4]), signed(p[5]),
                    signed(p[6]), signed(p[7])];
            }
            let n = [plane(), plane(), plane(), plane()];
            let mut codes = [keep(n[0], 15), keep(n[1], 15), keep(n[2], 15), keep(n[3], 15), keep(shr::<4>(n[0]), 15),
                keep(shr::<4>(n[1]), 15), keep(shr::<4>(n[2]), 15), keep(shr::<4>(n[3]), 15)];
            match coding {
                Coding::Byte | Coding::Four { .. } => {}
                Coding::Five { .. } => {
                    let h = plane();
                    let high = [shl::<4>(h), shl::<3>(h), shl::<2>(h), shl::<1>(h), h, shr::<1>(h), shr::<2>(h),
                        shr::<3>(h)];
                    for g in 0..8 {
                        codes[g] = either(codes[g], keep(high[g], 16));
                    }
                }
                Coding::Six { .. } => {
                    for half in 0..2 {
                        let h = plane();
                        let high = [shl::<4>(h), shl::<2>(h), h, shr::<2>(h)];
                        for g in 0..4 {
                            codes[4 * half + g] = either(codes[4 * half + g], keep(high[g], 48));
                        }
                    }
                }
                Coding::Table(table) => {
                    for code in &mut codes {
                        *code = signed(choose(table, *code));
                    }
                }
            }
            codes
        }

        /// What registers of this coding exceed the codes by.
        pub(crate) fn bias(coding: Coding) -> i32 {
            if is_signed(coding) { SIGNED_BIAS } else { coding.offset() }
        }

        fn is_signed(coding: Coding) -> bool {
            matches!(coding, Coding::Byte | Coding::Table(_))
        }

        #[target_feature(enable = $features)]
        pub(super) fn gemm_b32(x: &Acts32<'_>, w: &Strips32<'_>, out: &mut [f32], ldo: usize) {
            w.check();
            let n = x.count(w.cols);
            output_shape(n, w.rows, out.len(), ldo);
            for strips in $crate::strips::panels(w.rows) {
                let mut first = 0;
                while first < n {
                    let (out, s) = (&mut out[first * ldo..], strips.clone());
                    first += match (n - first, is_signed(w.coding)) {
                        $((have, false) if have >= $height => tokens_b32::<$height, false>(x, first, w, s, out, ldo),)*
                        $((have, true) if have >= $height => tokens_b32::<$height, true>(x, first, w, s, out, ldo),)*
                        _ => unreachable!("tokens are left"),
                    };
                }
            }
        }

        #[target_feature(enable = $features)]
        fn tokens_b32<const T: usize, const SIGNED: bool>(
            x: &Acts32<'_>, first: usize, w: &Strips32<'_>, strips: std::ops::Range<usize>, out: &mut [f32], ldo: usize,
        ) -> usize {
            let blocks = w.cols / 32;
            let run = |per_block: usize| first * blocks * per_block..(first + T) * blocks * per_block;
            let acts = tokens::<_, T>(x.codes[run(32)].as_chunks().0.as_chunks().0, blocks);
            let (scales, scaled) = (tokens::<_, T>(&x.scales[run(1)], blocks), tokens::<_, T>(&x.sums[run(1)], blocks));
            let totals = tokens::<_, T>(&x.totals[run(1)], blocks);
            let (bytes, bias, minima) = (w.coding.chunk_bytes(), bias(w.coding), !w.mins.is_empty());
            for strip in strips {
                let chunks = &w.codes[strip * blocks * bytes..][..blocks * bytes];
                for part in 0..STRIP / LANES {
                    let mut sums = [floats(splat(0)); T];
                    for b in 0..blocks {
                        let chunk = &chunks[b * bytes..][..bytes];
                        let at = (strip * blocks + b) * STRIP + part * LANES;
                        if T == 1 {
                            fetch(chunk, AHEAD);
                        }
                        let codes = unpack(w.coding, chunk, part);
                        let scale = factors(&w.scales, at);
                        let mut isums = [splat(0); T];
                        for t in 0..T {
                            isums[t] = splat(-bias * i32::from(totals[t][b]));
                        }
                        $walk!(dot::<SIGNED>; T, isums, codes, 0, 8, t => acts[t][b]);
                        for t in 0..T {
                            sums[t] = fma(by(scale, scales[t][b]), floats(isums[t]), sums[t]);
                        }
                        if minima {
                            let min = factors(&w.mins, at);
                            for t in 0..T {
                                sums[t] = fma_by(min, scaled[t][b], sums[t]);
                            }
                        }
                    }
                    put_all(&sums, strip * STRIP + part * LANES, w.rows, out, ldo);
                }
            }
            T
        }

        /// Stores the sums of `T` tokens for the rows from `row` on that there are.
        #[target_feature(enable = $features)]
        #[inline]
        fn put_all<const T: usize>(sums: &[Floats; T], row: usize, rows: usize, out: &mut [f32], ldo: usize) {
            let len = LANES.min(rows.saturating_sub(row));
            for (t, sums) in sums.iter().enumerate() {
                let mut lanes = [0.0; LANES];
                put(&mut lanes, *sums);
                if len > 0 {
                    out[t * ldo + row..][..len].copy_from_slice(&lanes[..len]);
                }
            }
        }

        #[target_feature(enable = $features)]
        pub(super) fn gemm_row(x: &ActsRow<'_>, w: &StripsRow<'_>, out: &mut [f32], ldo: usize) {
            w.check();
            let n = x.count(w.cols);
            output_shape(n, w.rows, out.len(), ldo);
            for strips in $crate::strips::panels(w.rows) {
                let mut first = 0;
                while first < n {
                    let (out, s) = (&mut out[first * ldo..], strips.clone());
                    first += match (n - first, is_signed(w.coding)) {
                        $((have, false) if have >= $height => tokens_row::<$height, false>(x, first, w, s, out, ldo),)*
                        $((have, true) if have >= $height => tokens_row::<$height, true>(x, first, w, s, out, ldo),)*
                        _ => unreachable!("tokens are left"),
                    };
                }
            }
        }

        #[target_feature(enable = $features)]
        fn tokens_row<const T: usize, const SIGNED: bool>(
            x: &ActsRow<'_>, first: usize, w: &StripsRow<'_>, strips: std::ops::Range<usize>, out: &mut [f32], ldo: usize,
        ) -> usize {
            let blocks = w.cols / 32;
            let acts: &[Acts] = x.codes[first * w.cols..(first + T) * w.cols].as_chunks().0.as_chunks().0;
            let totals: [&[i16]; T] = std::array::from_fn(|t| &x.totals[(first + t) * blocks..][..blocks]);
            let scales: [f32; T] = std::array::from_fn(|t| x.scales[first + t]);
            let zeros: [i32; T] = std::array::from_fn(|t| x.zeros[first + t]);
            let all: [i32; T] = std::array::from_fn(|t| totals[t].iter().map(|s| i32::from(*s)).sum());
            let (bytes, bias) = (w.coding.chunk_bytes(), bias(w.coding));
            for strip in strips {
                let chunks = &w.codes[strip * blocks * bytes..][..blocks * bytes];
                for part in 0..STRIP / LANES {
                    let at = strip * STRIP + part * LANES;
                    let mut sums = [floats(splat(0)); T];
                    match w.sums {
                        RowSums::Codes(codes_sums) => {
                            let mut isums = [splat(0); T];
                            for t in 0..T {
                                isums[t] = splat((-bias).wrapping_mul(all[t]));
                            }
                            for (b, chunk) in chunks.chunks_exact(bytes).enumerate() {
                                let codes = unpack(w.coding, chunk, part);
                                $walk!(wide_dot::<SIGNED>; T, isums, codes, 0, 8, t => acts[t * blocks + b]);
                            }
                            let sum_of_codes = ints(codes_sums[at..].as_chunks().0.first().map_or(&[0; LANES], |s| s));
                            let scale = factors(&w.scales, at);
                            let offset = if w.bias.is_empty() { floats(splat(0)) } else { factors(&w.bias, at) };
                            for t in 0..T {
                                let isum = plus(isums[t], times(sum_of_codes, splat(-zeros[t])));
                                sums[t] = fma(by(floats(isum), scales[t]), scale, offset);
                            }
                        }
                        RowSums::Scaled(scaled) => {
                            let scaled = factors(&Factors::F32(scaled), at);
                            for t in 0..T {
                                sums[t] = by(scaled, -zeros[t] as f32);
                            }
                            let per = w.group / 32;
                            for (g, group) in chunks.chunks_exact(per * bytes).enumerate() {
                                let mut isums = [splat(0); T];
                                for t in 0..T {
                                    let total: i32 = totals[t][g * per..][..per].iter().map(|s| i32::from(*s)).sum();
                                    isums[t] = splat(-bias * total);
                                }
                                for (c, chunk) in group.chunks_exact(bytes).enumerate() {
                                    let (codes, b) = (unpack(w.coding, chunk, part), g * per + c);
                                    $walk!(wide_dot::<SIGNED>; T, isums, codes, 0, 8, t => acts[t * blocks + b]);
                                }
                                let groups = blocks / per;
                                let scale = factors(&w.scales, (strip * groups + g) * STRIP + part * LANES);
                                for t in 0..T {
                                    sums[t] = fma(scale, floats(isums[t]), sums[t]);
                                }
                            }
                            for t in 0..T {
                                sums[t] = by(sums[t], scales[t]);
                                if !w.bias.is_empty() {
                                    sums[t] = fma_by(factors(&w.bias, at), 1.0, sums[t]);
                                }
                            }
                        }
                    }
                    put_all(&sums, at, w.rows, out, ldo);
                }
            }
            T
        }

        #[target_feature(enable = $features)]
        pub(super) fn gemm_b256(x: &Acts256<'_>, w: &Strips256<'_>, out: &mut [f32], ldo: usize) {
            w.check();
            let n = x.count(w.cols);
            output_shape(n, w.rows, out.len(), ldo);
            for strips in $crate::strips::panels(w.rows) {
                let mut first = 0;
                while first < n {
                    let (out, s) = (&mut out[first * ldo..], strips.clone());
                    first += match (n - first, is_signed(w.coding)) {
                        $((have, false) if have >= $height => tokens_b256::<$height, false>(x, first, w, s, out, ldo),)*
                        $((have, true) if have >= $height => tokens_b256::<$height, true>(x, first, w, s, out, ldo),)*
                        _ => unreachable!("tokens are left"),
                    };
                }
            }
        }

        #[target_feature(enable = $features)]
        fn tokens_b256<const T: usize, const SIGNED: bool>(
            x: &Acts256<'_>, first: usize, w: &Strips256<'_>, strips: std::ops::Range<usize>, out: &mut [f32], ldo: usize,
        ) -> usize {
            let blocks = w.cols / 256;
            let run = |per_block: usize| first * blocks * per_block..(first + T) * blocks * per_block;
            let acts: &[Acts] = x.codes[run(256)].as_chunks().0.as_chunks().0;
            let scales = &x.scales[run(1)];
            let bsums: &[[[i16; 2]; 8]] = x.sums[run(16)].as_chunks().0.as_chunks().0;
            let (bytes, bias, minima) = (w.coding.chunk_bytes(), bias(w.coding), !w.mins.is_empty());
            for strip in strips {
                for part in 0..STRIP / LANES {
                    let mut sums = [floats(splat(0)); T];
                    for b in 0..blocks {
                        let at = strip * blocks + b;
                        let chunks = &w.codes[8 * at * bytes..][..8 * bytes];
                        let sub_scales = &w.sub_scales[at * w.subs * STRIP..][..w.subs * STRIP];
                        let mut isums = [splat(0); T];
                        for (c, chunk) in chunks.chunks_exact(bytes).enumerate() {
                            if T == 1 {
                                fetch(chunk, AHEAD);
                            }
                            let codes = unpack(w.coding, chunk, part);
                            let mut dots = [splat(0); T];
                            if w.subs == 8 {
                                $walk!(dot::<SIGNED>; T, dots, codes, 0, 8, t => acts[(t * blocks + b) * 8 + c]);
                                let scale = subs(sub_scales, c, part);
                                for t in 0..T {
                                    isums[t] = plus(isums[t], times(dots[t], scale));
                                }
                            } else {
                                $walk!(dot::<SIGNED>; T, dots, codes, 0, 4, t => acts[(t * blocks + b) * 8 + c]);
                                let (early, late) = (subs(sub_scales, 2 * c, part), subs(sub_scales, 2 * c + 1, part));
                                for t in 0..T {
                                    isums[t] = plus(isums[t], times(dots[t], early));
                                }
                                let mut dots = [splat(0); T];
                                $walk!(dot::<SIGNED>; T, dots, codes, 4, 8, t => acts[(t * blocks + b) * 8 + c]);
                                for t in 0..T {
                                    isums[t] = plus(isums[t], times(dots[t], late));
                                }
                            }
                        }
                        if bias != 0 {
                            let pairs = pairs(sub_scales, w.subs, part);
                            for t in 0..T {
                                isums[t] = plus(isums[t], times(weigh(&pairs, &bsums[t * blocks + b]), splat(-bias)));
                            }
                        }
                        let scale = factors(&w.scales, at * STRIP + part * LANES);
                        for t in 0..T {
                            sums[t] = fma(by(scale, scales[t * blocks + b]), floats(isums[t]), sums[t]);
                        }
                        if minima {
                            let min = factors(&w.mins, at * STRIP + part * LANES);
                            let mins = &w.sub_mins[at * w.subs * STRIP..][..w.subs * STRIP];
                            let pairs = pairs(mins, w.subs, part);
                            for t in 0..T {
                                let low = floats(weigh(&pairs, &bsums[t * blocks + b]));
                                sums[t] = fma(by(min, -scales[t * blocks + b]), low, sums[t]);
                            }
                        }
                    }
                    put_all(&sums, strip * STRIP + part * LANES, w.rows, out, ldo);
                }
            }
            T
        }

        /// The sub-factors of one block, for each pair of sub-blocks of 16.
        #[target_feature(enable = $features)]
        #[inline]
        fn pairs<S: Sub>(all: &[S], per_block: usize, part: usize) -> [Pair; 8] {
            let mut pairs = [pair(splat(0), splat(0)); 8];
            for (p, out) in pairs.iter_mut().enumerate() {
                *out = if per_block == 8 {
                    let both = subs(all, p, part);
                    pair(both, both)
                } else {
                    pair(subs(all, 2 * p, part), subs(all, 2 * p + 1, part))
                };
            }
            pairs
        }

        /// `Σ_sub factor * sum`.
        #[target_feature(enable = $features)]
        #[inline]
        fn weigh(pairs: &[Pair; 8], sums: &[[i16; 2]; 8]) -> Ints {
            let mut low = splat(0);
            for p in 0..8 {
                low = plus_pair(low, pairs[p], sums[p]);
            }
            low
        }

        /// The sub-factors of sub-block `s`.
        #[target_feature(enable = $features)]
        #[inline]
        fn subs<S: Sub>(all: &[S], s: usize, part: usize) -> Ints {
            widen(&all[s * STRIP + part * LANES..].as_chunks::<LANES>().0[0])
        }
    };
}
pub(crate) use strip_products;

/// Adds to the sum of each of `n` tokens the products of groups `low..high` of the codes with the token's activations.
/// Tokens are innermost: their sums do not wait for each other.
macro_rules! one_by_one {
    ($dot:expr; $n:ident, $sums:ident, $codes:ident, $low:literal, $high:literal, $t:ident => $acts:expr) => {
        let mut acts_of = [&[[0; 4]; 8]; $n];
        for $t in 0..$n {
            acts_of[$t] = &$acts;
        }
        for g in $low..$high {
            for t in 0..$n {
                $sums[t] = $dot($sums[t], $codes[g], acts_of[t][g]);
            }
        }
    };
}
pub(crate) use one_by_one;

/// The same with tokens in pairs, where there is more than one.
#[cfg(target_arch = "aarch64")]
macro_rules! two_by_two {
    ($dot:expr; $n:ident, $sums:ident, $codes:ident, $low:literal, $high:literal, $t:ident => $acts:expr) => {
        if $n == 1 {
            one_by_one!($dot; $n, $sums, $codes, $low, $high, $t => $acts);
        } else {
            for first in (0..$n).step_by(2) {
                let one = { let $t = first; &$acts[$low..$high] };
                let two = { let $t = first + 1; &$acts[$low..$high] };
                let both = two_dots([$sums[first], $sums[first + 1]], &$codes[$low..$high], one, two);
                ($sums[first], $sums[first + 1]) = (both[0], both[1]);
            }
        }
    };
}
#[cfg(target_arch = "aarch64")]
pub(crate) use two_by_two;

/// The strips of so many rows, a few at a time: these meet all tokens before the next ones, from a first-level cache.
pub(crate) fn panels(rows: usize) -> impl Iterator<Item = Range<usize>> {
    const FEW: usize = 2;
    let strips = rows.div_ceil(STRIP);
    (0..strips).step_by(FEW).map(move |first| first..strips.min(first + FEW))
}

/// What each of `T` tokens has of `all`, `per_token` each.
#[inline(always)]
pub(crate) fn tokens<E, const T: usize>(all: &[E], per_token: usize) -> [&[E]; T] {
    let mut each = [&all[..per_token]; T];
    for (t, part) in each.iter_mut().enumerate() {
        *part = &all[t * per_token..][..per_token];
    }
    each
}

/// The activations of one token that meet a chunk.
pub(crate) type Acts = [[i8; 4]; 8];

/// How far ahead of its use a strip is asked for: what one core gets from memory while it waits for an answer, a few
/// times over.
pub(crate) const AHEAD: usize = 4096;

/// Asks for what follows `chunk` at a distance, line by line. One token does so little work for a byte that the
/// processor's own look-ahead ends at the instructions that wait for the last chunk.
#[inline(always)]
pub(crate) fn fetch(chunk: &[u8], distance: usize) {
    for line in chunk.chunks(64) {
        let at = line.as_ptr().wrapping_add(distance);
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
            // SAFETY: a hint, which reads nothing and faults nowhere.
            unsafe { _mm_prefetch::<_MM_HINT_T1>(at.cast()) };
        }
        #[cfg(target_arch = "aarch64")]
        // SAFETY: as above.
        unsafe {
            std::arch::asm!("prfm pldl2keep, [{}]", in(reg) at, options(nostack, preserves_flags, readonly));
        }
    }
}

/// i8, or u8 of at most 127.
pub(crate) trait Sub: Copy {}
impl Sub for i8 {}
impl Sub for u8 {}
