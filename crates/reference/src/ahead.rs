//! Known sequences run ahead, a layer at a time: how a model larger than memory is a yardstick.

use crate::Reference;
use lfmq_core::{ExecError, Executor, Facts, Fault, ModelSpec, Observer, Session, Unit, Want};
use lfmq_ops::{Decoder, Ffn, Step};
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes of residual streams that a batch may hold: 64 windows of 512 tokens at 2048 columns.
const BATCH_BYTES: usize = 256 << 20;

/// Tokens that go through a layer together; bounds what lies between its products.
const CHUNK: usize = 512;

/// Experts by `[mixture layer][token][K]`, as [`Session::routes`].
type Routes = Vec<Vec<Vec<u16>>>;

/// A [`Reference`] that knows what it will be fed.
///
/// The sequences go through the model in batches: all of a batch through one layer, then all through the next. So each
/// weight comes from the disk once a batch, whatever fits into memory beside it. What is kept of a position is the
/// residual stream after the last layer, `[hidden]` in f32. The head makes the logits of it when they are asked for:
/// they have the very bits that a [`Session`] of the reference gives, at 8 KiB a position (2048 columns) instead of the 256 KiB of
/// 65,536 logits, and nothing is approximated. A session that is fed anything else runs as one of the reference does.
pub struct Ahead<'r, 'a> {
    reference: &'r Reference<'a>,
    sequences: Vec<Vec<u32>>,
    limit: usize,
    batch: Mutex<Batch>,
}

/// Finished sequences `first..`.
#[derive(Default)]
struct Batch {
    first: usize,
    runs: Vec<Arc<Run>>,
}

/// A sequence after the last layer.
struct Run {
    /// `[n, hidden]`.
    x: Vec<f32>,
    routes: Routes,
}

impl<'r, 'a> Ahead<'r, 'a> {
    /// `reference`, which will be fed these sequences in about this order.
    #[must_use]
    pub fn new<'s>(reference: &'r Reference<'a>, sequences: impl Iterator<Item = &'s [u32]>) -> Self {
        Self::within(reference, sequences, BATCH_BYTES)
    }

    /// The same with batches of at most `limit` bytes, one sequence at least.
    #[must_use]
    pub fn within<'s>(reference: &'r Reference<'a>, sequences: impl Iterator<Item = &'s [u32]>, limit: usize) -> Self {
        let sequences = sequences.map(<[u32]>::to_vec).collect();
        Self { reference, sequences, limit, batch: Mutex::default() }
    }

    /// Runs the first batch now, with progress. Later batches, if any, run when the first of their sequences is fed.
    ///
    /// # Errors
    /// A token outside the vocabulary, or a weight that cannot be read.
    pub fn prepare(&self, observer: &dyn Observer) -> Result<(), ExecError> {
        if !self.sequences.is_empty() {
            *self.lock() = self.run_batch(0, Some(observer))?;
        }
        Ok(())
    }

    fn decoder(&self) -> &Decoder<'a> {
        self.reference.decoder()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Batch> {
        self.batch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sequence `index` after the last layer.
    fn run(&self, index: usize) -> Result<Arc<Run>, ExecError> {
        let mut batch = self.lock();
        let held = |batch: &Batch| index.checked_sub(batch.first).and_then(|i| batch.runs.get(i).cloned());
        if let Some(run) = held(&batch) {
            return Ok(run);
        }
        // What was held goes first: two batches at a time are not what was promised.
        *batch = Batch::default();
        *batch = self.run_batch(index, None)?;
        Ok(held(&batch).unwrap_or_else(|| Arc::new(Run { x: Vec::new(), routes: Vec::new() })))
    }

    /// The sequences from `first` on, as many as fit.
    fn run_batch(&self, first: usize, observer: Option<&dyn Observer>) -> Result<Batch, ExecError> {
        let (decoder, mut bytes) = (self.decoder(), 0);
        let row = 4 * decoder.config().hidden;
        let fits = |sequence: &&Vec<u32>| {
            let before = bytes;
            bytes += sequence.len() * row;
            before == 0 || bytes <= self.limit
        };
        let sequences: Vec<&Vec<u32>> = self.sequences.iter().skip(first).take_while(fits).collect();
        let tokens: usize = sequences.iter().map(|s| s.len()).sum();
        if let Some(observer) = observer {
            observer.begin("yardstick", (tokens * decoder.layers().len()) as u64, Unit::Tokens);
        }
        let advance = |tokens: usize| observer.iter().for_each(|o| o.advance(tokens as u64));
        // All of it on the pool, as a session does.
        let runs = rayon::scope(|_| by_layer(decoder, &sequences, &advance))?;
        observer.iter().for_each(|o| o.end());
        Ok(Batch { first, runs: runs.into_iter().map(Arc::new).collect() })
    }
}

/// Brings all sequences through each layer before the next.
fn by_layer(decoder: &Decoder<'_>, sequences: &[&Vec<u32>], advance: &dyn Fn(usize)) -> Result<Vec<Run>, ExecError> {
    let config = decoder.config();
    let embedded = |tokens: &&Vec<u32>| Ok(Run { x: decoder.embed(tokens)?, routes: Routes::new() });
    let mut runs: Vec<Run> = sequences.iter().map(embedded).collect::<Result<_, ExecError>>()?;
    for layer in decoder.layers() {
        for run in &mut runs {
            let mut state = layer.state(config);
            let mut routes = Vec::new();
            for (index, x) in run.x.chunks_mut((CHUNK * config.hidden).max(1)).enumerate() {
                let n = x.len() / config.hidden.max(1);
                let step = Step::new(config, decoder.kernels(), index * CHUNK, n);
                routes.extend(layer.forward(&step, x, &mut state)?);
                advance(n);
            }
            if matches!(layer.ffn, Ffn::Moe(_)) {
                run.routes.push(routes);
            }
        }
    }
    Ok(runs)
}

impl Executor for Ahead<'_, '_> {
    fn facts(&self) -> &Facts {
        self.reference.facts()
    }

    fn spec(&self) -> Option<&ModelSpec> {
        self.reference.spec()
    }

    fn trace(&self, tokens: &[u32], seen: &mut dyn FnMut(&str, &[f32])) -> Result<bool, Fault> {
        self.reference.trace(tokens, seen)
    }

    fn session(&self, positions: usize) -> Result<Box<dyn Session + '_>, Fault> {
        Ok(Box::new(AheadSession { ahead: self, limit: positions, fed: Vec::new(), own: None, routes: Vec::new() }))
    }
}

struct AheadSession<'s, 'a> {
    ahead: &'s Ahead<'s, 'a>,
    limit: usize,
    /// What was fed so far.
    fed: Vec<u32>,
    /// Once something was fed that begins no known sequence.
    own: Option<Box<dyn Session + 's>>,
    routes: Routes,
}

impl AheadSession<'_, '_> {
    /// Shows what is known of sequence `index` for `tokens` that follow those fed before.
    fn show(&mut self, index: usize, tokens: usize, want: Want, out: &mut Vec<f32>) -> Result<(), ExecError> {
        let (run, start) = (self.ahead.run(index)?, self.fed.len());
        let first = start
            + match want {
                Want::Nothing => tokens,
                Want::Last => tokens.saturating_sub(1),
                Want::All => 0,
                Want::From(index) => index.min(tokens),
            };
        let decoder = self.ahead.decoder();
        let hidden = decoder.config().hidden;
        let x = run.x.get(first * hidden..(start + tokens) * hidden).unwrap_or_default();
        rayon::scope(|_| decoder.logits(x, out))?;
        let part = |layer: &Vec<Vec<u16>>| layer.get(start..start + tokens).unwrap_or_default().to_vec();
        self.routes = run.routes.iter().map(part).collect();
        Ok(())
    }
}

impl Session for AheadSession<'_, '_> {
    fn feed(&mut self, tokens: &[u32], want: Want, out: &mut Vec<f32>) -> Result<(), ExecError> {
        if let Some(own) = &mut self.own {
            return own.feed(tokens, want, out);
        }
        if tokens.len() > self.limit - self.fed.len() {
            return Err(ExecError::Full { position: self.limit, limit: self.limit });
        }
        let all: Vec<u32> = self.fed.iter().chain(tokens).copied().collect();
        if let Some(index) = self.ahead.sequences.iter().position(|s| s.starts_with(&all)) {
            self.show(index, tokens.len(), want, out)?;
        } else {
            let mut own = self.ahead.decoder().session(self.limit);
            own.feed(&self.fed, Want::Nothing, out)?;
            own.feed(tokens, want, out)?;
            self.own = Some(Box::new(own));
        }
        self.fed = all;
        Ok(())
    }

    fn position(&self) -> usize {
        self.own.as_ref().map_or(self.fed.len(), |own| own.position())
    }

    fn reset(&mut self) {
        self.own = None;
        self.fed.clear();
        self.routes.clear();
    }

    fn routes(&self) -> &[Vec<Vec<u16>>] {
        self.own.as_ref().map_or(&self.routes, |own| own.routes())
    }
}
