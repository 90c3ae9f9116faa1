use crate::{Fault, ModelSpec, SourceError, TensorId};
use serde::Serialize;
use std::ops::Range;

/// Arithmetic used for activations inside an executor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Activation {
    /// Activations stay in f32: the drift is that of the weights alone.
    #[default]
    F32,
    /// What the target's runtime does with this artifact (for GGUF: Q8_0 or Q8_K blocks per weight type).
    Runtime,
}

/// What an executor knows about the artifact it opened.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Facts {
    /// Format and architecture, e.g. `gguf lfm2moe`.
    pub what: String,
    /// Rows of the logits.
    pub vocab: usize,
    /// Layers.
    pub layers: usize,
    /// Positions it was made for.
    pub context: usize,
    /// Bytes of all weights as stored.
    pub weight_bytes: u64,
    /// Number of weights.
    pub parameters: u64,
    /// Activation arithmetic in use.
    pub activation: Activation,
    /// Kernel rung in use, e.g. `avx2`.
    pub rung: &'static str,
    /// Threads in use.
    pub threads: usize,
    /// Experts per mixture layer, 0 for a dense model.
    pub experts: usize,
}

/// An error while executing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExecError {
    /// A token id that the model has no row for.
    #[error("token {token} is outside the vocabulary of {vocab}")]
    Token {
        /// The token.
        token: u32,
        /// Rows of the embedding.
        vocab: usize,
    },
    /// More positions than the caches were made for.
    #[error("position {position} is past the session's limit of {limit}")]
    Full {
        /// The first position that does not fit.
        position: usize,
        /// The limit.
        limit: usize,
    },
    /// A weight could not be read while running. The session is of no use until it is reset.
    #[error(transparent)]
    Read(#[from] SourceError),
}

/// For which of the fed positions logits are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// None: only the caches move.
    Nothing,
    /// The last position.
    Last,
    /// Every position.
    All,
    /// The positions from this index of the fed slice on.
    From(usize),
}

/// An opened artifact or checkpoint that can be run.
pub trait Executor: Send + Sync {
    /// What it is.
    fn facts(&self) -> &Facts;

    /// The model's shape as the artifact's own metadata tells it; `None` where a format holds only a graph.
    fn spec(&self) -> Option<&ModelSpec> {
        None
    }

    /// The stored weights by role, where the format can tell roles.
    fn weights(&self) -> Option<&dyn Weights> {
        None
    }

    /// A fresh sequence with room for `positions` tokens.
    ///
    /// # Errors
    /// When the caches cannot be made.
    fn session(&self, positions: usize) -> Result<Box<dyn Session + '_>, Fault>;
}

/// One tensor as an artifact stores it. A stack of experts is told apart into its experts.
#[derive(Clone, Debug, Serialize)]
pub struct StoredTensor {
    /// What it is.
    #[serde(skip)]
    pub id: TensorId,
    /// Its name in the artifact.
    pub name: String,
    /// The scheme or float type it is stored in, in the words of recipes, e.g. `q4_k`.
    pub scheme: String,
    /// Number of rows.
    pub rows: usize,
    /// Weights in a row.
    pub cols: usize,
    /// Stored bytes.
    pub bytes: u64,
}

/// The weights of an artifact as the values they stand for.
pub trait Weights: Sync {
    /// All tensors.
    fn tensors(&self) -> &[StoredTensor];

    /// Rows `rows` of tensor `index` decoded to f32 `[rows, cols]`.
    ///
    /// # Errors
    /// When `rows` or `out` do not fit the shape.
    fn read_rows(&self, index: usize, rows: Range<usize>, out: &mut [f32]) -> Result<(), Fault>;
}

/// One sequence: feed tokens, get logits.
pub trait Session: Send {
    /// Runs `tokens` after those fed before and appends the wanted logits, `[wanted, vocab]`, to `out`.
    ///
    /// # Errors
    /// A token outside the vocabulary, or no room left. The session is unchanged then.
    fn feed(&mut self, tokens: &[u32], want: Want, out: &mut Vec<f32>) -> Result<(), ExecError>;

    /// Tokens fed so far.
    fn position(&self) -> usize;

    /// Back to an empty sequence.
    fn reset(&mut self);

    /// Experts chosen for the tokens of the last `feed`, as `[mixture layer][token][K]` ids in ascending order;
    /// empty for a dense model.
    fn routes(&self) -> &[Vec<Vec<u16>>] {
        &[]
    }
}
