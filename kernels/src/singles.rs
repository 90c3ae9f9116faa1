//! The products of one token in f32 with rows of strips, from the codes: what widening the rows and then multiplying gives,
//! bit for bit, without writing them out. A register holds one column of `LANES` rows, and the 16 virtual lanes of a sum
//! are 16 registers. Beside the operations of `strip_products` a rung brings `less` (bytes), `column` (one of the four
//! codes of each row, as floats), `mul` and `add` (floats).

/// Defines `single_b32` and `single_b256` on the operations in scope.
macro_rules! single_products {
    ($features:literal) => {
        use crate::bodies::LANES as VIRTUAL;

        /// Adds the products of group `G` of a chunk with `x` to the lanes of their columns. A weight is
        /// `scale * code`, with `MINIMA` plus `low`.
        #[target_feature(enable = $features)]
        #[inline]
        fn group<const G: usize, const MINIMA: bool>(
            lanes: &mut [Floats; VIRTUAL],
            x: &[f32; 32],
            codes: &[Codes; 8],
            scale: Floats,
            low: Floats,
        ) {
            let columns =
                [column::<24>(codes[G]), column::<16>(codes[G]), column::<8>(codes[G]), column::<0>(codes[G])];
            for (b, column) in columns.into_iter().enumerate() {
                let weight = mul(scale, column);
                let weight = if MINIMA { add(weight, low) } else { weight };
                let lane = &mut lanes[4 * (G % 4) + b];
                *lane = fma_by(weight, x[4 * G + b], *lane);
            }
        }

        /// The same for groups 0 to 3, under `scales[0]`, and 4 to 7, under `scales[1]`.
        #[target_feature(enable = $features)]
        #[inline]
        fn groups<const MINIMA: bool>(
            lanes: &mut [Floats; VIRTUAL],
            x: &[f32; 32],
            codes: &[Codes; 8],
            scales: [Floats; 2],
            lows: [Floats; 2],
        ) {
            group::<0, MINIMA>(lanes, x, codes, scales[0], lows[0]);
            group::<1, MINIMA>(lanes, x, codes, scales[0], lows[0]);
            group::<2, MINIMA>(lanes, x, codes, scales[0], lows[0]);
            group::<3, MINIMA>(lanes, x, codes, scales[0], lows[0]);
            group::<4, MINIMA>(lanes, x, codes, scales[1], lows[1]);
            group::<5, MINIMA>(lanes, x, codes, scales[1], lows[1]);
            group::<6, MINIMA>(lanes, x, codes, scales[1], lows[1]);
            group::<7, MINIMA>(lanes, x, codes, scales[1], lows[1]);
        }

        /// The codes of a chunk as they are, signed.
        #[target_feature(enable = $features)]
        #[inline]
        fn plain(coding: Coding, chunk: &[u8], part: usize) -> [Codes; 8] {
            let excess = bias(coding) as i8;
            let mut codes = unpack(coding, chunk, part);
            for codes in &mut codes {
                *codes = less(*codes, excess);
            }
            codes
        }

        /// Folds the lanes in halves and stores the sums of the rows there are.
        #[target_feature(enable = $features)]
        #[inline]
        fn finish(mut lanes: [Floats; VIRTUAL], out: &mut [f32], part: usize) {
            let mut half = VIRTUAL / 2;
            while half > 0 {
                for j in 0..half {
                    lanes[j] = add(lanes[j], lanes[j + half]);
                }
                half /= 2;
            }
            put_all(&[lanes[0]], part * LANES, out.len(), out, out.len());
        }

        #[target_feature(enable = $features)]
        pub(super) fn single_b32(x: &[f32], w: &Strips32<'_>, out: &mut [f32]) {
            w.check();
            assert!(x.len() == w.cols && out.len() == w.rows, "one token");
            let (blocks, bytes) = (w.cols / 32, w.coding.chunk_bytes());
            for (strip, out) in out.chunks_mut(STRIP).enumerate() {
                for part in 0..STRIP / LANES {
                    let mut lanes = [floats(splat(0)); VIRTUAL];
                    for (b, x) in x.as_chunks::<32>().0.iter().enumerate() {
                        let at = strip * blocks + b;
                        let chunk = &w.codes[at * bytes..][..bytes];
                        fetch(chunk, AHEAD);
                        let codes = plain(w.coding, chunk, part);
                        let at = at * STRIP + part * LANES;
                        let scales = [factors(&w.scales, at); 2];
                        if w.mins.is_empty() {
                            groups::<false>(&mut lanes, x, &codes, scales, scales);
                        } else {
                            groups::<true>(&mut lanes, x, &codes, scales, [factors(&w.mins, at); 2]);
                        }
                    }
                    finish(lanes, out, part);
                }
            }
        }

        #[target_feature(enable = $features)]
        pub(super) fn single_b256(x: &[f32], w: &Strips256<'_>, out: &mut [f32]) {
            w.check();
            assert!(x.len() == w.cols && out.len() == w.rows, "one token");
            let (chunks, bytes, per_chunk) = (w.cols / 32, w.coding.chunk_bytes(), w.subs / 8);
            for (strip, out) in out.chunks_mut(STRIP).enumerate() {
                for part in 0..STRIP / LANES {
                    let mut lanes = [floats(splat(0)); VIRTUAL];
                    for (c, x) in x.as_chunks::<32>().0.iter().enumerate() {
                        let at = strip * chunks + c;
                        let chunk = &w.codes[at * bytes..][..bytes];
                        fetch(chunk, AHEAD);
                        let codes = plain(w.coding, chunk, part);
                        // The first and the last sub-block of the chunk, which may be one.
                        let (first, last) = (at * per_chunk, at * per_chunk + per_chunk - 1);
                        let block = at / 8 * STRIP + part * LANES;
                        let scale = factors(&w.scales, block);
                        let scales = [
                            mul(scale, floats(subs(w.sub_scales, first, part))),
                            mul(scale, floats(subs(w.sub_scales, last, part))),
                        ];
                        if w.mins.is_empty() {
                            groups::<false>(&mut lanes, x, &codes, scales, scales);
                        } else {
                            // Less a minimum is plus its negative, to the bit.
                            let min = by(factors(&w.mins, block), -1.0);
                            let lows = [
                                mul(min, floats(subs(w.sub_mins, first, part))),
                                mul(min, floats(subs(w.sub_mins, last, part))),
                            ];
                            groups::<true>(&mut lanes, x, &codes, scales, lows);
                        }
                    }
                    finish(lanes, out, part);
                }
            }
        }
    };
}
pub(crate) use single_products;
