//! What the nodes of one step share.

use crate::schema::{Op, Type};
use crate::subgraph::{Subgraph, T};
use lfmq_graph::{Graph, StateKind};

/// Names of states, the same for input and output; the number is that of the layer.
pub(crate) fn conv_state(layer: u16) -> String {
    format!("kv_cache_c_{layer}")
}

pub(crate) fn key_state(layer: u16) -> String {
    format!("kv_cache_k_{layer}")
}

pub(crate) fn value_state(layer: u16) -> String {
    format!("kv_cache_v_{layer}")
}

/// The inputs that hold a state.
#[derive(Clone, Copy)]
pub(super) enum Held {
    /// `[1, taps - 1, hidden]`: time first, so that a step of one token moves no columns.
    Conv(T),
    /// `[1, kv_heads, room, head_dim]` and `[1, kv_heads, head_dim, room]`: neither product has to turn its cache.
    KeyValue(T, T),
}

/// One signature as it is built.
pub(super) struct Step {
    pub(super) g: Subgraph,
    /// Tokens.
    pub(super) n: usize,
    /// Positions of the caches.
    pub(super) room: usize,
    pub(super) tokens: T,
    pub(super) positions: T,
    pub(super) mask: T,
    /// By state of the graph.
    pub(super) held: Vec<Held>,
    /// By node.
    pub(super) values: Vec<Option<T>>,
    first: Option<T>,
    rows: Option<T>,
    pub(super) rotary: Option<super::attention::Rotary>,
}

impl Step {
    pub(super) fn new(name: &str, n: usize, room: usize, graph: &Graph) -> Self {
        let mut g = Subgraph::new(name);
        let tokens = g.input("tokens", &[1, n], Type::I32);
        let positions = g.input("input_pos", &[n], Type::I32);
        let mask = g.input("mask", &[1, 1, n, room], Type::F32);
        let held = graph
            .states
            .iter()
            .map(|state| match state.kind {
                StateKind::Conv { hidden, taps } => {
                    Held::Conv(g.input(&conv_state(state.layer), &[1, taps.saturating_sub(1), hidden], Type::F32))
                }
                StateKind::KeyValue { kv_heads, head_dim, .. } => Held::KeyValue(
                    g.input(&key_state(state.layer), &[1, kv_heads, room, head_dim], Type::F32),
                    g.input(&value_state(state.layer), &[1, kv_heads, head_dim, room], Type::F32),
                ),
            })
            .collect();
        Self { g, n, room, tokens, positions, mask, held, values: Vec::new(), first: None, rows: None, rotary: None }
    }

    /// The first position, `[1]`.
    pub(super) fn first(&mut self) -> T {
        if let Some(found) = self.first {
            return found;
        }
        let made = self.g.slice(self.positions, &[0], &[1]);
        self.first = Some(made);
        made
    }

    /// Rows of `[state, step]` that are the state after the step, for `keep` rows: those before the first position
    /// beyond the last valid one. A step may be filled up with tokens at position 0.
    pub(super) fn last_rows(&mut self, keep: usize) -> T {
        if let Some(found) = self.rows {
            return found;
        }
        let first = self.first();
        let last = self.g.reduce(Op::ReduceMax, self.positions, &[0], true);
        let steps = self.g.both(Op::Sub, last, first);
        let offsets: Vec<usize> = (1..=keep).collect();
        let offsets = self.g.ints(&[keep], &offsets);
        let made = self.g.add(steps, offsets);
        self.rows = Some(made);
        made
    }
}
