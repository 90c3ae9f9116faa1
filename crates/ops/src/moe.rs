//! Mixture of experts.

use crate::spare::{give, take};
use crate::{DenseFfn, Input, Linear, Routing};
use lfmq_core::ExecError;
use lfmq_kernels::Kernels;
use std::sync::Arc;

/// Experts behind a sigmoid router.
pub struct Moe<'w> {
    /// Router `[experts, hidden]`.
    pub router: Arc<dyn Linear + 'w>,
    /// How its outputs become experts and weights.
    pub routing: Routing,
    /// The experts by id.
    pub experts: Vec<DenseFfn<'w>>,
}

/// The experts chosen for each token, `[token][K]`, ids ascending.
pub type Routes = Vec<Vec<u16>>;

impl Moe<'_> {
    /// Runs normalised activations `x [n, hidden]`; gives `[n, hidden]` and who was chosen.
    ///
    /// Tokens are grouped by expert so that each expert's weights are used once. A token's outputs are weighted after
    /// the down projection and added in ascending order of expert, however tokens are grouped.
    ///
    /// # Errors
    /// When a weight cannot be read.
    pub fn forward(&self, x: &[f32], kernels: &'static Kernels) -> Result<(Vec<f32>, Routes), ExecError> {
        let hidden = self.router.cols();
        let input = Input::new(x, hidden, kernels);
        let mut logits = vec![0.0; input.n() * self.router.rows()];
        self.router.apply(&input, &mut logits)?;

        let mut routes = Routes::with_capacity(input.n());
        let mut by_expert = vec![Vec::new(); self.experts.len()];
        for (token, logits) in logits.chunks_exact_mut(self.router.rows().max(1)).enumerate() {
            let chosen = self.routing.choose(logits, kernels);
            routes.push(chosen.iter().map(|(e, _)| *e).collect());
            for (e, weight) in chosen {
                by_expert[usize::from(e)].push((token, weight));
            }
        }

        let mut out = take(x.len());
        out.fill(0.0);
        for (expert, tokens) in self.experts.iter().zip(&by_expert).filter(|(_, t)| !t.is_empty()) {
            let mut gathered = take(tokens.len() * hidden);
            for ((t, _), row) in tokens.iter().zip(gathered.chunks_exact_mut(hidden)) {
                row.copy_from_slice(&x[t * hidden..][..hidden]);
            }
            let part = expert.forward(&gathered, kernels)?;
            for ((token, weight), part) in tokens.iter().zip(part.chunks_exact(hidden)) {
                for (o, p) in out[token * hidden..].iter_mut().zip(part) {
                    *o += weight * p;
                }
            }
            [gathered, part].into_iter().for_each(give);
        }
        Ok((out, routes))
    }
}
