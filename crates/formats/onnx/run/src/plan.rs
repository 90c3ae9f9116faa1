//! A graph made ready, every value in a slot for as long as it lives.

use crate::held::Held;
use crate::integer_weights::integer_weights;
use crate::model::Model;
use crate::operators::{Context, Inputs, Run};
use crate::ready::{Draft, Draw, Ready, read};
use crate::stored::{Files, Place};
use crate::tail::tail;
use crate::tensor::{Kind, Tensor};
use crate::{Options, RunError};
use lfmq_interpreter::Bank;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Elements of any value, at most.
pub(crate) const LIMIT: usize = 1 << 30;

/// An input or output of the graph.
pub(crate) struct Port {
    pub name: String,
    pub kind: Kind,
    /// Extents, `Err` with the name of an open one; `None` where the file does not tell.
    pub dims: Option<Vec<Result<usize, String>>>,
    pub slot: usize,
}

enum Source {
    Missing,
    Constant(usize),
    /// `last`: nobody reads the slot afterwards. `cut`: only the rows whose logits are wanted are read.
    Slot {
        slot: usize,
        last: bool,
        cut: bool,
    },
}

struct Step {
    title: String,
    op: String,
    run: Run,
    inputs: Vec<Source>,
    outputs: Vec<Option<usize>>,
    /// Whether anything but the first output of the graph depends on it.
    carries: bool,
}

/// The program of a graph.
pub(crate) struct Plan {
    path: PathBuf,
    steps: Vec<Step>,
    constants: Vec<Tensor>,
    slots: usize,
    pub inputs: Vec<Port>,
    pub outputs: Vec<Port>,
    /// Whether tokens may be fed in several runs with the same result: no node looks at all tokens at once.
    pub divisible: bool,
    /// Whether a node rounds activations to codes.
    pub rounds: bool,
    /// Positions of the shortest rotary table.
    pub positions: Option<usize>,
    pub parameters: u64,
    pub weight_bytes: u64,
    /// The weights that the outputs depend on, as stored.
    pub held: Vec<Held>,
}

impl Plan {
    pub fn new(
        path: &Path,
        model: &Model<'_>,
        files: &mut Files,
        options: Options,
        bank: &Arc<Bank>,
    ) -> Result<Self, RunError> {
        let ready = read(path, model, files, options, bank)?;
        let results: Vec<usize> = ready.outputs.iter().map(|(_, v)| *v).collect();
        let needed = steps_for(&ready.steps, &results);
        let carries = steps_for(&ready.steps, results.get(1..).unwrap_or_default());
        let divisible = !ready.steps.iter().any(|d| d.op == "DynamicQuantizeLinear");
        let rounds = ready.steps.iter().any(|d| matches!(d.op.as_str(), "MatMulInteger" | "QuantizeLinear"));
        let held = weights_of(&ready, &needed);
        let tail = tail(&ready.steps, &needed, &results);
        let mut slots = Slots::new(&ready, &needed, &results, tail);
        let place = |(mut port, value): (Port, usize), slots: &mut Slots| {
            port.slot = slots.of(value);
            port
        };
        let inputs = ready.inputs.into_iter().map(|p| place(p, &mut slots)).collect();
        let mut steps = Vec::with_capacity(ready.steps.len());
        for (i, draft) in ready.steps.into_iter().enumerate() {
            if needed.get(i) == Some(&true) {
                steps.push(slots.step(i, draft, carries.get(i) == Some(&true)));
            }
        }
        let outputs = ready.outputs.into_iter().map(|p| place(p, &mut slots)).collect();
        Ok(Self {
            path: path.to_owned(),
            steps,
            constants: ready.constants,
            slots: slots.count,
            inputs,
            outputs,
            divisible,
            rounds,
            positions: ready.positions,
            parameters: ready.parameters,
            weight_bytes: ready.weight_bytes,
            held,
        })
    }

    /// Runs the graph on `feeds` (slot and value of every input) for at least the last `wanted` rows of its first output;
    /// for none, what only that output needs is left out. Gives the outputs in order. `seen` is shown every result with
    /// the operator and the title of its node.
    pub fn run(
        &self,
        feeds: Vec<(usize, Tensor)>,
        wanted: usize,
        context: &Context,
        seen: &mut dyn FnMut(&str, &str, &Tensor),
    ) -> Result<Vec<Option<Tensor>>, RunError> {
        let mut slots: Vec<Option<Tensor>> = Vec::new();
        slots.resize_with(self.slots, || None);
        for (slot, value) in feeds {
            if let Some(place) = slots.get_mut(slot) {
                *place = Some(value);
            }
        }
        for step in self.steps.iter().filter(|step| wanted > 0 || step.carries) {
            let inputs = step.inputs.iter().map(|source| match *source {
                Source::Missing => None,
                Source::Constant(i) => self.constants.get(i).cloned(),
                Source::Slot { slot, last, cut } => {
                    let value = if last { slots.get_mut(slot)?.take()? } else { slots.get(slot).cloned()?? };
                    Some(if cut { value.last_rows(wanted) } else { value })
                }
            });
            let inputs = Inputs(inputs.collect());
            let fault = |why| RunError::Node {
                path: self.path.clone(),
                node: step.title.clone(),
                operator: step.op.clone(),
                why,
            };
            let mut results = (step.run)(inputs, context).map_err(fault)?.into_iter();
            for output in &step.outputs {
                let value = results.next();
                if let Some(slot) = output {
                    let value = value.ok_or_else(|| fault("gives fewer outputs than the graph names".into()))?;
                    seen(&step.op, &step.title, &value);
                    if let Some(place) = slots.get_mut(*slot) {
                        *place = Some(value);
                    }
                }
            }
        }
        Ok(self.outputs.iter().map(|port| slots.get(port.slot).cloned().flatten()).collect())
    }
}

/// The weights of the steps that are `needed`: what operators tell of, and every initializer of floats in a file of its
/// own that is no part of these.
fn weights_of(ready: &Ready, needed: &[bool]) -> Vec<Held> {
    let steps = || ready.steps.iter().zip(needed).filter(|(_, needed)| **needed).map(|(step, _)| step);
    let mut held: Vec<Held> =
        steps().flat_map(|step| step.held.iter().cloned()).chain(integer_weights(ready, needed)).collect();
    let parts: BTreeSet<Place> = held.iter().flat_map(Held::places).collect();
    let used: BTreeSet<usize> = steps().flat_map(|step| step.origins.iter().copied()).collect();
    let stored = used.into_iter().filter_map(|i| ready.stored.get(i));
    let floats = stored
        .filter(|(_, s)| s.kind.is_float() && s.is_external() && !s.shape.is_empty() && !parts.contains(&s.place()));
    held.extend(floats.map(|(name, stored)| Held::floats(name, stored)));
    let mut seen = BTreeSet::new();
    held.retain(|held| seen.insert((held.tensor.name.clone(), held.places(), held.first())));
    held
}

/// Which steps are needed for `values`.
fn steps_for(steps: &[Draft], values: &[usize]) -> Vec<bool> {
    let mut wanted: BTreeSet<usize> = values.iter().copied().collect();
    let mut needed = vec![false; steps.len()];
    for (step, needed) in steps.iter().zip(&mut needed).rev() {
        if step.outputs.iter().flatten().any(|v| wanted.contains(v)) {
            *needed = true;
            wanted.extend(step.inputs.iter().filter_map(|d| if let Draw::Value(v) = d { Some(*v) } else { None }));
        }
    }
    needed
}

/// Gives slots to values, in the order of the steps; a slot is free again after the last step that reads it.
struct Slots {
    count: usize,
    free: Vec<usize>,
    /// Slot of each value that has one.
    given: Vec<Option<usize>>,
    /// The last step that reads each value.
    last: Vec<Option<usize>>,
    kept: BTreeSet<usize>,
    tail: Vec<bool>,
    /// Values that steps of the tail give.
    of_tail: BTreeSet<usize>,
}

impl Slots {
    fn new(ready: &Ready, needed: &[bool], results: &[usize], tail: Vec<bool>) -> Self {
        let mut last = vec![None; ready.values];
        for (i, (step, _)) in ready.steps.iter().zip(needed).enumerate().filter(|(_, (_, needed))| **needed) {
            for draw in &step.inputs {
                if let Draw::Value(v) = draw
                    && let Some(last) = last.get_mut(*v)
                {
                    *last = Some(i);
                }
            }
        }
        let given = vec![None; ready.values];
        let tails = ready.steps.iter().zip(&tail).filter(|(_, tail)| **tail);
        let of_tail = tails.flat_map(|(step, _)| step.outputs.iter().flatten().copied()).collect();
        Self { count: 0, free: Vec::new(), given, last, kept: results.iter().copied().collect(), tail, of_tail }
    }

    fn of(&mut self, value: usize) -> usize {
        if let Some(Some(slot)) = self.given.get(value) {
            return *slot;
        }
        let slot = self.free.pop().unwrap_or(self.count);
        self.count = self.count.max(slot + 1);
        if let Some(given) = self.given.get_mut(value) {
            *given = Some(slot);
        }
        slot
    }

    fn step(&mut self, number: usize, draft: Draft, carries: bool) -> Step {
        let mut dying = Vec::new();
        let mut inputs = Vec::with_capacity(draft.inputs.len());
        for (at, draw) in draft.inputs.iter().enumerate() {
            inputs.push(match *draw {
                Draw::Missing => Source::Missing,
                Draw::Constant(c) => Source::Constant(c),
                Draw::Value(v) => {
                    // Read twice by one node: only the last reading may take the value away.
                    let again = draft.inputs.get(at + 1..).is_some_and(|rest| rest.contains(draw));
                    let last = self.last.get(v) == Some(&Some(number)) && !self.kept.contains(&v) && !again;
                    if last {
                        dying.push(v);
                    }
                    let cut = self.tail.get(number) == Some(&true) && !self.of_tail.contains(&v);
                    Source::Slot { slot: self.of(v), last, cut }
                }
            });
        }
        for v in dying {
            let slot = self.of(v);
            self.free.push(slot);
        }
        let outputs: Vec<Option<usize>> = draft.outputs.iter().map(|v| v.map(|v| self.of(v))).collect();
        for (v, slot) in draft.outputs.iter().zip(&outputs) {
            // What nobody reads gives its slot back at once.
            if let (Some(v), Some(slot)) = (v, slot)
                && self.last.get(*v) == Some(&None)
                && !self.kept.contains(v)
            {
                self.free.push(*slot);
            }
        }
        Step { title: draft.title, op: draft.op, run: draft.run, inputs, outputs, carries }
    }
}
