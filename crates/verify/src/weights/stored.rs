//! An artifact's stored values in the place of the checkpoint's.

use super::identify;
use lfmq_core::{ModelSpec, SourceError, SourceTensor, TensorSource, Weights};
use std::ops::Range;

/// A checkpoint whose every tensor has the values an artifact stores.
pub struct StoredValues<'a> {
    source: &'a dyn TensorSource,
    weights: &'a dyn Weights,
    /// For each tensor of the checkpoint where it is in the artifact.
    places: Vec<usize>,
}

impl<'a> StoredValues<'a> {
    /// `None` unless the artifact stores every tensor of the checkpoint, in its shape.
    #[must_use]
    pub fn new(weights: &'a dyn Weights, source: &'a dyn TensorSource) -> Option<Self> {
        let stored = identify(weights.tensors(), source);
        let place =
            |t: &SourceTensor| stored.iter().position(|s| s.id == Some(t.id) && (s.rows, s.cols) == (t.rows, t.cols));
        let places = source.tensors().iter().map(place).collect::<Option<_>>()?;
        Some(Self { source, weights, places })
    }
}

impl TensorSource for StoredValues<'_> {
    fn spec(&self) -> &ModelSpec {
        self.source.spec()
    }

    fn name(&self) -> &str {
        self.source.name()
    }

    fn tensors(&self) -> &[SourceTensor] {
        self.source.tensors()
    }

    fn read_rows(&self, index: usize, rows: Range<usize>, out: &mut [f32]) -> Result<(), SourceError> {
        self.weights.read_rows(self.places[index], rows, out).map_err(|fault| SourceError {
            path: self.source.name().into(),
            tensor: self.source.tensors()[index].name.clone(),
            why: fault.to_string(),
        })
    }

    fn sidecar(&self, name: &str) -> Option<&[u8]> {
        self.source.sidecar(name)
    }
}
