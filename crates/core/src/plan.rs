use crate::{DType, Grid, TensorId};
use serde::Serialize;
use std::fmt;

/// The name of a scheme as users type it, e.g. `q4_k`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct SchemeId(pub &'static str);

impl fmt::Display for SchemeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.0)
    }
}

/// What will be done to one tensor.
#[derive(Clone, Debug, Serialize)]
pub struct TensorPlan {
    /// Which tensor.
    #[serde(skip)]
    pub id: TensorId,
    /// Its name in the checkpoint.
    pub name: String,
    /// Its shape `[rows, cols]`.
    pub shape: (usize, usize),
    /// Its type in the checkpoint.
    pub source: DType,
    /// The scheme that chooses its values.
    pub scheme: SchemeId,
    /// The grid the values lie on.
    pub grid: Grid,
    /// Why this scheme, in a few words.
    pub reason: String,
}

/// Where importance weights came from; some formats record it.
#[derive(Clone, Debug, Serialize)]
pub struct ImportanceSource {
    /// The path as typed.
    pub file: String,
    /// The first data set it names.
    pub dataset: Option<String>,
    /// Number of weights it covers.
    pub entries: u32,
    /// Number of chunks it was measured on.
    pub chunks: u32,
}

/// The plan of a whole model: `--dry-run` prints it and no weight is read to make it.
#[derive(Clone, Debug, Serialize)]
pub struct QuantPlan {
    /// The recipe's name, e.g. `Q4_K_M`.
    pub recipe: String,
    /// One entry a tensor, in the order of the source's tensors.
    pub tensors: Vec<TensorPlan>,
    /// Importance weights in use.
    pub importance: Option<ImportanceSource>,
}

/// Quantized rows of one tensor, on its grid; not a file's bit order.
#[derive(Clone, Debug, Default)]
pub struct QuantizedRows {
    /// Number of rows.
    pub rows: usize,
    /// Weights in a row.
    pub cols: usize,
    /// The values.
    pub payload: Payload,
}

/// The values of [`QuantizedRows`], row after row.
#[derive(Clone, Debug)]
pub enum Payload {
    /// [`Grid::Float`]: values already rounded to the float type.
    Float(Vec<f32>),
    /// [`Grid::Affine`] or [`Grid::Codebook`]: one code a weight, one scale (and bias or zero) a group.
    Codes {
        /// Codes within the grid's range, or indices into its table. int8 wide.
        codes: Vec<i8>,
        /// Scales, exactly representable in the grid's scale type.
        scales: Vec<f32>,
        /// Biases or integer zeros, as the grid's [`crate::Zero`] says; empty for `None`.
        zeros: Vec<f32>,
    },
    /// [`Grid::Opaque`]: blocks in the layout's own bytes.
    Blocks(Vec<u8>),
}

impl Default for Payload {
    fn default() -> Self {
        Self::Float(Vec::new())
    }
}
