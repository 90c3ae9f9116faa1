//! The blocking that f32 products share. A rung brings the size of its register tile and `accumulate`, which adds the
//! products of one tile to its virtual lanes, or begins them anew; this macro walks the tiles.

use crate::bodies::{LANES, fold};

/// Columns of one pass: a tile's rows of `x` stay in the first-level cache while all of `w` goes by.
pub(crate) const PASS: usize = 1024;

/// Rows of `w` that all of `x` meets before the next ones; bounds the lanes kept between passes.
pub(crate) const PANEL: usize = 32;

/// The virtual lanes of one output between passes.
pub(crate) type Lanes = [f32; LANES];

/// What is left of rows after whole groups of 16 columns, padded with zeros.
pub(crate) fn padded(rest: &[f32]) -> Lanes {
    let mut lanes = [0.0; LANES];
    lanes[..rest.len()].copy_from_slice(rest);
    lanes
}

/// Folds every `step`th of `lanes`, for rungs without a better way.
#[inline(always)]
pub(crate) fn fold_each(lanes: &[Lanes], step: usize, out: &mut [f32]) {
    for (lanes, out) in lanes.iter().step_by(step).zip(out) {
        *out = fold(*lanes);
    }
}

/// Defines `dot_f32` and `gemm_f32` over `accumulate` and `fold_each` for tiles of `$w` rows of `w` and the given heights of rows of
/// `x`, greatest first, down to 1.
macro_rules! products {
    ($features:literal, $w:literal, [$tallest:literal $(, $height:literal)*]) => {
        #[target_feature(enable = $features)]
        pub(super) fn dot_f32(a: &[f32], b: &[f32]) -> f32 {
            assert_eq!(a.len(), b.len(), "operands of a dot product");
            let mut lanes = [[[0.0; LANES]; 1]; 1];
            accumulate(true, [a], [b], &mut lanes);
            fold(lanes[0][0])
        }

        #[target_feature(enable = $features)]
        pub(super) fn gemm_f32(x: &[f32], w: &[f32], k: usize, out: &mut [f32], ldo: usize) {
            let (n, m) = product_shape(x.len(), w.len(), k, out.len(), ldo);
            let mut lanes = [[0.0; LANES]; PANEL * $tallest];
            for first in (0..m).step_by(PANEL) {
                let rows = PANEL.min(m - first);
                let w = &w[first * k..][..rows * k];
                for i in (0..n).step_by($tallest) {
                    let height = $tallest.min(n - i);
                    let x = &x[i * k..][..height * k];
                    match height {
                        $tallest => strip::<$tallest>(x, w, k, &mut lanes),
                        $($height => strip::<$height>(x, w, k, &mut lanes),)*
                        _ => unreachable!("a strip of {height} rows"),
                    }
                    for r in 0..height {
                        fold_each(&lanes[r..rows * height], height, &mut out[(i + r) * ldo + first..][..rows]);
                    }
                }
            }
        }

        /// The lanes of `X` rows of `x` times all rows of `w`, into the first of `lanes`, `[rows of w][X]`.
        #[target_feature(enable = $features)]
        fn strip<const X: usize>(x: &[f32], w: &[f32], k: usize, lanes: &mut [Lanes]) {
            let m = w.len() / k;
            let (lanes, _) = lanes[..m * X].as_chunks_mut::<X>();
            for start in (0..k).step_by(PASS) {
                let (pass, fresh) = (start..k.min(start + PASS), start == 0);
                // Loops rather than `map`: a closure is not sure to be inlined across the features of this function.
                let mut rows: [&[f32]; X] = [&[]; X];
                for r in 0..X {
                    rows[r] = &x[r * k..][pass.clone()];
                }
                let (tiles, rest) = lanes.as_chunks_mut::<$w>();
                let done = tiles.len() * $w;
                for (t, tile) in tiles.iter_mut().enumerate() {
                    let mut weights: [&[f32]; $w] = [&[]; $w];
                    for j in 0..$w {
                        weights[j] = &w[($w * t + j) * k..][pass.clone()];
                    }
                    accumulate(fresh, rows, weights, tile);
                }
                for (j, single) in rest.iter_mut().enumerate() {
                    accumulate(fresh, rows, [&w[(done + j) * k..][pass.clone()]], std::array::from_mut(single));
                }
            }
        }
    };
}
pub(crate) use products;
