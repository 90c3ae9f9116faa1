//! ONNX Attention (opset 23 and 24).

use super::attend::{Score, attend};
use super::concat::concat;
use super::layout::gather_strided;
use super::layout::{broadcast, broadcast_strides};
use super::node::{Context, Inputs, Node, Run, many};
use crate::tensor::{Kind, Tensor, Why};
use rayon::prelude::*;

struct Attention {
    q_heads: usize,
    kv_heads: usize,
    causal: bool,
    scale: f32,
    softcap: f32,
}

pub(super) fn build(node: &mut Node<'_>) -> Result<Run, Why> {
    node.without(&[6])?;
    if node.wants(3) {
        return Err("output 3 is not supported".into());
    }
    let op = Attention {
        q_heads: node.size("q_num_heads", Some(0))?,
        kv_heads: node.size("kv_num_heads", Some(0))?,
        causal: node.int("is_causal", 0)? != 0,
        scale: node.float("scale", 0.0)?,
        softcap: node.float("softcap", 0.0)?,
    };
    many(move |inputs, context| op.run(inputs, context))
}

/// `[B, S, N * D]` as `[B, N, S, D]`; four dimensions stay as they are.
fn by_heads(x: Tensor, heads: usize) -> Result<Tensor, Why> {
    match *x.shape {
        [_, _, _, _] => Ok(x),
        [b, s, width] if heads > 0 && width % heads == 0 => {
            super::transpose::permute(&x.reshaped(vec![b, s, heads, width / heads])?, &[0, 2, 1, 3])
        }
        _ => Err(format!("attention over {:?} with {heads} heads", x.shape)),
    }
}

impl Attention {
    fn run(&self, mut inputs: Inputs, context: &Context) -> Result<Vec<Tensor>, Why> {
        let q = inputs.take(0)?;
        let (flat, kind) = (q.shape.len() == 3, q.kind());
        let q = by_heads(q, self.q_heads)?;
        let (mut k, mut v) = (by_heads(inputs.take(1)?, self.kv_heads)?, by_heads(inputs.take(2)?, self.kv_heads)?);
        let mut past = 0;
        if let (Ok(keys), Ok(values)) = (inputs.take(4), inputs.take(5)) {
            past = keys.shape.get(2).copied().unwrap_or(0);
            k = concat(vec![keys, k], 2, context.limit)?;
            v = concat(vec![values, v], 2, context.limit)?;
        }
        let ([b, n, s, d], [kb, kv, t, kd], [vb, vn, vt, dv]) = (&*q.shape, &*k.shape, &*v.shape) else {
            return Err(format!("attention of {:?} over {:?}", q.shape, k.shape));
        };
        let (b, n, s, d, kv, t, dv) = (*b, *n, *s, *d, *kv, *t, *dv);
        if (*kb, *kd, *vb, *vn, *vt) != (b, d, b, kv, t) || kv == 0 || n % kv != 0 {
            return Err(format!("attention of {:?} over {:?} and {:?}", q.shape, k.shape, v.shape));
        }
        let mask = inputs.opt(3).map(|m| Mask::new(m, [b, n, s, t])).transpose()?;
        let scale = if self.scale == 0.0 { 1.0 / (d as f32).sqrt() } else { self.scale };
        let score = Score { scale, softcap: self.softcap };
        let (qs, ks, vs) = (q.floats()?, k.floats()?, v.floats()?);
        let task = |i: usize| {
            let (row, head) = (i / n, i % n);
            let at = row * kv + head / (n / kv);
            let visible = |q: usize| 0..if self.causal { t.min(past + q + 1) } else { t };
            let bias = |q: usize| mask.as_ref().map(|m| m.row(row, head, q));
            let mut out = vec![0.0; s * dv];
            let (q, k, v) = (&qs[i * s * d..][..s * d], &ks[at * t * d..][..t * d], &vs[at * t * dv..][..t * dv]);
            attend(score, q, k, v, (d, dv), visible, bias, context.kernels, &mut out);
            out
        };
        let parts: Vec<Vec<f32>> = (0..b * n).into_par_iter().map(task).collect();
        let mut out = Tensor::floats_of(kind, vec![b, n, s, dv], parts.concat());
        if flat {
            out = super::transpose::permute(&out, &[0, 2, 1, 3])?.reshaped(vec![b, s, n * dv])?;
        }
        Ok(vec![out, k, v])
    }
}

/// What is added to the scores: `[B or 1, N or 1, S, T]`.
struct Mask {
    values: Vec<f32>,
    batches: usize,
    heads: usize,
    queries: usize,
    keys: usize,
}

impl Mask {
    fn new(mask: &Tensor, [b, n, s, t]: [usize; 4]) -> Result<Self, Why> {
        if broadcast(&mask.shape, &[b, n, s, t])? != [b, n, s, t] {
            return Err(format!("a mask of {:?} for [{b}, {n}, {s}, {t}]", mask.shape));
        }
        let own = |i: usize| (i + mask.shape.len()).checked_sub(4).map_or(1, |i| mask.shape[i]);
        let shape = vec![own(0), own(1), s, t];
        let strides: Vec<isize> = broadcast_strides(&mask.shape, &shape).into_iter().map(usize::cast_signed).collect();
        let full = gather_strided(mask, shape, 0, &strides);
        let values = if full.kind() == Kind::Bool {
            full.bools()?.iter().map(|sees| if *sees { 0.0 } else { f32::NEG_INFINITY }).collect()
        } else {
            full.into_floats()?
        };
        Ok(Self { values, batches: own(0), heads: own(1), queries: s, keys: t })
    }

    fn row(&self, batch: usize, head: usize, query: usize) -> &[f32] {
        let plane = batch % self.batches * self.heads + head % self.heads;
        &self.values[(plane * self.queries + query) * self.keys..][..self.keys]
    }
}
