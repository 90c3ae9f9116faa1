//! A run in parts: which windows a part scores, and the scores by token from which parts are put together again.

use crate::Windows;
use crate::metrics::{Scores, TokenScore};
use crate::stats::mean;
use serde::Serialize;

/// Part `index` of `of`, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Shard {
    /// Which part, from 1.
    pub index: usize,
    /// How many parts.
    pub of: usize,
}

impl Shard {
    /// Reads `3/16`; `None` unless 1 <= index <= parts.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (index, of) = text.split_once('/')?;
        let (index, of) = (index.parse().ok()?, of.parse().ok()?);
        (1..=of).contains(&index).then_some(Self { index, of })
    }

    /// Whether this is the first part, which also measures what is not about windows.
    #[must_use]
    pub const fn leads(self) -> bool {
        self.index == 1
    }

    /// The windows of this part of `all`; a part of a short text may have none.
    #[must_use]
    pub fn of(self, all: &Windows) -> Windows {
        let edge = |part: usize| (part as u128 * all.count() as u128 / self.of.max(1) as u128) as usize;
        all.range(edge(self.index - 1)..edge(self.index))
    }
}

/// Means over the scored tokens of one window: what two runs on the same tokens are compared by.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct WindowMeans {
    /// KL divergence, nats.
    pub kld: f64,
    /// Negative log-likelihood of the text by the yardstick, nats.
    pub nll_base: f64,
    /// The same by the candidate.
    pub nll: f64,
    /// Share of positions with the same most likely token.
    pub same_top: f64,
}

/// The means of each window, in order.
#[must_use]
pub fn per_window(scores: &Scores) -> Vec<WindowMeans> {
    let one = |tokens: &[TokenScore]| {
        let of = |f: fn(&TokenScore) -> f64| mean(&tokens.iter().map(f).collect::<Vec<_>>());
        WindowMeans {
            kld: of(|t| t.kld),
            nll_base: of(|t| t.nll_base),
            nll: of(|t| t.nll),
            same_top: of(|t| f64::from(u8::from(t.same_top))),
        }
    };
    scores.tokens.chunks(scores.per_window.max(1)).map(one).collect()
}

/// The scores of one window, a column a figure, one entry a scored position.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WindowDetail {
    /// Which window of the whole text, from 0.
    pub window: usize,
    /// Position of the first scored token.
    pub first: usize,
    /// The true tokens after the scored positions.
    pub targets: Vec<u32>,
    /// KL divergence, nats.
    pub kld: Vec<f64>,
    /// Negative log-likelihood of the true token by the yardstick, nats.
    pub nll_base: Vec<f64>,
    /// The same by the candidate.
    pub nll: Vec<f64>,
    /// Lead of the yardstick's most likely token over its second.
    pub margin: Vec<f64>,
    /// Whether both have the same most likely token.
    pub same_top: Vec<bool>,
    /// By mixture layer: sum of overlaps, identical sets, sets; empty for a dense model.
    pub routes: Vec<(f64, u64, u64)>,
}

/// All scores by window; `first` is the index of the first in the whole text, `routes` the sums of each.
#[must_use]
pub fn detail(scores: &Scores, first: usize, routes: &[Vec<(f64, u64, u64)>]) -> Vec<WindowDetail> {
    let n = scores.per_window.max(1);
    let one = |(i, (tokens, targets)): (usize, (&[TokenScore], &[u32]))| {
        let column = |f: fn(&TokenScore) -> f64| tokens.iter().map(f).collect();
        WindowDetail {
            window: first + i,
            first: scores.first,
            targets: targets.to_vec(),
            kld: column(|t| t.kld),
            nll_base: column(|t| t.nll_base),
            nll: column(|t| t.nll),
            margin: column(|t| t.margin),
            same_top: tokens.iter().map(|t| t.same_top).collect(),
            routes: routes.get(i).cloned().unwrap_or_default(),
        }
    };
    scores.tokens.chunks(n).zip(scores.targets.chunks(n)).enumerate().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::WindowOptions;

    #[test]
    fn parts_cover_every_window_once() {
        let tokens: Vec<u32> = (0..32 * 11).collect();
        let options = WindowOptions { context: 32, min_windows: 1, max_windows: None };
        let all = Windows::cut(&tokens, Some(1), &options).unwrap();
        for of in [1, 2, 3, 11, 16] {
            let parts: Vec<Windows> = (1..=of).map(|index| Shard { index, of }.of(&all)).collect();
            let joined: Vec<&[u32]> = parts.iter().flat_map(Windows::iter).collect();
            assert_eq!(joined, all.iter().collect::<Vec<_>>(), "{of}");
            let mut next = 0;
            for part in parts {
                assert_eq!(part.first_window(), next);
                next += part.count();
            }
        }
    }

    #[test]
    fn shards_as_typed() {
        assert_eq!(Shard::parse("3/16"), Some(Shard { index: 3, of: 16 }));
        for bad in ["0/4", "5/4", "1", "a/2", "1/0", ""] {
            assert_eq!(Shard::parse(bad), None, "{bad}");
        }
    }
}
