use crate::RunError;
use crate::container::{self, Container};
use crate::flat::{Budget, WireFault};
use crate::lower::Lowering;
use crate::model::Model;
use crate::program::Programs;
use crate::session::TfliteSession;
use crate::signatures::{Entries, entries};
use crate::stored::Stored;
use crate::tensor::{Buffer, Class};
use crate::weights::Stock;
use lfmq_core::{Activation, Executor, Facts, Fault, Mapped, Session, Weights};
use lfmq_interpreter::Bank;
use lfmq_kernels::Kernels;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How to run a file.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Activations in f32, or 8-bit codes per row as XNNPACK makes them wherever weights are integers.
    pub activation: Activation,
    /// The kernels to run on.
    pub kernels: &'static Kernels,
}

/// An opened TFLite model: all operators known, all weights laid out that every run uses. One signature must turn one of `tokens` at
/// `input_pos` under a `mask` into `logits`; every further input comes back as an output of its name. Signatures
/// of more tokens are used where no logits are wanted.
pub struct Tflite {
    pub(crate) programs: Programs,
    pub(crate) entries: Entries,
    facts: Facts,
    stock: Stock,
    file: Arc<Mapped>,
    container: Option<Container>,
}

impl Tflite {
    /// Opens the `.tflite` file at `path`, or the model inside the `.litertlm` container at `path`.
    ///
    /// # Errors
    /// See [`RunError`]; the file and the tensor or node are named.
    pub fn open(path: &Path, options: Options) -> Result<Self, RunError> {
        Self::open_within(path, options, Bank::ROOM)
    }

    /// The same with other room than 2 GiB for the weights of subgraphs that not every run calls, as those of experts are.
    /// What is more stays in its file, and is laid out when it is used. Changes no result.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_within(path: &Path, options: Options, room: u64) -> Result<Self, RunError> {
        let file = Mapped::open(path).map_err(|source| RunError::Open { path: path.to_owned(), source })?;
        let file = Arc::new(file);
        let wire = |fault: WireFault| RunError::Wire { path: path.to_owned(), at: fault.at, why: fault.why };
        let container =
            if container::is_container(&file) { Some(container::parse(&file).map_err(wire)?) } else { None };
        let part = container.as_ref().map_or(0..file.len(), |c| c.model.clone());
        let (start, bytes) = (part.start, file.get(part).unwrap_or_default());
        let budget = Budget::new();
        let model = Model::parse(bytes, start, &budget);
        let model = model.map_err(|fault| wire(WireFault { at: fault.at + start, ..fault }))?;
        let mut lowering = Lowering::new(path.to_owned(), &model, file.clone(), options, room);
        let entries = entries(&model, &mut lowering)?;
        let (programs, used) = lowering.finish()?;
        let facts = facts(&entries, &used, container.as_ref(), &file, options);
        Ok(Self { programs, entries, facts, stock: Stock::new(used), file, container })
    }

    /// The zlib stream of `tokenizer.json` that a `.litertlm` container carries, and its length unpacked.
    #[must_use]
    pub fn tokenizer(&self) -> Option<(&[u8], u64)> {
        let section = self.file.get(self.container.as_ref()?.tokenizer.clone()?)?;
        let (length, stream) = section.split_first_chunk()?;
        Some((stream, u64::from_le_bytes(*length)))
    }

    /// The chat template that a `.litertlm` container carries.
    #[must_use]
    pub fn chat_template(&self) -> Option<&str> {
        container::chat_template(self.file.get(self.container.as_ref()?.metadata.clone()?)?)
    }

    pub(crate) fn empty_states(&self) -> Vec<Buffer> {
        self.entries.states.iter().map(|(_, of)| Buffer::zeros(Class::F32, of.len())).collect()
    }

    pub(crate) fn fault(&self, why: impl Into<String>) -> RunError {
        RunError::Graph { path: PathBuf::from(self.file.path()), why: why.into() }
    }
}

fn facts(
    entries: &Entries,
    used: &[Arc<Stored>],
    container: Option<&Container>,
    file: &Mapped,
    options: Options,
) -> Facts {
    // States are named after the layer they belong to.
    let names = entries.states.iter().filter_map(|(name, _)| name.rsplit('_').next()?.parse::<u32>().ok());
    let metadata = container.and_then(|c| file.get(c.metadata.clone()?));
    let context = metadata.and_then(container::max_tokens).map_or(entries.positions, |n| n.min(entries.positions));
    Facts {
        what: if container.is_some() { "litertlm" } else { "tflite" }.into(),
        vocab: entries.vocab,
        layers: names.collect::<BTreeSet<_>>().len(),
        context,
        weight_bytes: used.iter().map(|t| t.weight_bytes()).sum(),
        parameters: used.iter().map(|t| t.len() as u64).sum(),
        activation: options.activation,
        rung: options.kernels.name,
        threads: rayon::current_num_threads(),
        experts: 0,
    }
}

impl Executor for Tflite {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn weights(&self) -> Option<&dyn Weights> {
        Some(&self.stock)
    }

    fn trace(&self, tokens: &[u32], seen: &mut dyn FnMut(&str, &[f32])) -> Result<bool, Fault> {
        TfliteSession::new(self, tokens.len().min(self.facts.context)).trace(tokens, seen)?;
        Ok(true)
    }

    fn session(&self, positions: usize) -> Result<Box<dyn Session + '_>, Fault> {
        Ok(Box::new(TfliteSession::new(self, positions.min(self.facts.context))))
    }
}
