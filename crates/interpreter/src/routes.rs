//! Which experts routers chose, as a graph shows it.

/// The rows of `places`, `k` each, as sets of ids in ascending order; `None` where one is no id of an expert.
pub fn chosen(places: impl Iterator<Item = i64>, k: usize) -> Option<Vec<Vec<u16>>> {
    let places: Vec<u16> = places.map(|place| u16::try_from(place).ok()).collect::<Option<_>>()?;
    let sorted = |row: &[u16]| {
        let mut row = row.to_vec();
        row.sort_unstable();
        row
    };
    Some(places.chunks_exact(k.max(1)).map(sorted).collect())
}

/// What was chosen for all tokens fed since it was cleared, as `[mixture layer][token][K]`.
#[derive(Debug, Default)]
pub struct Routes {
    layers: Vec<Vec<Vec<u16>>>,
    tokens: usize,
}

impl Routes {
    /// Adds a run of the graph on `tokens` tokens, `choices` by mixture layer. The last layers may be missing from a run
    /// that gives no logits; they chose nothing then.
    pub fn push(&mut self, tokens: usize, choices: Vec<Vec<Vec<u16>>>) {
        self.layers.resize(self.layers.len().max(choices.len()), vec![Vec::new(); self.tokens]);
        self.tokens += tokens;
        let mut choices = choices.into_iter();
        for layer in &mut self.layers {
            layer.extend(choices.next().unwrap_or_default());
            layer.resize(self.tokens, Vec::new());
        }
    }

    /// The routes, every layer with one set a token.
    #[must_use]
    pub fn layers(&self) -> &[Vec<Vec<u16>>] {
        &self.layers
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_sorted_and_ids_small() {
        assert_eq!(chosen([3, 1, 0, 2].into_iter(), 2), Some(vec![vec![1, 3], vec![0, 2]]));
        assert_eq!(chosen([1, -1].into_iter(), 2), None);
        assert_eq!(chosen([70_000].into_iter(), 1), None);
    }

    #[test]
    fn a_layer_left_out_chose_nothing() {
        let mut routes = Routes::default();
        routes.push(2, vec![vec![vec![0], vec![1]]]);
        routes.push(1, vec![vec![vec![2]], vec![vec![3]]]);
        routes.push(1, vec![]);
        let none: Vec<u16> = Vec::new();
        assert_eq!(routes.layers()[0], [vec![0], vec![1], vec![2], none.clone()]);
        assert_eq!(routes.layers()[1], [none.clone(), none.clone(), vec![3], none]);
        routes.clear();
        assert!(routes.layers().is_empty());
    }
}
