//! A graph that is not the model is told by place, whatever hides in the noise of quantization.

mod common;

use common::{Table, noise};
use lfmq_core::{Executor, Facts, Fault, Session};
use lfmq_verify::graph::compare;

const VOCAB: usize = 16;
const TOKENS: [u32; 12] = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8];

fn logits(p: usize, t: u32) -> Vec<f32> {
    (0..VOCAB).map(|v| 3.0 * noise((p * 977 + t as usize * 31 + v) as u64)).collect()
}

/// A model that shows three values on its way, the `n`th off by `errors[n]`.
struct Shown {
    table: Table,
    errors: [f32; 3],
    exact: bool,
}

impl Shown {
    fn new(off: f32, errors: [f32; 3]) -> Self {
        let table = Table::new(VOCAB, move |p, t| {
            logits(p, t).iter().enumerate().map(|(v, l)| l + off * noise(v as u64 * 7 + p as u64)).collect()
        });
        Self { table, errors, exact: true }
    }
}

impl Executor for Shown {
    fn facts(&self) -> &Facts {
        self.table.facts()
    }

    fn exact(&self) -> bool {
        self.exact
    }

    fn trace(&self, tokens: &[u32], seen: &mut dyn FnMut(&str, &[f32])) -> Result<bool, Fault> {
        for (layer, error) in self.errors.iter().enumerate() {
            let at = |i: usize| noise((layer * 7919 + i) as u64) + error * noise((i * 31 + layer) as u64);
            seen(&format!("step {layer}"), &(0..tokens.len() * 8).map(at).collect::<Vec<_>>());
        }
        Ok(true)
    }

    fn session(&self, positions: usize) -> Result<Box<dyn Session + '_>, Fault> {
        self.table.session(positions)
    }
}

#[test]
fn the_same_model_holds() {
    let model = Shown::new(0.0, [0.0; 3]);
    let report = compare(&model, &Shown::new(1e-4, [1e-6; 3]), &TOKENS).unwrap();
    assert!(report.holds() && report.finding().is_none() && report.parts.is_none(), "{report:?}");
    assert!(report.error > 1e-6 && report.error < 1e-4);
}

#[test]
fn the_first_place_that_differs_is_named() {
    let model = Shown::new(0.0, [0.0; 3]);
    let report = compare(&model, &Shown::new(0.1, [1e-5, 0.02, 0.5]), &TOKENS).unwrap();
    let finding = report.finding().unwrap();
    assert!(finding.contains("part at step 1 (nearest is `step 1`, off by 0.02)"), "{finding}");
    let head = compare(&model, &Shown::new(0.1, [1e-6; 3]), &TOKENS).unwrap();
    assert!(head.finding().unwrap().contains("the head"));
}

#[test]
fn a_graph_has_values_where_a_model_has_layers() {
    /// Token by token, under names of its own, with one more value of another width.
    struct Graph(Shown);
    impl Executor for Graph {
        fn facts(&self) -> &Facts {
            self.0.facts()
        }
        fn trace(&self, tokens: &[u32], seen: &mut dyn FnMut(&str, &[f32])) -> Result<bool, Fault> {
            let mut all: Vec<(String, Vec<f32>)> = Vec::new();
            self.0.trace(tokens, &mut |name, values| all.push((format!("node of {name}"), values.to_vec())))?;
            for t in 0..tokens.len() {
                all.iter().for_each(|(name, values)| seen(name, &values[8 * t..8 * (t + 1)]));
                seen("another", &[0.0; 24]);
            }
            Ok(true)
        }
        fn session(&self, positions: usize) -> Result<Box<dyn Session + '_>, Fault> {
            self.0.session(positions)
        }
    }
    let model = Shown::new(0.0, [0.0; 3]);
    let graph = Graph(Shown::new(0.1, [1e-5, 0.02, 0.5]));
    let finding = compare(&model, &graph, &TOKENS).unwrap().finding().unwrap();
    assert!(finding.contains("part at step 1 (nearest is `node of step 1`, off by 0.02)"), "{finding}");
    let layers = lfmq_verify::layers::measure(&model, &graph, &TOKENS).unwrap().unwrap();
    let noise: Vec<f64> = layers.iter().map(|l| l.sqnr_db.unwrap()).collect();
    assert!(layers.len() == 3 && layers[2].value.as_deref() == Some("node of step 2"), "{layers:?}");
    assert!(noise[0] > 90.0 && (noise[1] - 34.0).abs() < 3.0 && (noise[2] - 6.0).abs() < 3.0, "{noise:?}");
}

#[test]
fn rounding_spelled_out_in_the_graph_is_allowed_for() {
    let model = Shown::new(0.0, [0.0; 3]);
    let rounded = Shown { exact: false, ..Shown::new(0.1, [0.02; 3]) };
    assert!(compare(&model, &rounded, &TOKENS).unwrap().holds());
    assert!(!compare(&model, &Shown { exact: false, ..Shown::new(9.0, [0.02; 3]) }, &TOKENS).unwrap().holds());
}

#[test]
fn states_that_are_lost_show_in_pieces_only() {
    // The second feed begins at position 0 again.
    struct Forgets(Table);
    struct Feeds<'a>(Box<dyn Session + 'a>);
    impl Executor for Forgets {
        fn facts(&self) -> &Facts {
            self.0.facts()
        }
        fn session(&self, positions: usize) -> Result<Box<dyn Session + '_>, Fault> {
            Ok(Box::new(Feeds(self.0.session(positions)?)))
        }
    }
    impl Session for Feeds<'_> {
        fn feed(
            &mut self,
            tokens: &[u32],
            want: lfmq_core::Want,
            out: &mut Vec<f32>,
        ) -> Result<(), lfmq_core::ExecError> {
            self.0.reset();
            self.0.feed(tokens, want, out)
        }
        fn position(&self) -> usize {
            self.0.position()
        }
        fn reset(&mut self) {
            self.0.reset();
        }
    }
    let model = Shown::new(0.0, [0.0; 3]);
    let report = compare(&model, &Forgets(Table::new(VOCAB, logits)), &TOKENS).unwrap();
    assert!(report.error < 1e-6 && !report.holds(), "{report:?}");
    assert!(report.finding().unwrap().contains("the states are wrong"));
}
