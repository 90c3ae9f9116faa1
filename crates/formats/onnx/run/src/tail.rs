//! The end of a graph that computes each token's logits from that token alone: it needs no other tokens than those whose
//! logits are wanted.

use crate::ready::{Draft, Draw};
use std::collections::BTreeSet;

/// Which of the `needed` steps lead to the first of `results` only, each by row: what enters them may be cut to the rows
/// wanted.
pub(crate) fn tail(steps: &[Draft], needed: &[bool], results: &[usize]) -> Vec<bool> {
    let mut tail = vec![false; steps.len()];
    let Some((logits, states)) = results.split_first() else { return tail };
    // Values that steps outside the tail read.
    let mut elsewhere: BTreeSet<usize> = states.iter().copied().collect();
    let mut inside = BTreeSet::from([*logits]);
    for (i, step) in steps.iter().enumerate().rev().filter(|(i, _)| needed.get(*i) == Some(&true)) {
        let outputs = || step.outputs.iter().flatten();
        let values = step.inputs.iter().filter_map(|d| if let Draw::Value(v) = d { Some(*v) } else { None });
        if step.by_row && outputs().all(|v| !elsewhere.contains(v)) && outputs().any(|v| inside.contains(v)) {
            inside.extend(values);
            if let Some(tail) = tail.get_mut(i) {
                *tail = true;
            }
        } else {
            elsewhere.extend(values);
        }
    }
    tail
}
