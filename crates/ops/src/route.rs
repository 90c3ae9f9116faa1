//! Choosing experts.

use lfmq_kernels::Kernels;

/// How a mixture layer turns router logits into experts and weights.
#[derive(Clone, Debug, PartialEq)]
pub struct Routing {
    /// Experts per token K, at most the number of experts.
    pub top_k: usize,
    /// Added to the sigmoids for the *selection* only, `[experts]`.
    pub bias: Option<Vec<f32>>,
    /// Whether the K weights are divided by their sum + 1e-6.
    pub norm_top_k: bool,
    /// Factor on the weights, applied last.
    pub scale: f32,
}

impl Routing {
    /// The experts of one token and their weights, in ascending order of expert. `logits [experts]` are the router's
    /// outputs and become their sigmoids. Of equal candidates the lowest index is chosen.
    pub fn choose(&self, logits: &mut [f32], kernels: &Kernels) -> Vec<(u16, f32)> {
        (kernels.sigmoid_f32)(logits);
        let score = |e: usize| match &self.bias {
            Some(bias) => logits[e] + bias.get(e).copied().unwrap_or(0.0),
            None => logits[e],
        };
        let mut taken = vec![false; logits.len()];
        for _ in 0..self.top_k.min(logits.len()) {
            // A strict comparison keeps the first of equals; a NaN loses to everything but still fills a place.
            let free = (0..logits.len()).filter(|e| !taken[*e]);
            let best = free
                .reduce(|a, b| if score(b) > score(a) || (score(a).is_nan() && !score(b).is_nan()) { b } else { a });
            if let Some(best) = best {
                taken[best] = true;
            }
        }
        let mut chosen: Vec<(u16, f32)> = (0u16..).zip(logits.iter()).map(|(e, s)| (e, *s)).collect();
        chosen.retain(|(e, _)| taken[usize::from(*e)]);
        if self.norm_top_k {
            let sum = chosen.iter().fold(0.0, |sum, (_, w)| sum + w) + 1e-6;
            chosen.iter_mut().for_each(|(_, w)| *w /= sum);
        }
        chosen.iter_mut().for_each(|(_, w)| *w *= self.scale);
        chosen
    }
}
