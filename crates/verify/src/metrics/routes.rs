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
}

/// Collects routes window by window.
#[derive(Clone, Debug, Default)]
pub struct RouterTally {
    /// Per layer: sum of overlaps, identical sets, tokens.
    layers: Vec<(f64, u64, u64)>,
    /// Mean overlap of each finished window.
    windows: Vec<f64>,
    /// Sum of overlaps and number of sets in the window at hand.
    open: (f64, u64),
}

impl RouterTally {
    /// Adds the routes of one feed of both models: `[mixture layer][token][K]` expert ids, ascending. Where one side
    /// shows no routes at all there is nothing to compare.
    pub fn push(&mut self, base: &[Vec<Vec<u16>>], candidate: &[Vec<Vec<u16>>]) {
        if base.is_empty() || candidate.is_empty() {
            return;
        }
        let layers = base.len().max(candidate.len());
        self.layers.resize(layers.max(self.layers.len()), (0.0, 0, 0));
        for (i, tally) in self.layers.iter_mut().enumerate() {
            // A layer that routes on one side only agrees on nothing.
            let (b, c) = (base.get(i).map_or(&[][..], Vec::as_slice), candidate.get(i).map_or(&[][..], Vec::as_slice));
            for t in 0..b.len().max(c.len()) {
                let overlap = overlap(b.get(t).map_or(&[], Vec::as_slice), c.get(t).map_or(&[], Vec::as_slice));
                tally.0 += overlap;
                tally.1 += u64::from(b.get(t) == c.get(t));
                tally.2 += 1;
                self.open = (self.open.0 + overlap, self.open.1 + 1);
            }
        }
    }

    /// Ends a window.
    pub fn end_window(&mut self) {
        if self.open.1 > 0 {
            self.windows.push(self.open.0 / self.open.1 as f64);
        }
        self.open = (0.0, 0);
    }

    /// The agreement; `None` if nothing was routed.
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
            overlap: Estimate::of_clusters(&self.windows, 1),
            layers: self.layers.into_iter().map(share).collect(),
        })
    }
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
