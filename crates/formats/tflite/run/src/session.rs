//! One sequence: tokens go through the signatures as LiteRT-LM sends them.

use crate::RunError;
use crate::operators::{Place, View};
use crate::program::{Look, Memory, Step};
use crate::signatures::Entry;
use crate::tensor::{Buffer, Class};
use crate::tflite::Tflite;
use lfmq_core::{ExecError, Session, SourceError, Want};
use lfmq_interpreter::{Names, Routes, chosen};

/// What hides a position in a mask of floats.
const HIDDEN: f32 = -0.7 * f32::MAX;

/// A padded chunk computes all its tokens; it pays from this share of them on.
const WORTH: usize = 8;

pub(crate) struct TfliteSession<'o> {
    model: &'o Tflite,
    memory: Memory,
    position: usize,
    limit: usize,
    routes: Routes,
}

impl<'o> TfliteSession<'o> {
    pub fn new(model: &'o Tflite, limit: usize) -> Self {
        let memory = Memory::new(&model.programs, model.empty_states());
        Self { model, memory, position: 0, limit, routes: Routes::default() }
    }

    fn admit(&self, tokens: &[u32]) -> Result<(), ExecError> {
        let vocab = self.model.entries.vocab;
        if let Some(token) = tokens.iter().find(|t| **t as usize >= vocab || i32::try_from(**t).is_err()) {
            return Err(ExecError::Token { token: *token, vocab });
        }
        if tokens.len() > self.limit.saturating_sub(self.position) {
            return Err(ExecError::Full { position: self.limit, limit: self.limit });
        }
        Ok(())
    }

    /// The signature for the next of `tokens` tokens that need no logits, and how many of them it takes.
    fn choose(&self, tokens: usize) -> (&'o Entry, usize) {
        let entries = &self.model.entries;
        let decode = (&entries.decode, 1);
        if let Some(full) = entries.prefills.iter().find(|e| e.tokens <= tokens) {
            return (full, full.tokens);
        }
        // A padded chunk writes its whole length into the caches, which must not reach past their end.
        let room = entries.positions - self.position;
        match entries.prefills.iter().rfind(|e| e.tokens <= room) {
            Some(padded) if tokens > 1 && tokens * WORTH >= padded.tokens => (padded, tokens),
            _ => decode,
        }
    }

    /// Runs `tokens` one by one and shows the floats of every step; the session is spent.
    pub fn trace(mut self, tokens: &[u32], seen: &mut dyn FnMut(&str, &[f32])) -> Result<(), ExecError> {
        self.admit(tokens)?;
        let (entry, mut names) = (&self.model.entries.decode, Names::default());
        for token in tokens {
            names.rewind();
            let show = &mut |step: &Step, k: usize, buffer: &Buffer| {
                let name = names.next(&step.title);
                if let (Buffer::F32(values), Some(output)) = (buffer, step.outputs.get(k)) {
                    seen(name, values.get(..output.len).unwrap_or_default());
                }
            };
            self.run(entry, std::slice::from_ref(token), show).map_err(told)?;
            self.position += 1;
        }
        Ok(())
    }

    /// Runs a signature on `tokens`, padded as LiteRT-LM pads: token 0 at position 0 that sees nothing.
    fn step(&mut self, entry: &Entry, tokens: &[u32], out: Option<&mut Vec<f32>>) -> Result<(), RunError> {
        let mut choices = Vec::new();
        self.run(entry, tokens, &mut |step, k, buffer| {
            choices.extend(choice(step, k, buffer, (entry.tokens, tokens.len())));
        })?;
        self.routes.push(tokens.len(), choices);
        if let (Some(out), Some(view)) = (out, entry.logits) {
            let logits = match self.memory.at(0, view.place) {
                Some(Buffer::F32(v)) => v.get(view.start..view.start + view.len),
                _ => None,
            };
            out.extend_from_slice(logits.ok_or_else(|| self.model.fault("logits were not computed"))?);
        }
        self.position += tokens.len();
        Ok(())
    }

    /// Runs a signature and brings the states to where the next run reads them.
    fn run(&mut self, entry: &Entry, tokens: &[u32], look: Look<'_>) -> Result<(), RunError> {
        self.fill(entry, tokens).map_err(|why| self.model.fault(why))?;
        self.model.programs.run(entry.program, &mut self.memory, look)?;
        for (state, view) in entry.states.iter().enumerate() {
            if view.place != Place::State(state) || view.start != 0 {
                let to = View { place: Place::State(state), start: 0, len: view.len };
                let moved = self.model.programs.copy((0, *view), (0, to), &mut self.memory);
                moved.map_err(|why| self.model.fault(why))?;
            }
        }
        Ok(())
    }

    /// The buffer of an input, long enough.
    fn input(&mut self, view: View, class: Class) -> Result<&mut Buffer, String> {
        let buffer = self.memory.at(0, view.place).ok_or("an input has no place")?;
        if buffer.class() != class {
            *buffer = class.empty();
        }
        buffer.at_least(view.len);
        Ok(buffer)
    }

    /// Writes the inputs of a signature.
    fn fill(&mut self, entry: &Entry, tokens: &[u32]) -> Result<(), String> {
        let (position, all) = (self.position, self.model.entries.positions);
        let [ids, places, mask] = entry.inputs;
        let padded = |i: usize, value: i32| if i < tokens.len() { value } else { 0 };
        for (i, id) in self.input(ids, Class::I32)?.i32_mut()?.iter_mut().take(entry.tokens).enumerate() {
            *id = tokens.get(i).map_or(0, |t| t.cast_signed());
        }
        for (i, place) in self.input(places, Class::I32)?.i32_mut()?.iter_mut().take(entry.tokens).enumerate() {
            *place = padded(i, i32::try_from(position + i).unwrap_or(0));
        }
        let seen = |i: usize| if i < tokens.len() { position + i + 1 } else { 0 };
        if entry.boolean {
            let rows = self.input(mask, Class::Bytes)?.bytes_mut()?.chunks_exact_mut(all).take(entry.tokens);
            rows.enumerate()
                .for_each(|(i, row)| row.iter_mut().enumerate().for_each(|(p, m)| *m = u8::from(p < seen(i))));
        } else {
            let rows = self.input(mask, Class::F32)?.f32_mut()?.chunks_exact_mut(all).take(entry.tokens);
            rows.enumerate().for_each(|(i, row)| {
                let (open, hidden) = row.split_at_mut(seen(i).min(all));
                open.fill(0.0);
                hidden.fill(HIDDEN);
            });
        }
        Ok(())
    }
}

/// What a step chose for the first `wanted` of `tokens`: the places that a TOPK_V2 found in each row of scores, a row a
/// token. That is what a router is in any graph.
fn choice(step: &Step, k: usize, buffer: &Buffer, (tokens, wanted): (usize, usize)) -> Option<Vec<Vec<u16>>> {
    let (1, Some(each), Buffer::I32(places), Some(output)) = (k, step.chooses, buffer, step.outputs.get(1)) else {
        return None;
    };
    let places = places.get(..output.len).filter(|places| places.len() == each * tokens)?;
    chosen(places.iter().take(each * wanted).map(|place| i64::from(*place)), each)
}

impl Session for TfliteSession<'_> {
    fn feed(&mut self, tokens: &[u32], want: Want, out: &mut Vec<f32>) -> Result<(), ExecError> {
        self.admit(tokens)?;
        self.routes.clear();
        let first = match want {
            Want::Nothing => tokens.len(),
            Want::Last => tokens.len().saturating_sub(1),
            Want::All => 0,
            Want::From(index) => index.min(tokens.len()),
        };
        let length = out.len();
        let mut at = 0;
        while at < tokens.len() {
            let wanted = at >= first;
            let (entry, count) = if wanted { (&self.model.entries.decode, 1) } else { self.choose(first - at) };
            let piece = tokens.get(at..at + count).unwrap_or_default();
            if let Err(error) = self.step(entry, piece, wanted.then_some(&mut *out)) {
                out.truncate(length);
                return Err(told(error));
            }
            at += count;
        }
        Ok(())
    }

    fn position(&self) -> usize {
        self.position
    }

    fn reset(&mut self) {
        self.memory.states = self.model.empty_states();
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
        RunError::Graph { path, why } => (path, String::new(), why),
        other => (Default::default(), String::new(), other.to_string()),
    };
    ExecError::Read(SourceError { path, tensor, why })
}
