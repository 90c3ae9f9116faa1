//! Models of which there is nothing but the shape.

use lfmq_core::{DType, ModelSpec, SourceError, SourceTensor, TensorId, TensorSource};
use std::ops::Range;

/// A model whose weights cannot be read: whoever plans an export must not want to.
pub struct Hollow {
    spec: ModelSpec,
    /// All tensors of the shape, in its order; free to be spoiled.
    pub tensors: Vec<SourceTensor>,
}

impl Hollow {
    /// The model of `spec` with tensors called by `name`.
    #[must_use]
    pub fn new(spec: ModelSpec, name: impl Fn(TensorId) -> String) -> Self {
        let tensor = |(id, (rows, cols))| SourceTensor { id, name: name(id), shard: 0, dtype: DType::BF16, rows, cols };
        let tensors = spec.tensors().into_iter().map(tensor).collect();
        Self { spec, tensors }
    }
}

impl TensorSource for Hollow {
    fn spec(&self) -> &ModelSpec {
        &self.spec
    }

    fn name(&self) -> &str {
        "hollow"
    }

    fn tensors(&self) -> &[SourceTensor] {
        &self.tensors
    }

    fn read_rows(&self, _: usize, _: Range<usize>, _: &mut [f32]) -> Result<(), SourceError> {
        panic!("a plan reads no weight")
    }

    fn sidecar(&self, _: &str) -> Option<&[u8]> {
        None
    }
}
