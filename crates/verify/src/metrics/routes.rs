use super::experts::{Conspicuous, ExpertTally, LayerLoad};
use crate::stats::Estimate;
use serde::Serialize;

/// Agreement of one mixture layer's routers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct LayerRoutes {
    /// Mean share of the yardstick's experts that the candidate chose too.
    pub overlap: f64,
    /// Share of tokens with the same set of experts.
    pub identical: f64,
}

/// Agreement of the routers of a mixture model.
#[derive(Clone, Debug, Serialize)]
pub struct RouterAgreement {
    /// Mean overlap over layers and tokens, error over windows.
    pub overlap: Estimate,
    /// One entry a mixture layer, in order.
    pub layers: Vec<LayerRoutes>,
    /// How many tokens each expert got, by mixture layer; `None` in a report put together from parts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load: Option<Vec<LayerLoad>>,
    /// Experts whose tokens drift far more than the others of the layer, the worst first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conspicuous: Vec<Conspicuous>,
}

/// Collects routes window by window.
#[derive(Clone, Debug, Default)]
pub struct RouterTally {
    /// Per layer: sum of overlaps, identical sets, tokens. Sums of windows, so that parts of a run give the same.
    layers: Vec<(f64, u64, u64)>,
    /// The same for each finished window.
    windows: Vec<Vec<(f64, u64, u64)>>,
    /// The same for the window at hand.
    open: Vec<(f64, u64, u64)>,
    experts: ExpertTally,
}

impl RouterTally {
    /// Adds the routes of one feed of both models: `[mixture layer][token][K]` expert ids, ascending. Where one side
    /// shows no routes at all there is nothing to compare.
    pub fn push(&mut self, base: &[Vec<Vec<u16>>], candidate: &[Vec<Vec<u16>>]) {
        if base.is_empty() || candidate.is_empty() {
            return;
        }
        let layers = base.len().max(candidate.len());
        self.open.resize(layers.max(self.open.len()), (0.0, 0, 0));
        for (i, tally) in self.open.iter_mut().enumerate() {
            // A layer that routes on one side only agrees on nothing.
            let (b, c) = (base.get(i).map_or(&[][..], Vec::as_slice), candidate.get(i).map_or(&[][..], Vec::as_slice));
            for t in 0..b.len().max(c.len()) {
                let overlap = overlap(b.get(t).map_or(&[], Vec::as_slice), c.get(t).map_or(&[], Vec::as_slice));
                tally.0 += overlap;
                tally.1 += u64::from(b.get(t) == c.get(t));
                tally.2 += 1;
            }
        }
    }

    /// Adds how far the candidate drifted, nats, after each token of that feed, for the experts that `base` chose and
    /// `candidate`, if it shows any.
    pub fn push_drift(&mut self, base: &[Vec<Vec<u16>>], candidate: &[Vec<Vec<u16>>], drift: &[f64]) {
        self.experts.push(base, candidate, drift);
    }

    /// Ends a window.
    pub fn end_window(&mut self) {
        let window = std::mem::take(&mut self.open);
        if window.iter().any(|(_, _, n)| *n > 0) {
            self.push_window(window);
        }
    }

    /// Adds the sums of a finished window.
    pub fn push_window(&mut self, window: Vec<(f64, u64, u64)>) {
        self.layers.resize(window.len().max(self.layers.len()), (0.0, 0, 0));
        for (sum, (overlap, same, n)) in self.layers.iter_mut().zip(&window) {
            *sum = (sum.0 + overlap, sum.1 + same, sum.2 + n);
        }
        self.windows.push(window);
    }

    /// The sums of each finished window; empty for a dense model.
    #[must_use]
    pub fn windows(&self) -> &[Vec<(f64, u64, u64)>] {
        &self.windows
    }

    /// The agreement; `None` if nothing was routed on both sides.
    #[must_use]
    pub fn finish(self) -> Option<RouterAgreement> {
        if self.windows.is_empty() {
            return None;
        }
        let share = |(sum, same, n): (f64, u64, u64)| LayerRoutes {
            overlap: sum / n.max(1) as f64,
            identical: same as f64 / n.max(1) as f64,
        };
        Some(RouterAgreement {
            overlap: Estimate::of_clusters(&self.windows.iter().map(|w| mean_overlap(w)).collect::<Vec<_>>(), 1),
            layers: self.layers.into_iter().map(share).collect(),
            load: self.experts.load(),
            conspicuous: self.experts.conspicuous(),
        })
    }
}

/// Mean overlap of a window over layers and tokens.
fn mean_overlap(window: &[(f64, u64, u64)]) -> f64 {
    let (sum, n) = window.iter().fold((0.0, 0), |(sum, n), layer| (sum + layer.0, n + layer.2));
    sum / n.max(1) as f64
}

/// Share of the larger set that is in both.
fn overlap(base: &[u16], candidate: &[u16]) -> f64 {
    let size = base.len().max(candidate.len());
    if size == 0 {
        return 1.0;
    }
    base.iter().filter(|e| candidate.contains(e)).count() as f64 / size as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        let mut tally = RouterTally::default();
        // Layer 0 agrees on both tokens; layer 1 on half of one set, on none of the other.
        let base = [vec![vec![0, 1], vec![2, 3]], vec![vec![0, 1], vec![2, 3]]];
        let other = [vec![vec![0, 1], vec![2, 3]], vec![vec![1, 2], vec![0, 1]]];
        tally.push(&base, &other);
        tally.end_window();
        tally.push(&base, &base);
        tally.end_window();
        let got = tally.finish().unwrap();
        assert_eq!(got.layers[0], LayerRoutes { overlap: 1.0, identical: 1.0 });
        assert_eq!(got.layers[1], LayerRoutes { overlap: 2.5 / 4.0, identical: 0.5 });
        assert!((got.overlap.value - (2.5 / 4.0 + 1.0) / 2.0).abs() < 1e-15);
        assert!(RouterTally::default().finish().is_none());
    }

    #[test]
    fn a_missing_router_is_no_agreement() {
        let mut tally = RouterTally::default();
        tally.push(&[vec![vec![0, 1]], vec![vec![0, 1]]], &[vec![vec![0, 1]]]);
        tally.end_window();
        assert_eq!(tally.finish().unwrap().overlap.value, 0.5);
        let mut silent = RouterTally::default();
        silent.push(&[vec![vec![0, 1]]], &[]);
        silent.end_window();
        assert!(silent.finish().is_none());
    }
}
