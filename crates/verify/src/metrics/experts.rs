use serde::Serialize;

/// Tokens on each side below which nothing is said of an expert.
const LEAST: u64 = 12;
/// Standard errors between the drift of an expert's tokens and that of the others.
const APART: f64 = 5.0;
/// Times as far on the geometric mean.
const FARTHER: f64 = 2.0;
/// Conspicuous experts that are named.
const NAMED: usize = 4;
/// Less drift than this counts as this, nats: its logarithm says nothing.
const FLOOR: f64 = 1e-9;

/// How many tokens the routers of a mixture layer sent to each expert.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LayerLoad {
    /// By expert, of the yardstick.
    pub yardstick: Vec<u64>,
    /// By expert, of the candidate; empty if it shows no routes.
    pub candidate: Vec<u64>,
}

/// An expert whose tokens drift far more than the others.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Conspicuous {
    /// Mixture layer, from 0.
    pub mixture_layer: usize,
    /// The expert.
    pub expert: u16,
    /// Tokens that the yardstick sent to it, and to none named before it.
    pub tokens: u64,
    /// How many times as far they drift as the other tokens, by geometric means of the KL divergence.
    pub times: f64,
}

/// Count, sum and sum of squares of logarithms.
#[derive(Clone, Copy, Debug, Default)]
struct Sums(u64, f64, f64);

impl Sums {
    fn add(&mut self, x: f64) {
        *self = Self(self.0 + 1, self.1 + x, self.2 + x * x);
    }

    fn without(self, part: Self) -> Self {
        Self(self.0 - part.0, self.1 - part.1, self.2 - part.2)
    }

    /// Mean and the square of its standard error.
    fn mean(self) -> (f64, f64) {
        let n = self.0.max(1) as f64;
        let mean = self.1 / n;
        (mean, (self.2 / n - mean * mean).max(0.0) / n)
    }
}

/// Collects, by mixture layer, which experts each token got and how far the candidate drifted after it.
#[derive(Clone, Debug, Default)]
pub(super) struct ExpertTally {
    /// By token, logarithm of its drift.
    drift: Vec<f64>,
    layers: Vec<Layer>,
}

#[derive(Clone, Debug, Default)]
struct Layer {
    /// By token, the experts of the yardstick.
    chosen: Vec<Vec<u16>>,
    /// By expert, tokens of the candidate.
    candidate: Vec<u64>,
}

impl Layer {
    /// By expert, tokens of the yardstick.
    fn yardstick(&self) -> Vec<u64> {
        let mut counts = Vec::new();
        self.chosen.iter().flatten().for_each(|e| *place(&mut counts, *e) += 1);
        counts
    }
}

/// The place of `expert`, which comes to be if need be.
fn place<T: Clone + Default>(list: &mut Vec<T>, expert: u16) -> &mut T {
    let index = usize::from(expert);
    if list.len() <= index {
        list.resize(index + 1, T::default());
    }
    &mut list[index]
}

impl ExpertTally {
    /// Routes are `[mixture layer][token][K]`, `drift` is by token.
    pub(super) fn push(&mut self, base: &[Vec<Vec<u16>>], candidate: &[Vec<Vec<u16>>], drift: &[f64]) {
        if base.is_empty() {
            return;
        }
        self.drift.extend(drift.iter().map(|drift| libm::log(drift.max(FLOOR))));
        self.layers.resize(base.len().max(self.layers.len()), Layer::default());
        for (layer, routes) in self.layers.iter_mut().zip(base) {
            layer.chosen.extend_from_slice(routes);
        }
        for (layer, routes) in self.layers.iter_mut().zip(candidate) {
            routes.iter().flatten().for_each(|e| *place(&mut layer.candidate, *e) += 1);
        }
    }

    pub(super) fn load(&self) -> Option<Vec<LayerLoad>> {
        let of = |layer: &Layer| {
            let mut load = LayerLoad { yardstick: layer.yardstick(), candidate: layer.candidate.clone() };
            let experts = load.yardstick.len().max(load.candidate.len());
            load.yardstick.resize(experts, 0);
            load.candidate.resize(if layer.candidate.is_empty() { 0 } else { experts }, 0);
            load
        };
        (!self.layers.is_empty()).then(|| self.layers.iter().map(of).collect())
    }

    /// The most conspicuous first. Tokens of one that is named no longer count in its layer, so that those who only shared
    /// tokens with it are not named too, and those whom it outshone are.
    pub(super) fn conspicuous(&self) -> Vec<Conspicuous> {
        let mut named: Vec<Conspicuous> = Vec::new();
        while named.len() < NAMED {
            let all = (0..self.layers.len()).flat_map(|layer| self.standing_out(layer, &named));
            let Some((_, worst)) = all.max_by(|a, b| a.0.total_cmp(&b.0)) else { break };
            named.push(worst);
        }
        named
    }

    /// The experts of a layer that stand out, each with by how many standard errors.
    fn standing_out(&self, mixture_layer: usize, named: &[Conspicuous]) -> Vec<(f64, Conspicuous)> {
        let out = |e: &u16| named.iter().any(|c| (c.mixture_layer, c.expert) == (mixture_layer, *e));
        let (mut all, mut experts) = (Sums::default(), Vec::<Sums>::new());
        for (chosen, drift) in self.layers[mixture_layer].chosen.iter().zip(&self.drift) {
            if !chosen.iter().any(out) {
                all.add(*drift);
                chosen.iter().for_each(|e| place(&mut experts, *e).add(*drift));
            }
        }
        let judge = |(expert, own): (u16, Sums)| {
            let rest = all.without(own);
            let ((mean, error), (others, others_error)) = (own.mean(), rest.mean());
            let apart = (mean - others) / (error + others_error).sqrt();
            let times = libm::exp(mean - others);
            let proven = own.0 >= LEAST && rest.0 >= LEAST && apart > APART && times > FARTHER;
            proven.then_some((apart, Conspicuous { mixture_layer, expert, tokens: own.0, times }))
        };
        (0u16..).zip(experts).filter_map(judge).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 400 tokens over 2 layers of 6 experts, two each; `drift` of a token by what layer 1 chose.
    fn tally(drift: impl Fn(&[u16], f64) -> f64) -> ExpertTally {
        let mut tally = ExpertTally::default();
        for t in 0..400u64 {
            let noise = |k: u64| (t * 6 + k).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
            let pair = |k: u64| {
                let (a, b) = ((noise(k) % 6) as u16, (noise(k + 1) % 5) as u16);
                let b = if b >= a { b + 1 } else { b };
                vec![a.min(b), a.max(b)]
            };
            let routes = [vec![pair(0)], vec![pair(2)]];
            let d = drift(&routes[1][0], 1e-3 * (1.0 + (noise(4) % 100) as f64));
            tally.push(&routes, &[], &[d]);
        }
        tally
    }

    #[test]
    fn experts_that_drift_are_named_and_no_others() {
        assert_eq!(tally(|_, noise| noise).conspicuous(), []);
        let found =
            tally(|chosen, noise| if chosen.contains(&1) || chosen.contains(&4) { noise * 30.0 } else { noise });
        let mut names: Vec<_> = found.conspicuous().iter().map(|c| (c.mixture_layer, c.expert)).collect();
        names.sort_unstable();
        assert_eq!(names, [(1, 1), (1, 4)]);
    }

    #[test]
    fn loads_are_counted_on_both_sides() {
        let mut tally = ExpertTally::default();
        tally.push(&[vec![vec![0, 2], vec![2, 3]]], &[vec![vec![0, 5], vec![2, 3]]], &[0.0, 1.0]);
        let load = LayerLoad { yardstick: vec![1, 0, 2, 1, 0, 0], candidate: vec![1, 0, 1, 1, 0, 1] };
        assert_eq!(tally.load(), Some(vec![load]));
        assert_eq!(ExpertTally::default().load(), None);
    }
}
