//! Rotary position embedding from tables of cosines and sines.

use super::layout;
use super::node::{Inputs, Node, Run, one};
use crate::tensor::{Tensor, Why};

/// Turns the first `2 * cos.len()` elements of a head: pairs are element `i` and `i + half`, or, interleaved, `2i` and `2i + 1`.
pub(super) fn turn(head: &mut [f32], cos: &[f32], sin: &[f32], interleaved: bool) {
    let half = cos.len();
    for (i, (cos, sin)) in cos.iter().zip(sin).enumerate() {
        let (a, b) = if interleaved { (2 * i, 2 * i + 1) } else { (i, i + half) };
        let (x, y) = (head[a], head[b]);
        (head[a], head[b]) = (x * cos - y * sin, y * cos + x * sin);
    }
}

/// Tables `[positions, half]`.
pub(super) struct Tables<'t> {
    cos: &'t [f32],
    sin: &'t [f32],
    half: usize,
}

impl<'t> Tables<'t> {
    pub fn new(cos: &'t [f32], sin: &'t [f32], shape: &[usize], head: usize) -> Result<Self, Why> {
        match shape {
            [.., half] if 2 * half <= head && cos.len() == sin.len() => Ok(Self { cos, sin, half: *half }),
            _ => Err(format!("rotary tables {shape:?} for heads of {head}")),
        }
    }

    /// Turns `head` as at `position`.
    pub fn turn(&self, head: &mut [f32], position: usize, interleaved: bool) -> Result<(), Why> {
        let span = position.saturating_mul(self.half)..position.saturating_add(1).saturating_mul(self.half);
        let rows = self.cos.get(span.clone()).zip(self.sin.get(span));
        let (cos, sin) = rows.ok_or_else(|| format!("position {position} is beyond the rotary tables"))?;
        turn(head, cos, sin, interleaved);
        Ok(())
    }
}

/// ONNX RotaryEmbedding (opset 23): X, cos, sin, position ids.
pub(super) fn standard(node: &mut Node<'_>) -> Result<Run, Why> {
    build(node, [1, 2, 3])
}

/// `com.microsoft` RotaryEmbedding: X, position ids, cos, sin.
pub(super) fn contrib(node: &mut Node<'_>) -> Result<Run, Why> {
    build(node, [2, 3, 1])
}

fn build(node: &mut Node<'_>, [cos, sin, ids]: [usize; 3]) -> Result<Run, Why> {
    let interleaved = node.int("interleaved", node.int("rotary_interleaved", 0)?)? != 0;
    let (heads, dim) = (node.size("num_heads", Some(0))?, node.size("rotary_embedding_dim", Some(0))?);
    one(move |mut inputs: Inputs, _| {
        let x = inputs.take(0)?;
        let (kind, shape) = (x.kind(), x.shape.clone());
        // [B, N, S, D] has heads outside of tokens, [B, S, N * D] inside.
        let (b, n, s, d, outside) = match *shape {
            [b, n, s, d] => (b, n, s, d, true),
            [b, s, width] if heads > 0 && width % heads == 0 => (b, heads, s, width / heads, false),
            [b, s, width] if dim == 0 && inputs.get(cos)?.shape.last().is_some_and(|h| *h > 0) => {
                let d = 2 * inputs.get(cos)?.shape.last().copied().unwrap_or(1);
                (b, width / d, s, d, false)
            }
            _ => return Err(format!("rotation of {shape:?} with {heads} heads")),
        };
        if n * d * b * s != x.len() {
            return Err(format!("rotation of {shape:?} with heads of {d}"));
        }
        let (cos, sin) = (inputs.get(cos)?, inputs.get(sin)?);
        let (table, table_shape) = ((cos.floats()?, sin.floats()?), cos.shape.clone());
        let tables = Tables::new(&table.0, &table.1, &table_shape, d)?;
        let ids = inputs.opt(ids).map(Tensor::ints).transpose()?;
        let position = |batch: usize, token: usize| match ids.as_deref() {
            // Without ids the tables have a row for each token: [B, S, half].
            None => Ok(batch * s + token),
            Some([first]) => layout::size(first.saturating_add(token as i64), "a position"),
            Some(ids) => {
                let id = ids.get(batch * s + token).ok_or_else(|| format!("{} positions for {b} x {s}", ids.len()))?;
                layout::size(*id, "a position")
            }
        };
        let mut values = x.into_floats()?;
        for (i, head) in values.chunks_exact_mut(d.max(1)).enumerate() {
            let (batch, token) = if outside { (i / (n * s), i % s) } else { (i / (s * n), i / n % s) };
            tables.turn(head, position(batch, token)?, interleaved)?;
        }
        Ok(Tensor::floats_of(kind, shape, values))
    })
}
