use crate::{DType, ModelSpec, TensorId};
use std::ops::Range;
use std::path::PathBuf;

/// One tensor a checkpoint holds.
#[derive(Clone, Debug)]
pub struct SourceTensor {
    /// What it is.
    pub id: TensorId,
    /// Its name on disk. An expert cut out of a fused tensor has the name it has in a per-expert checkpoint.
    pub name: String,
    /// Index of the file it lies in, files sorted by name.
    pub shard: usize,
    /// Its type on disk.
    pub dtype: DType,
    /// Number of rows; 1 for a vector.
    pub rows: usize,
    /// Weights in a row.
    pub cols: usize,
}

/// A reading error below a [`TensorSource`].
#[derive(Debug, thiserror::Error)]
#[error("cannot read tensor `{tensor}` of {path}: {why}")]
pub struct SourceError {
    /// The file.
    pub path: PathBuf,
    /// The tensor.
    pub tensor: String,
    /// What happened.
    pub why: String,
}

/// The weights of a checkpoint by index, a few rows at a time; nothing is read before it is asked for.
pub trait TensorSource: Sync {
    /// The model's shape.
    fn spec(&self) -> &ModelSpec;

    /// The name of the folder or repository, e.g. `LFM2-1.2B`.
    fn name(&self) -> &str;

    /// All tensors of the model, sorted by (shard, name on disk). Exactly the set of [`ModelSpec::tensors`].
    fn tensors(&self) -> &[SourceTensor];

    /// Rows `rows` of tensor `index` as f32 `[rows, cols]` into `out`.
    ///
    /// # Errors
    /// When the file under the tensor cannot be read or `rows` or `out` do not fit the shape.
    fn read_rows(&self, index: usize, rows: Range<usize>, out: &mut [f32]) -> Result<(), SourceError>;

    /// A small file found beside the weights (`config.json`, `tokenizer.json`, `LICENSE`, …), as it is.
    fn sidecar(&self, name: &str) -> Option<&[u8]>;

    /// Position of `id` in [`Self::tensors`].
    fn find(&self, id: TensorId) -> Option<usize> {
        self.tensors().iter().position(|t| t.id == id)
    }
}
