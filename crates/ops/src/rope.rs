//! Rotary position embedding by halves (NeoX).

use lfmq_kernels::multiversion;
use rayon::prelude::*;

/// Inverse frequencies `[head_dim / 2]` as transformers computes them in f32: `1 / theta^(2i / head_dim)`.
#[must_use]
pub fn inverse_frequencies(theta: f64, head_dim: usize) -> Vec<f32> {
    (0..head_dim / 2)
        .map(|i| {
            let exponent = (2 * i) as f32 / head_dim as f32;
            1.0 / libm::pow(theta, f64::from(exponent)) as f32
        })
        .collect()
}

/// Cosines and sines of a run of positions.
#[derive(Clone, Debug)]
pub struct Rotation {
    half: usize,
    cos: Vec<f32>,
    sin: Vec<f32>,
}

impl Rotation {
    /// For positions `start..start + n`. Angles are f32 products; their cosine and sine are taken in f64 and rounded.
    #[must_use]
    pub fn new(inverse_frequencies: &[f32], start: usize, n: usize) -> Self {
        let half = inverse_frequencies.len();
        let turns = |of: fn(f64) -> f64| {
            let mut turns = vec![0.0; n * half];
            turns.par_chunks_mut(half.max(1)).enumerate().for_each(|(t, turns)| {
                for (turn, f) in turns.iter_mut().zip(inverse_frequencies) {
                    *turn = of(f64::from((start + t) as f32 * f)) as f32;
                }
            });
            turns
        };
        Self { half, cos: turns(libm::cos), sin: turns(libm::sin) }
    }

    /// Turns the heads `[heads, head_dim]` of token `t` of the run in place: `(a, b) -> (a cos - b sin, b cos + a sin)`
    /// for element `i` and `i + head_dim / 2` of each.
    pub fn apply(&self, t: usize, heads: &mut [f32]) {
        let turns = t * self.half..(t + 1) * self.half;
        turn(heads, &self.cos[turns.clone()], &self.sin[turns]);
    }
}

multiversion! {
    fn turn['a](heads: &'a mut [f32], cos: &'a [f32], sin: &'a [f32]) -> () {
        for head in heads.chunks_exact_mut((2 * cos.len()).max(1)) {
            let (first, second) = head.split_at_mut(cos.len());
            for ((a, b), (cos, sin)) in first.iter_mut().zip(second).zip(cos.iter().zip(sin)) {
                (*a, *b) = (*a * cos - *b * sin, *b * cos + *a * sin);
            }
        }
    }
}
