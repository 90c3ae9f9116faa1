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
    /// The runtime of somebody else that computes here failed. The session is of no use until it is reset.
    #[error("{runtime}: {why}")]
    Runtime {
        /// Its name and version.
        runtime: String,
        /// What it says.
        why: String,
    },
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

    /// Whether tokens fed in several pieces give the bits they give in one. Not so where the arithmetic of the format
    /// looks at all tokens of a run at once.
    fn divisible(&self) -> bool {
        true
    }

    /// Whether with [`Activation::F32`] nothing but the weights is rounded. A graph may spell roundings out.
    fn exact(&self) -> bool {
        true
    }

    /// Runs `tokens` as a fresh sequence and shows values on the way to the logits, `[tokens, width]` each, with what they
    /// are called, each by a name of its own: an interpreter shows all floats that arise, a checkpoint its residual stream
    /// after each layer. What runs token by token shows each value as often, `[1, width]` at a time.
    /// `false`: it has none to show.
    ///
    /// # Errors
    /// Those of a session.
    fn trace(&self, tokens: &[u32], seen: &mut dyn FnMut(&str, &[f32])) -> Result<bool, Fault> {
        let _ = (tokens, seen);
        Ok(false)
    }

    /// A fresh sequence with room for `positions` tokens.
    ///
    /// # Errors
    /// When the caches cannot be made.
    fn session(&self, positions: usize) -> Result<Box<dyn Session + '_>, Fault>;
}

/// One tensor as an artifact stores it. A stack of experts is told apart into its experts.
///
/// Formats that hold a graph (ONNX, TFLite) know what is computed with a tensor but not what it is in the model. Their
/// readers leave `id` out and give the name; exporters name what they write after the checkpoint's tensors
/// ([`SourceTensor::name`](crate::SourceTensor::name), see also [`stack_name`]), and `verify` finds `id` by it.
#[derive(Clone, Debug, Serialize)]
pub struct StoredTensor {
    /// What it is; `None` where only the name can tell.
    #[serde(skip)]
    pub id: Option<TensorId>,
    /// Its name in the artifact, without what tells codes and scales apart: one tensor is one entry, however many
    /// pieces of the file hold it. In a format without `id` the checkpoint's name of it.
    pub name: String,
    /// The scheme or float type it is stored in, in the words of recipes, e.g. `q4_k`. Where a file tells no more than
    /// the grid, any scheme on that grid (`int4-g32-zp`, `int8-row`): `verify` tries all that share it.
    pub scheme: String,
    /// Number of rows.
    pub rows: usize,
    /// Weights in a row.
    pub cols: usize,
    /// Stored bytes.
    pub bytes: u64,
}

/// Name of a stack of tensors, given the names of its members: what all begin with, the differing middles in braces,
/// what all end with. A stack of `e.0.w1` and `e.1.w1` is `e.{0,1}.w1`. [`stack_members`] reads it back.
#[must_use]
pub fn stack_name(members: &[&str]) -> String {
    let Some((first, rest)) = members.split_first() else { return String::new() };
    let common = |same: &dyn Fn(&str, &str) -> usize| rest.iter().map(|m| same(first, m)).min().unwrap_or(0);
    let start = common(&|a, b| a.chars().zip(b.chars()).take_while(|(a, b)| a == b).map(|(c, _)| c.len_utf8()).sum());
    let shortest = members.iter().map(|m| m.len()).min().unwrap_or(0);
    let back = |a: &str, b: &str| -> usize {
        a.chars().rev().zip(b.chars().rev()).take_while(|(a, b)| a == b).map(|(c, _)| c.len_utf8()).sum()
    };
    let mut end = common(&back).min(shortest - start);
    while !first.is_char_boundary(first.len() - end) {
        end -= 1;
    }
    let middles: Vec<&str> = members.iter().map(|m| &m[start..m.len() - end]).collect();
    format!("{}{{{}}}{}", &first[..start], middles.join(","), &first[first.len() - end..])
}

/// The members of a stack by its name, in order; a name without braces stands for itself.
#[must_use]
pub fn stack_members(name: &str) -> Vec<String> {
    let parts = name.split_once('{').and_then(|(head, rest)| Some((head, rest.split_once('}')?)));
    match parts {
        None => vec![name.to_owned()],
        Some((head, (middles, tail))) => middles.split(',').map(|m| format!("{head}{m}{tail}")).collect(),
    }
}

/// The weights of an artifact as the values they stand for.
pub trait Weights: Sync {
    /// All tensors that the artifact computes with. What merely lies in the file is none.
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

#[cfg(test)]
mod tests {
    use super::{stack_members, stack_name};

    #[test]
    fn stacks_are_named_after_their_members() {
        for (members, name) in [
            (vec!["e.0.w1", "e.1.w1"], "e.{0,1}.w1"),
            (vec!["e.0.w1", "e.0.w3", "e.1.w1", "e.1.w3", "e.10.w1"], "e.{0.w1,0.w3,1.w1,1.w3,10.w1}"),
            (vec!["aa", "aaa"], "aa{,a}"),
            (vec!["één", "één2"], "één{,2}"),
        ] {
            assert_eq!(stack_name(&members), name);
            assert_eq!(stack_members(name), members);
        }
        assert_eq!(stack_members("plain.weight"), ["plain.weight"]);
        assert_eq!(stack_members("open{brace"), ["open{brace"]);
        assert_eq!(stack_members(&stack_name(&["one"])), ["one"]);
    }
}
