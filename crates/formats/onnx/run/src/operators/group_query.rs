//! `com.microsoft` GroupQueryAttention: cache, rotation and causal attention in one node.

use super::attend::{Score, attend};
use super::layout::size;
use super::node::{Context, Inputs, Node, Run, many};
use super::rotary::Tables;
use crate::tensor::{Tensor, Why, elements};
use lfmq_ops::norm::rms_norm;
use rayon::prelude::*;

/// Query heads, at most.
const MOST_HEADS: usize = 1 << 16;

struct GroupQuery {
    heads: usize,
    kv_heads: usize,
    scale: f32,
    softcap: f32,
    rotate: bool,
    interleaved: bool,
    /// Keys that a query sees before its own; negative for all.
    window: i64,
    norm_epsilon: f32,
}

pub(super) fn build(node: &mut Node<'_>) -> Result<Run, Why> {
    node.only("smooth_softmax", 0)?;
    node.only("kv_cache_bit_width", 0)?;
    node.only("qk_output", 0)?;
    node.only("causal", 1)?;
    node.only("sliding_window_cache", 0)?;
    node.without(&[10, 11, 12, 13])?;
    let op = GroupQuery {
        heads: node.size("num_heads", None)?,
        kv_heads: node.size("kv_num_heads", None)?,
        scale: node.float("scale", 0.0)?,
        softcap: node.float("softcap", 0.0)?,
        rotate: node.int("do_rotary", 0)? != 0,
        interleaved: node.int("rotary_interleaved", 0)? != 0,
        window: node.int("local_window_size", -1)?,
        norm_epsilon: node.float("qk_norm_epsilon", 1e-6)?,
    };
    if op.kv_heads == 0 || op.heads == 0 || op.heads > MOST_HEADS || !op.heads.is_multiple_of(op.kv_heads) {
        return Err(format!("{} query heads over {} key heads", op.heads, op.kv_heads));
    }
    if op.rotate {
        node.positions = node.constant(7).and_then(|c| c.shape().first().copied());
    }
    many(move |inputs, context| op.run(inputs, context))
}

/// One side of the cache while it grows: `[B, kv_heads, T, D]`.
struct Cache {
    values: Vec<f32>,
    length: usize,
}

impl GroupQuery {
    fn run(&self, mut inputs: Inputs, context: &Context) -> Result<Vec<Tensor>, Why> {
        let query = inputs.take(0)?;
        let kind = query.kind();
        let [b, s, width] = *query.shape else { return Err(format!("queries of shape {:?}", query.shape)) };
        let packed = inputs.opt(1).is_none();
        let parts = if packed { self.heads + 2 * self.kv_heads } else { self.heads };
        let d = width / parts;
        if d == 0 || width != parts * d {
            return Err(format!("queries of width {width} for {parts} heads"));
        }
        let (mut q, mut k, v) = if packed {
            let all = query.into_floats()?;
            let part = |from: usize, heads: usize| -> Vec<f32> {
                all.chunks_exact(width).flat_map(|t| &t[from * d..(from + heads) * d]).copied().collect()
            };
            (part(0, self.heads), part(self.heads, self.kv_heads), part(self.heads + self.kv_heads, self.kv_heads))
        } else {
            let (k, v) = (inputs.take(1)?, inputs.take(2)?);
            if k.shape != [b, s, self.kv_heads * d] || v.shape != k.shape {
                return Err(format!("keys {:?} and values {:?} for queries {:?}", k.shape, v.shape, query.shape));
            }
            (query.into_floats()?, k.into_floats()?, v.into_floats()?)
        };

        let (ends, total) =
            (inputs.get(5)?.ints()?.into_owned(), size(inputs.get(6)?.int()?, "total_sequence_length")?);
        if ends.len() != b {
            return Err(format!("{} lengths for a batch of {b}", ends.len()));
        }
        // Tokens that row `i` of the batch has seen before these. In a prompt shorter rows are padded on the right.
        let before: Vec<usize> = ends
            .iter()
            .map(|end| {
                if total == s { Ok(0) } else { size(end.saturating_add(1).saturating_sub(s as i64), "a length before") }
            })
            .collect::<Result<_, _>>()?;
        for (norm, x) in [(14, &mut q), (15, &mut k)] {
            if let Some(weight) = inputs.opt(norm) {
                if weight.len() != d {
                    return Err(format!("a norm of {:?} for heads of {d}", weight.shape));
                }
                rms_norm(x, &weight.floats()?, self.norm_epsilon, context.kernels);
            }
        }
        if self.rotate {
            self.turn(&inputs, &mut q, (self.heads, s, d), &before)?;
            self.turn(&inputs, &mut k, (self.kv_heads, s, d), &before)?;
        }
        let shape = (b, s, d, total);
        let keys = self.grow(inputs.take(3).ok(), &k, shape, &before, context.limit)?;
        let values = self.grow(inputs.take(4).ok(), &v, shape, &before, context.limit)?;
        let out = self.attend(&q, &keys, &values, (b, s, d), &before, context)?;
        let cache = |c: Cache| Tensor::floats_of(kind, vec![b, self.kv_heads, c.length, d], c.values);
        Ok(vec![Tensor::floats_of(kind, vec![b, s, self.heads * d], out), cache(keys), cache(values)])
    }

    /// Rotates all heads of `x [B, S, heads * D]`.
    fn turn(
        &self,
        inputs: &Inputs,
        x: &mut [f32],
        (heads, s, d): (usize, usize, usize),
        before: &[usize],
    ) -> Result<(), Why> {
        let (cos, sin) = (inputs.get(7)?, inputs.get(8)?);
        let floats = (cos.floats()?, sin.floats()?);
        let tables = Tables::new(&floats.0, &floats.1, &cos.shape, d)?;
        let ids = inputs.opt(9).map(Tensor::ints).transpose()?;
        for (i, token) in x.chunks_exact_mut(heads * d).enumerate() {
            let position = match ids.as_ref().and_then(|ids| ids.get(i)) {
                Some(id) => size(*id, "a position")?,
                None => before[i / s] + i % s,
            };
            token.chunks_exact_mut(d).try_for_each(|head| tables.turn(head, position, self.interleaved))?;
        }
        Ok(())
    }

    /// The cache `past [B, kv_heads, P, D]` with the heads of `new [B, S, kv_heads * D]` behind what each row has seen.
    fn grow(
        &self,
        past: Option<Tensor>,
        new: &[f32],
        (b, s, d, total): (usize, usize, usize, usize),
        before: &[usize],
        limit: usize,
    ) -> Result<Cache, Why> {
        let (kept, p) = match &past {
            None => (None, 0),
            Some(past) => match *past.shape {
                // An empty cache may leave its width open.
                [_, _, 0, _] => (None, 0),
                [pb, heads, p, pd] if (pb, heads, pd) == (b, self.kv_heads, d) => (Some(past.floats()?), p),
                _ => return Err(format!("a cache of {:?} for a batch of {b} with heads of {d}", past.shape)),
            },
        };
        let length = total.max(p);
        if let Some(seen) = before.iter().find(|seen| **seen > p || **seen + s > length) {
            return Err(format!("{s} tokens after {seen} in a cache of {p} that grows to {length}"));
        }
        let mut values = vec![0.0; elements(&[b, self.kv_heads, length, d], limit)?];
        for (i, to) in values.chunks_exact_mut((length * d).max(1)).enumerate() {
            let (row, head) = (i / self.kv_heads, i % self.kv_heads);
            if let Some(kept) = &kept {
                to[..p * d].copy_from_slice(&kept[i * p * d..(i + 1) * p * d]);
            }
            for t in 0..s {
                let from = ((row * s + t) * self.kv_heads + head) * d;
                to[(before[row] + t) * d..][..d].copy_from_slice(&new[from..from + d]);
            }
        }
        Ok(Cache { values, length })
    }

    fn attend(
        &self,
        q: &[f32],
        keys: &Cache,
        values: &Cache,
        (b, s, d): (usize, usize, usize),
        before: &[usize],
        context: &Context,
    ) -> Result<Vec<f32>, Why> {
        let scale = if self.scale == 0.0 { 1.0 / (d as f32).sqrt() } else { self.scale };
        let score = Score { scale, softcap: self.softcap };
        let group = self.heads / self.kv_heads;
        let task = |index: usize| {
            let (row, head) = (index / self.heads, index % self.heads);
            let from = |t: usize| ((row * s + t) * self.heads + head) * d;
            let queries: Vec<f32> = (0..s).flat_map(|t| &q[from(t)..from(t) + d]).copied().collect();
            let at = (row * self.kv_heads + head / group) * keys.length * d;
            let visible = |t: usize| {
                let end = before[row] + t + 1;
                let start = if self.window >= 0 { end.saturating_sub(self.window as usize) } else { 0 };
                start..end
            };
            let (k, v) = (&keys.values[at..][..keys.length * d], &values.values[at..][..keys.length * d]);
            let mut out = vec![0.0; s * d];
            attend(score, &queries, k, v, (d, d), visible, |_| None, context.kernels, &mut out);
            out
        };
        let parts: Vec<Vec<f32>> = (0..b * self.heads).into_par_iter().map(task).collect();
        let mut out = vec![0.0; q.len()];
        for (index, part) in parts.iter().enumerate() {
            let (row, head) = (index / self.heads, index % self.heads);
            for (t, piece) in part.chunks_exact(d).enumerate() {
                out[((row * s + t) * self.heads + head) * d..][..d].copy_from_slice(piece);
            }
        }
        Ok(out)
    }
}
