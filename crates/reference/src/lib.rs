//! Runs a checkpoint in f32: the yardstick that every artifact is measured against.
//!
//! Matrices are read from the [`TensorSource`] a panel of rows at a time while they are used, so no copy of the
//! model lies in memory; norms, taps and biases are loaded once. The forward pass is `lfmq-ops`'s.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

mod ahead;
mod build;
mod error;
mod misrouting;
mod streamed;

pub use ahead::Ahead;
pub use error::ReferenceError;
pub use misrouting::Misrouting;
pub use streamed::Streamed;

use lfmq_core::{Activation, Executor, Facts, Family, Fault, ModelSpec, Session, TensorSource};
use lfmq_kernels::Kernels;
use lfmq_ops::Decoder;

/// A checkpoint that can be run.
pub struct Reference<'a> {
    source: &'a dyn TensorSource,
    decoder: Decoder<'a>,
    facts: Facts,
}

impl<'a> Reference<'a> {
    /// Builds the forward pass over `source`. Reads norms, taps and biases, no matrix.
    ///
    /// # Errors
    /// When a tensor is missing, has another shape than the model's, or cannot be read.
    pub fn open(source: &'a dyn TensorSource, kernels: &'static Kernels) -> Result<Self, ReferenceError> {
        let decoder = build::decoder(source, kernels, |routing| routing)?;
        Ok(Self { source, decoder, facts: facts(source, kernels) })
    }

    /// The same with a mistake in every router: what an artifact that makes it would say.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn misrouted(
        source: &'a dyn TensorSource,
        kernels: &'static Kernels,
        mistake: Misrouting,
    ) -> Result<Self, ReferenceError> {
        let decoder = build::decoder(source, kernels, mistake.rule())?;
        Ok(Self { source, decoder, facts: facts(source, kernels) })
    }

    /// The forward pass, for walking it layer by layer.
    #[must_use]
    pub fn decoder(&self) -> &Decoder<'a> {
        &self.decoder
    }
}

impl Executor for Reference<'_> {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn spec(&self) -> Option<&ModelSpec> {
        Some(self.source.spec())
    }

    fn trace(&self, tokens: &[u32], seen: &mut dyn FnMut(&str, &[f32])) -> Result<bool, Fault> {
        self.decoder.trace(tokens, seen)?;
        Ok(true)
    }

    fn session(&self, positions: usize) -> Result<Box<dyn Session + '_>, Fault> {
        Ok(Box::new(self.decoder.session(positions)))
    }
}

fn facts(source: &dyn TensorSource, kernels: &Kernels) -> Facts {
    let spec = source.spec();
    let family = match spec.family {
        Family::Lfm2 => "lfm2",
        Family::Lfm2Moe => "lfm2moe",
    };
    let bytes = source.tensors().iter().map(|t| t.rows as u64 * t.cols as u64 * t.dtype.size() as u64);
    Facts {
        what: format!("checkpoint {family}"),
        vocab: spec.vocab,
        layers: spec.layers.len(),
        context: spec.max_positions,
        weight_bytes: bytes.sum(),
        parameters: spec.parameters(),
        activation: Activation::F32,
        rung: kernels.name,
        threads: rayon::current_num_threads(),
        experts: spec.moe.as_ref().map_or(0, |m| m.experts),
    }
}
