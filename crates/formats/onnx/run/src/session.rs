//! One sequence: the graph's own outputs are its memory.

use crate::RunError;
use crate::onnx::Onnx;
use crate::operators::Context;
use crate::plan::{LIMIT, Port};
use crate::tensor::{Data, Kind, Tensor};
use lfmq_core::{ExecError, Session, SourceError, Want};
use lfmq_interpreter::{Names, Routes, chosen};
use std::ops::Range;
use std::sync::Arc;

/// Tokens that go through the graph together; longer feeds are cut, which bounds the memory and changes no result
/// where the graph is divisible.
const CHUNK: usize = 512;

/// What an input of the graph is fed with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Role {
    /// Token ids `[1, S]`.
    Tokens,
    /// Ones `[1, T]` over all positions so far and these.
    Mask,
    /// Positions `[1, S]`.
    Positions,
    /// How many logits are wanted, from the end.
    Keep,
    /// What output `from` gave in the run before; at first this shape, zeros.
    State { from: usize },
}

pub(crate) struct OnnxSession<'o> {
    model: &'o Onnx,
    /// One for each input that is a state, in the order of the inputs.
    states: Vec<Tensor>,
    position: usize,
    limit: usize,
    routes: Routes,
}

impl<'o> OnnxSession<'o> {
    pub fn new(model: &'o Onnx, limit: usize) -> Self {
        Self { model, states: model.empty_states(), position: 0, limit, routes: Routes::default() }
    }

    fn admit(&self, tokens: &[u32]) -> Result<(), ExecError> {
        let vocab = self.model.facts.vocab;
        if let Some(token) = tokens.iter().find(|t| vocab > 0 && **t as usize >= vocab) {
            return Err(ExecError::Token { token: *token, vocab });
        }
        if tokens.len() > self.limit.saturating_sub(self.position) {
            return Err(ExecError::Full { position: self.limit, limit: self.limit });
        }
        Ok(())
    }

    /// What every input is fed with for `tokens` at `position`, `wanted` logits of which are asked for. Takes the states.
    fn feeds(&mut self, tokens: &[u32], wanted: usize) -> Vec<(usize, Tensor)> {
        let (model, n) = (self.model, tokens.len());
        let mut states = std::mem::take(&mut self.states).into_iter();
        let mut feeds = Vec::with_capacity(model.roles.len());
        for (port, role) in model.plan.inputs.iter().zip(&model.roles) {
            let value = match role {
                Role::Tokens => integers(port, vec![1, n], tokens.iter().map(|t| i64::from(*t)).collect()),
                Role::Mask => integers(port, vec![1, self.position + n], vec![1; self.position + n]),
                Role::Positions => {
                    let run = self.position as i64..(self.position + n) as i64;
                    integers(port, vec![1, n], run.collect())
                }
                Role::Keep => {
                    let shape = if port.dims.as_ref().is_some_and(|d| d.len() == 1) { vec![1] } else { vec![] };
                    integers(port, shape, vec![wanted.max(1) as i64])
                }
                Role::State { .. } => states.next().unwrap_or_else(|| Tensor::f32(vec![0], Vec::new())),
            };
            feeds.push((port.slot, value));
        }
        feeds
    }

    /// Runs `tokens` and shows every float of every node; the session is spent.
    pub fn trace(mut self, tokens: &[u32], seen: &mut dyn FnMut(&str, &[f32])) -> Result<(), ExecError> {
        self.admit(tokens)?;
        let feeds = self.feeds(tokens, tokens.len());
        let (context, mut names) = (Context::new(self.model.options.kernels, LIMIT), Names::default());
        let show = &mut |_: &str, title: &str, value: &Tensor| {
            let name = names.next(title);
            if let Ok(values) = value.floats() {
                seen(name, &values);
            }
        };
        self.model.plan.run(feeds, tokens.len(), &context, show).map(drop).map_err(told)
    }

    /// Runs the graph on `tokens` at `position`. Gives the logits `[tokens, vocab]`, or the last rows of them, if any
    /// of the last `wanted` are asked for.
    fn step(&mut self, tokens: &[u32], wanted: usize, out: &mut Vec<f32>) -> Result<(), RunError> {
        let (model, n) = (self.model, tokens.len());
        let feeds = self.feeds(tokens, wanted);
        let context = Context::new(model.options.kernels, LIMIT);
        let mut choices = Vec::new();
        let mut outputs = model.plan.run(feeds, wanted, &context, &mut |operator, _, value| {
            choices.extend(choice(operator, value, n));
        })?;
        let missing = |port: &str| model.fault(format!("output `{port}` was not computed"));
        for role in &model.roles {
            if let Role::State { from } = role {
                let value = outputs.get_mut(*from).and_then(Option::take);
                self.states.push(value.ok_or_else(|| missing("of a state"))?);
            }
        }
        if wanted > 0 {
            let logits = outputs.first_mut().and_then(Option::take).ok_or_else(|| missing("logits"))?;
            self.append(logits, n, wanted, out)?;
        }
        self.position += n;
        self.routes.push(n, choices);
        Ok(())
    }

    fn append(&self, logits: Tensor, n: usize, wanted: usize, out: &mut Vec<f32>) -> Result<(), RunError> {
        let vocab = self.model.facts.vocab;
        let rows = logits.len().checked_div(vocab).unwrap_or(0);
        let values = logits.floats().map_err(|why| self.model.fault(why))?;
        let fits = logits.shape.last() == Some(&vocab) && (rows == n || rows == wanted);
        let kept = values.get(rows.saturating_sub(wanted) * vocab..).filter(|_| fits);
        out.extend_from_slice(kept.ok_or_else(|| {
            self.model.fault(format!("logits of shape {:?} for {n} tokens of {vocab}", logits.shape))
        })?);
        Ok(())
    }

    /// Cuts `tokens` so that memory stays bounded.
    fn pieces(&self, tokens: usize) -> Vec<Range<usize>> {
        let step = if self.model.plan.divisible { CHUNK } else { tokens.max(1) };
        (0..tokens).step_by(step).map(|from| from..tokens.min(from + step)).collect()
    }

    /// Runs all of `tokens`, logits from index `first` on.
    fn run(&mut self, tokens: &[u32], first: usize, out: &mut Vec<f32>) -> Result<(), RunError> {
        for piece in self.pieces(tokens.len()) {
            let wanted = piece.end.saturating_sub(first.max(piece.start));
            self.step(tokens.get(piece).unwrap_or_default(), wanted, out)?;
        }
        Ok(())
    }
}

/// What a node chose for each of `tokens`, in ascending order: the places that a TopK found along the last axis of scores
/// by token. That is what a router is in any graph. Sorts have one axis, and what a sampler chooses is no output of a
/// model's layers.
fn choice(operator: &str, value: &Tensor, tokens: usize) -> Option<Vec<Vec<u16>>> {
    let (k, by_token) = value.shape.split_last()?;
    if operator != "TopK"
        || value.kind() != Kind::I64
        || by_token.is_empty()
        || by_token.iter().product::<usize>() != tokens
    {
        return None;
    }
    chosen(value.ints().ok()?.iter().copied(), *k)
}

fn integers(port: &Port, shape: Vec<usize>, values: Vec<i64>) -> Tensor {
    let data = match port.kind {
        Kind::I32 => Data::I32(Arc::new(values.into_iter().map(|v| v as i32).collect())),
        Kind::F32 => Data::F32(Arc::new(values.into_iter().map(|v| v as f32).collect())),
        Kind::Bool => Data::Bool(Arc::new(values.into_iter().map(|v| v != 0).collect())),
        _ => Data::I64(Arc::new(values)),
    };
    Tensor::new(shape, data)
}

impl Session for OnnxSession<'_> {
    fn feed(&mut self, tokens: &[u32], want: Want, out: &mut Vec<f32>) -> Result<(), ExecError> {
        self.admit(tokens)?;
        if tokens.is_empty() {
            return Ok(());
        }
        let first = match want {
            Want::Nothing => tokens.len(),
            Want::Last => tokens.len() - 1,
            Want::All => 0,
            Want::From(index) => index.min(tokens.len()),
        };
        self.routes.clear();
        let (before, length, kept) = (self.position, out.len(), self.states.clone());
        // All of it on the pool: from outside, every product would hand over and wake up anew.
        if let Err(error) = rayon::scope(|_| self.run(tokens, first, out)) {
            (self.position, self.states) = (before, kept);
            out.truncate(length);
            return Err(told(error));
        }
        Ok(())
    }

    fn position(&self) -> usize {
        self.position
    }

    fn reset(&mut self) {
        self.states = self.model.empty_states();
        self.routes.clear();
        self.position = 0;
    }

    fn routes(&self) -> &[Vec<Vec<u16>>] {
        self.routes.layers()
    }
}

/// A node that failed, in the words the trait has.
fn told(error: RunError) -> ExecError {
    let (path, tensor, why) = match error {
        RunError::Node { path, node, operator, why } => (path, node, format!("{operator}: {why}")),
        RunError::Graph { path, why } => (path, "logits".to_owned(), why),
        other => (Default::default(), String::new(), other.to_string()),
    };
    ExecError::Read(SourceError { path, tensor, why })
}
