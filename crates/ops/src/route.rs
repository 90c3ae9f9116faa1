//! Choosing experts.

use lfmq_kernels::Kernels;

/// What the score of an expert is, and what of it weighs. The last two are what runtimes have mistaken the first for;
/// with them a verifier recognises the mistake.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Gate {
    /// The sigmoid of its logit; the bias takes part in the selection only. What the model family does.
    #[default]
    Sigmoid,
    /// Its share in the softmax over all logits; the bias takes part in the selection only.
    Softmax,
    /// The sigmoid and the bias, for selection and weights alike.
    BiasedSigmoid,
}

/// How a mixture layer turns router logits into experts and weights.
#[derive(Clone, Debug, PartialEq)]
pub struct Routing {
    /// What scores are.
    pub gate: Gate,
    /// Experts per token K, at most the number of experts.
    pub top_k: usize,
    /// Added to the scores, `[experts]`; with [`Gate::Sigmoid`] for the *selection* only.
    pub bias: Option<Vec<f32>>,
    /// Whether the K weights are divided by their sum + 1e-6.
    pub norm_top_k: bool,
    /// Factor on the weights, applied last.
    pub scale: f32,
}

impl Routing {
    /// The experts of one token and their weights, in ascending order of expert. `logits [experts]` are the router's
    /// outputs and become their scores. Of equal candidates the lowest index is chosen.
    pub fn choose(&self, logits: &mut [f32], kernels: &Kernels) -> Vec<(u16, f32)> {
        match self.gate {
            Gate::Sigmoid | Gate::BiasedSigmoid => (kernels.sigmoid_f32)(logits),
            Gate::Softmax => (kernels.softmax_f32)(logits),
        }
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
        let weight = |e: u16| {
            let e = usize::from(e);
            if self.gate == Gate::BiasedSigmoid { score(e) } else { logits[e] }
        };
        let mut chosen: Vec<(u16, f32)> = (0u16..).take(logits.len()).map(|e| (e, weight(e))).collect();
        chosen.retain(|(e, _)| taken[usize::from(*e)]);
        if self.norm_top_k {
            let sum = chosen.iter().fold(0.0, |sum, (_, w)| sum + w) + 1e-6;
            chosen.iter_mut().for_each(|(_, w)| *w /= sum);
        }
        chosen.iter_mut().for_each(|(_, w)| *w *= self.scale);
        chosen
    }
}
