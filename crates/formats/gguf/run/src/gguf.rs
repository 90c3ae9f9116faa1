use crate::bank::{self, Bank};
use crate::inspect::{Inspection, frame};
use crate::shards::{Shards, at};
use crate::tensors::Table;
use crate::{RunError, Vocabulary};
use lfmq_core::{Activation, Executor, Facts, Fault, ModelSpec, Session, Weights};
use lfmq_kernels::{Arena, Kernels};
use lfmq_ops::Decoder;
use std::path::Path;
use std::sync::{Arc, OnceLock};

/// Bytes of weights mapped at a time: many large pages, few of them half empty.
const MAPPING: usize = 64 << 20;

/// How to run a file.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Activations in f32, or as llama.cpp's CPU backend rounds them for each weight type: Q8_0 blocks for Q4_0 to Q8_0,
    /// IQ4_NL and MXFP4 (with sums for Q4_1 and Q5_1), Q8_K blocks for the K-quants, IQ4_XS and the ternary types,
    /// BF16 and F16 for weights of those types, none for F32.
    pub activation: Activation,
    /// The kernels to run on.
    pub kernels: &'static Kernels,
}

/// An opened GGUF model: its frame checked, its weights still on disk until the first session is asked for.
pub struct Gguf {
    pub(crate) file: Arc<File>,
    facts: Facts,
    decoder: OnceLock<Decoder<'static>>,
}

/// What weights are read from, for as long as anything may still be read.
pub(crate) struct File {
    pub(crate) shards: Shards,
    pub(crate) table: Table,
    pub(crate) options: Options,
    pub(crate) bank: Bank,
    /// Of all that stays laid out.
    pub(crate) memory: Arena,
}

impl File {
    /// Has the memory of the weights gathered into large pages, while the first prompt runs, for as long as the file is in
    /// use. Not by the pool, whose threads have that prompt to work on.
    fn gather(self: &Arc<Self>) {
        let file = Arc::downgrade(self);
        let work = move || while file.upgrade().is_some_and(|file| file.memory.gather()) {};
        // Without a thread pages stay small, and tokens come a little slower.
        let _ = std::thread::Builder::new().name("large pages".into()).spawn(work);
    }
}

impl Gguf {
    /// Opens `path`; of a split model the first part, the others are found beside it. Checks every key the forward
    /// pass needs, and name, shape and type of every tensor. Architectures: `lfm2` and `lfm2moe`. Of experts, at most 2 GiB are
    /// laid out at a time.
    ///
    /// # Errors
    /// See [`RunError`]; the file and the key or tensor are named.
    pub fn open(path: &Path, options: Options) -> Result<Self, RunError> {
        Self::open_within(path, options, bank::AT_ONCE)
    }

    /// The same with at most `experts` bytes of experts laid out at a time. Where all of them fit they are laid out with
    /// everything else; else when a token is routed to them, in place of those not used for longest.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_within(path: &Path, options: Options, experts: u64) -> Result<Self, RunError> {
        let shards = Shards::open(path)?;
        let table = Table::read(&shards)?;
        let spec = &table.spec;
        let arch = if spec.moe.is_some() { "lfm2moe" } else { "lfm2" };
        let facts = Facts {
            what: format!("gguf {arch}"),
            vocab: spec.vocab,
            layers: spec.layers.len(),
            context: spec.max_positions,
            weight_bytes: table.stored.iter().map(|t| t.bytes).sum(),
            parameters: spec.parameters(),
            activation: options.activation,
            rung: options.kernels.name,
            threads: rayon::current_num_threads(),
            experts: spec.moe.map_or(0, |m| m.experts),
        };
        let file = Arc::new(File { shards, table, options, bank: Bank::new(experts), memory: Arena::new(MAPPING) });
        Ok(Self { file, facts, decoder: OnceLock::new() })
    }

    /// Oddities of the file that were accepted, each a sentence.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.file.table.notes
    }

    /// The tokenizer the file carries; `None` when it has none.
    ///
    /// # Errors
    /// When a `tokenizer.*` key is not what it must be.
    pub fn vocabulary(&self) -> Result<Option<Vocabulary>, RunError> {
        Vocabulary::read(&self.file.shards.keys()?).map_err(|e| at(self.file.shards.path(0), e))
    }

    /// Keys and tensors for people.
    ///
    /// # Errors
    /// None in practice: what is listed was parsed when the file was opened.
    pub fn inspect(&self) -> Result<Inspection, RunError> {
        frame(&self.file.shards)
    }

    /// The decoder, its weights read the first time it is asked for.
    ///
    /// # Errors
    /// A weight that is not finite.
    pub fn decoder(&self) -> Result<&Decoder<'static>, RunError> {
        if let Some(ready) = self.decoder.get() {
            return Ok(ready);
        }
        let decoder = File::load(&self.file)?;
        self.file.gather();
        Ok(self.decoder.get_or_init(|| decoder))
    }
}

impl Executor for Gguf {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn spec(&self) -> Option<&ModelSpec> {
        Some(&self.file.table.spec)
    }

    fn weights(&self) -> Option<&dyn Weights> {
        Some(self)
    }

    fn trace(&self, tokens: &[u32], seen: &mut dyn FnMut(&str, &[f32])) -> Result<bool, Fault> {
        self.decoder()?.trace(tokens, seen)?;
        Ok(true)
    }

    fn session(&self, positions: usize) -> Result<Box<dyn Session + '_>, Fault> {
        Ok(Box::new(self.decoder()?.session(positions)))
    }
}
