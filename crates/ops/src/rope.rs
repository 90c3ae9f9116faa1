//! Rotary position embedding by halves (NeoX).

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
        let angles = (start..start + n).flat_map(|p| inverse_frequencies.iter().map(move |f| f64::from(p as f32 * f)));
        let (cos, sin) = angles.map(|a| (libm::cos(a) as f32, libm::sin(a) as f32)).unzip();
        Self { half: inverse_frequencies.len(), cos, sin }
    }

    /// Turns one head `[head_dim]` of token `t` of the run in place: `(a, b) -> (a cos - b sin, b cos + a sin)` for
    /// element `i` and `i + head_dim / 2`.
    pub fn apply(&self, t: usize, head: &mut [f32]) {
        let at = t * self.half;
        let (first, second) = head.split_at_mut(self.half);
        let turns = self.cos[at..].iter().zip(&self.sin[at..]);
        for ((a, b), (cos, sin)) in first.iter_mut().zip(second).zip(turns) {
            (*a, *b) = (*a * cos - *b * sin, *b * cos + *a * sin);
        }
    }
}
