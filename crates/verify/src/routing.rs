//! Which rule the routers of an artifact follow, told by what it says: for formats that hold a graph and no rule.
//!
//! A wrong rule is a small change of every layer, and below the noise of coarse grids where only the drift is looked at.
//! But models that make the known mistakes can be run too. Quantization keeps an artifact away from all of
//! them alike, so it is nearest to the one whose rule it follows.

use crate::metrics::score;
use crate::{Side, SpecDifference, drift};
use lfmq_core::{Executor, Fault, Want};
use rayon::prelude::*;

/// Tokens that are looked at.
const TOKENS: usize = 128;
/// Share of the positions at which a mistake must explain the artifact better than the checkpoint does. Half of them
/// would be chance; with 128 positions this is six standard deviations from it.
const PROVEN: f64 = 0.77;

/// A mistake to look for.
pub struct Suspect<'a> {
    /// What it would be called.
    pub difference: SpecDifference,
    /// A model that makes it.
    pub model: Box<dyn Executor + 'a>,
}

/// The mistake that `candidate` makes on the first of `tokens`, if it is proven to make one of `suspects`.
///
/// # Errors
/// Those of the executors; logits that are not finite.
pub fn diagnose(
    yardstick: &dyn Executor,
    candidate: &dyn Executor,
    suspects: &[Suspect<'_>],
    tokens: &[u32],
) -> Result<Option<SpecDifference>, Fault> {
    let tokens = &tokens[..tokens.len().min(TOKENS)];
    let said = logits(candidate, Side::Candidate, tokens)?;
    let vocab = candidate.facts().vocab.max(1);
    let distances = |model: &dyn Executor| -> Result<Vec<f64>, Fault> {
        let base = logits(model, Side::Yardstick, tokens)?;
        let pairs = base.par_chunks_exact(vocab).zip(said.par_chunks_exact(vocab));
        Ok(pairs.map(|(base, said)| score(base, said, 0).kld).collect())
    };
    let right = distances(yardstick)?;
    let sum = |of: &[f64]| of.iter().sum::<f64>();
    let mut best: Option<(f64, &SpecDifference)> = None;
    for suspect in suspects {
        let wrong = distances(suspect.model.as_ref())?;
        let nearer = wrong.iter().zip(&right).filter(|(wrong, right)| wrong < right).count();
        let proven = nearer as f64 >= PROVEN * right.len() as f64 && sum(&wrong) < sum(&right);
        if proven && best.is_none_or(|(least, _)| sum(&wrong) < least) {
            best = Some((sum(&wrong), &suspect.difference));
        }
    }
    Ok(best.map(|(_, difference)| difference.clone()))
}

/// Logits `[tokens, vocab]`.
fn logits(model: &dyn Executor, side: Side, tokens: &[u32]) -> Result<Vec<f32>, Fault> {
    let mut out = Vec::new();
    model.session(tokens.len())?.feed(tokens, Want::All, &mut out)?;
    drift::check(&out, side, (tokens.len(), model.facts().vocab), (0, 0))?;
    Ok(out)
}
