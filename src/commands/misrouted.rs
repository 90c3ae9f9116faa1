//! Looks for the known mistakes in the routers of an artifact that does not say which rule they follow.

use crate::registry::rung;
use lfmq_checkpoint::Checkpoint;
use lfmq_core::{Executor, Fault, TensorSource};
use lfmq_reference::{Misrouting, Reference};
use lfmq_verify::routing::{Suspect, diagnose};
use lfmq_verify::{SpecDifference, Windows};

/// The mistake that `candidate` makes, if it makes one.
///
/// # Errors
/// Those of the executors.
pub fn misrouted(
    checkpoint: &Checkpoint,
    yardstick: &dyn Executor,
    candidate: &dyn Executor,
    windows: &Windows,
) -> Result<Option<SpecDifference>, Fault> {
    let (Some(moe), Some(tokens)) = (&checkpoint.spec().moe, windows.iter().next()) else { return Ok(None) };
    let mut suspects = Vec::new();
    for mistake in Misrouting::possible(moe) {
        let [field, expected, found] = mistake.words(moe);
        let model = Box::new(Reference::misrouted(checkpoint, rung(), mistake).map_err(Fault::from)?);
        suspects.push(Suspect { difference: SpecDifference { field, expected, found }, model });
    }
    diagnose(yardstick, candidate, &suspects, tokens)
}
