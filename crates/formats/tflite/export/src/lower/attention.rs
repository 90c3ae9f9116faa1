use super::Lower;
use super::step::{Held, Step, key_state, value_state};
use crate::flat::Value;
use crate::schema::{Op, Type};
use crate::subgraph::T;
use lfmq_graph::StateKind;

/// What all attention layers of a step share.
#[derive(Clone, Copy)]
pub(super) struct Rotary {
    /// `[1, n, 1, head_dim / 2]`
    cos: T,
    sin: T,
    /// Where a step's keys and values begin in their caches.
    key_place: T,
    value_place: T,
    /// The mask for the heads of a group one after another, `[1, 1, group * n, room]`.
    mask: T,
}

impl Lower<'_> {
    fn rotary(&self, s: &mut Step, group: usize) -> Rotary {
        if let Some(found) = s.rotary {
            return found;
        }
        let (n, rope) = (s.n, &self.graph.rope);
        let scope = std::mem::take(&mut s.g.scope);
        let frequencies = s.g.floats(&[1, 1, 1, rope.head_dim / 2], &rope.inverse_frequencies());
        let positions = s.g.cast_to_float(s.positions);
        let positions = s.g.reshape(positions, &[1, n, 1, 1]);
        let angles = s.g.mul(positions, frequencies);
        let (cos, sin) = (s.g.each(Op::Cos, angles), s.g.each(Op::Sin, angles));
        let (first, zero) = (s.first(), s.g.ints(&[1], &[0]));
        let key_place = s.g.concat(&[zero, zero, first, zero], 0);
        let value_place = s.g.concat(&[zero, zero, zero, first], 0);
        let mask = if group > 1 { s.g.concat(&vec![s.mask; group], 2) } else { s.mask };
        s.g.scope = scope;
        let made = Rotary { cos, sin, key_place, value_place, mask };
        s.rotary = Some(made);
        made
    }

    fn heads(&self, state: usize) -> (u16, usize, usize, usize) {
        match self.graph.states.get(state).map(|s| (s.layer, s.kind)) {
            Some((layer, StateKind::KeyValue { heads, kv_heads, head_dim })) => (layer, heads, kv_heads, head_dim),
            _ => (0, 1, 1, 1),
        }
    }

    /// Puts keys and values of a step into their caches; returns the caches.
    pub(super) fn keep(&self, s: &mut Step, k: T, v: T, state: usize) -> (T, T) {
        let (layer, heads, kv_heads, head_dim) = self.heads(state);
        let rotary = self.rotary(s, heads / kv_heads.max(1));
        let Some(Held::KeyValue(old_keys, old_values)) = s.held.get(state).copied() else { return (k, v) };
        let k = rotate(s, k, kv_heads, head_dim, rotary);
        let k = s.g.transpose(k, &[0, 2, 1, 3]);
        let v = s.g.reshape(v, &[1, s.n, kv_heads, head_dim]);
        let v = s.g.transpose(v, &[0, 2, 3, 1]);
        let keys = s.g.update(old_keys, k, rotary.key_place);
        let values = s.g.update(old_values, v, rotary.value_place);
        s.g.output(&key_state(layer), keys);
        s.g.output(&value_state(layer), values);
        (keys, values)
    }

    /// Attention over the caches, `[1, n, heads * head_dim]`. Query head `h` reads key head `h / group`.
    pub(super) fn attend(&self, s: &mut Step, q: T, keys: T, values: T, state: usize) -> T {
        let (_, heads, kv_heads, head_dim) = self.heads(state);
        let group = heads / kv_heads.max(1);
        let rotary = self.rotary(s, group);
        let q = rotate(s, q, heads, head_dim, rotary);
        let (g, n) = (&mut s.g, s.n);
        let q = g.transpose(q, &[0, 2, 1, 3]);
        let scale = g.float(1.0 / (head_dim as f32).sqrt());
        let q = g.mul(q, scale);
        let q = g.reshape(q, &[1, kv_heads, group * n, head_dim]);
        let scores = g.matmul_turned(q, keys);
        let scores = g.add(scores, rotary.mask);
        let shape = [1, kv_heads, group * n, s.room];
        let shares = g.add_one(Op::Softmax, &[scores], &[(0, Value::float(1.0))], &shape, Type::F32);
        let y = g.matmul_turned(shares, values);
        let y = g.reshape(y, &[1, heads, n, head_dim]);
        let y = g.transpose(y, &[0, 2, 1, 3]);
        g.reshape(y, &[1, n, heads * head_dim])
    }
}

/// Turns the two halves of every head by their angles.
fn rotate(s: &mut Step, x: T, heads: usize, head_dim: usize, rotary: Rotary) -> T {
    let (n, half) = (s.n, head_dim / 2);
    let g = &mut s.g;
    let x = g.reshape(x, &[1, n, heads, head_dim]);
    let a = g.slice(x, &[0, 0, 0, 0], &[1, n, heads, half]);
    let b = g.slice(x, &[0, 0, 0, half], &[1, n, heads, half]);
    let (ac, bs) = (g.mul(a, rotary.cos), g.mul(b, rotary.sin));
    let (bc, asin) = (g.mul(b, rotary.cos), g.mul(a, rotary.sin));
    let first = g.both(Op::Sub, ac, bs);
    let second = g.add(bc, asin);
    g.concat(&[first, second], 3)
}
