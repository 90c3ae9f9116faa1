//! A whole model through its plan: slabs of rows, in parallel, in bounded memory.

use crate::{Importance, QuantError, Scheme, dequantize, scheme};
use lfmq_core::{ExportPlan, Fault, Observer, QuantPlan, QuantizedRows, Sink, TensorPlan, TensorSource, Unit};
use lfmq_gguf_wire::names::tensor_name;
use serde::Serialize;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// Weights in a slab, but one row at least. Not a matter of memory or threads, so that error figures are not either.
const SLAB: usize = 1 << 18;

/// Bytes a slab costs for each of its weights: as read, as decoded, and at most five quantized and five packed.
const COST: usize = 18;

/// How far the chosen values of one tensor are from the weights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct WeightError {
    /// Sum of the squared weights.
    pub signal: f64,
    /// Sum of the squared errors.
    pub noise: f64,
    /// Largest absolute error.
    pub worst: f32,
}

impl WeightError {
    /// Signal to noise in dB; infinite without an error.
    #[must_use]
    pub fn sqnr_db(&self) -> f64 {
        if self.noise == 0.0 { f64::INFINITY } else { 10.0 * (self.signal / self.noise).log10() }
    }

    /// Of the weights `x` and the values `y` that stand for them. Eight sums side by side, joined in order.
    fn of(x: &[f32], y: &[f32]) -> Self {
        let (mut signal, mut noise, mut worst) = ([0.0f64; 8], [0.0f64; 8], [0.0f32; 8]);
        let mut add = |k: usize, x: f32, y: f32| {
            let d = x - y;
            signal[k] += f64::from(x) * f64::from(x);
            noise[k] += f64::from(d) * f64::from(d);
            worst[k] = if d.abs() > worst[k] { d.abs() } else { worst[k] };
        };
        let ((eights, x), (of_eights, y)) = (x.as_chunks::<8>(), y.as_chunks::<8>());
        for (x, y) in eights.iter().zip(of_eights) {
            (0..8).for_each(|k| add(k, x[k], y[k]));
        }
        x.iter().zip(y).enumerate().for_each(|(k, (x, y))| add(k, *x, *y));
        let worst = worst.into_iter().fold(0.0, f32::max);
        Self { signal: signal.iter().sum(), noise: noise.iter().sum(), worst }
    }

    /// Both together.
    #[must_use]
    fn and(self, other: Self) -> Self {
        Self { signal: self.signal + other.signal, noise: self.noise + other.noise, worst: self.worst.max(other.worst) }
    }
}

/// What [`quantize`] did.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct DriveReport {
    /// By tensor of the source; `None` for tensors that were already written.
    pub tensors: Vec<Option<WeightError>>,
}

/// Quantizes every tensor of `source` as `plan` says and hands the rows to every output.
///
/// Rows are taken in slabs of a fixed size, in parallel on the current rayon pool; each is read once and
/// quantized once. At most `memory` bytes of slabs are alive at a time (one slab at least). Tensors for which
/// `done` says true are left out; `finished` is called once all slabs of a tensor are written.
///
/// # Errors
/// The first error of reading, quantizing, writing or `finished`; no further slab is begun.
#[allow(clippy::too_many_arguments, reason = "one call, from the program")]
pub fn quantize(
    source: &dyn TensorSource,
    plan: &QuantPlan,
    importance: Option<&Importance>,
    outputs: &[(&dyn ExportPlan, &dyn Sink)],
    done: &dyn Fn(usize) -> bool,
    finished: &(dyn Fn(usize) -> Result<(), Fault> + Sync),
    memory: usize,
    observer: &dyn Observer,
) -> Result<DriveReport, Fault> {
    let count = plan.tensors.len();
    let (slabs, open) = slabs(plan, done);
    let weights: u64 = slabs.iter().map(|s| s.weights(plan) as u64).sum();
    observer.begin("quantize", weights, Unit::Items);
    let line =
        Line { plan, slabs, open, next: AtomicUsize::new(0), stop: AtomicBool::new(false), failed: Mutex::default() };
    let workers = (memory / (SLAB * COST)).clamp(1, rayon::current_num_threads());
    let mut figures = vec![WeightError::default(); line.slabs.len()];
    let of_worker = Mutex::new(Vec::new());
    rayon::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|_| {
                let mut desk = Desk { source, importance, outputs, finished, observer, buffers: Buffers::default() };
                let mine = line.work(&mut desk);
                lock(&of_worker).extend(mine);
            });
        }
    });
    observer.end();
    if let Some((_, fault)) = lock(&line.failed).take() {
        return Err(fault);
    }
    for (slab, figure) in of_worker.into_inner().unwrap_or_else(PoisonError::into_inner) {
        figures[slab] = figure;
    }
    Ok(DriveReport { tensors: combine(count, &line.slabs, &figures) })
}

/// The figures of each tensor, its slabs joined in their order.
fn combine(count: usize, slabs: &[Slab], figures: &[WeightError]) -> Vec<Option<WeightError>> {
    let mut tensors: Vec<Option<WeightError>> = vec![None; count];
    for (slab, figure) in slabs.iter().zip(figures) {
        let sum = &mut tensors[slab.tensor];
        *sum = Some(sum.map_or(*figure, |s| s.and(*figure)));
    }
    tensors
}

/// Some rows of one tensor.
struct Slab {
    tensor: usize,
    rows: Range<usize>,
}

impl Slab {
    fn weights(&self, plan: &QuantPlan) -> usize {
        self.rows.len() * plan.tensors[self.tensor].shape.1
    }
}

/// The slabs of all tensors that are not `done`, in order, and how many each tensor has.
fn slabs(plan: &QuantPlan, done: &dyn Fn(usize) -> bool) -> (Vec<Slab>, Vec<AtomicUsize>) {
    let mut all = Vec::new();
    let mut open = Vec::new();
    for (tensor, TensorPlan { shape: (rows, cols), .. }) in plan.tensors.iter().enumerate() {
        let before = all.len();
        let step = (SLAB / (*cols).max(1)).max(1);
        if !done(tensor) {
            all.extend((0..*rows).step_by(step).map(|r| Slab { tensor, rows: r..(r + step).min(*rows) }));
        }
        open.push(AtomicUsize::new(all.len() - before));
    }
    (all, open)
}

/// The work in order, and where its workers stand.
struct Line<'a> {
    plan: &'a QuantPlan,
    slabs: Vec<Slab>,
    /// By tensor, slabs not yet written.
    open: Vec<AtomicUsize>,
    next: AtomicUsize,
    stop: AtomicBool,
    /// The failure of the earliest slab that failed.
    failed: Mutex<Option<(usize, Fault)>>,
}

impl Line<'_> {
    /// Takes slabs until there are none or one failed; returns the figures of those it did.
    fn work(&self, desk: &mut Desk<'_>) -> Vec<(usize, WeightError)> {
        let mut mine = Vec::new();
        while !self.stop.load(Ordering::Relaxed) {
            let at = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(slab) = self.slabs.get(at) else { break };
            match self.take(slab, desk) {
                Ok(figure) => mine.push((at, figure)),
                Err(fault) => {
                    self.stop.store(true, Ordering::Relaxed);
                    let mut failed = lock(&self.failed);
                    if failed.as_ref().is_none_or(|(first, _)| at < *first) {
                        *failed = Some((at, fault));
                    }
                }
            }
        }
        mine
    }

    fn take(&self, slab: &Slab, desk: &mut Desk<'_>) -> Result<WeightError, Fault> {
        let figure = desk.process(slab, &self.plan.tensors[slab.tensor])?;
        // The last slab of a tensor sees the writes of the others.
        if self.open[slab.tensor].fetch_sub(1, Ordering::AcqRel) == 1 {
            (desk.finished)(slab.tensor)?;
        }
        desk.observer.advance(slab.weights(self.plan) as u64);
        Ok(figure)
    }
}

/// What one worker has at hand.
struct Desk<'a> {
    source: &'a dyn TensorSource,
    importance: Option<&'a Importance>,
    outputs: &'a [(&'a dyn ExportPlan, &'a dyn Sink)],
    finished: &'a (dyn Fn(usize) -> Result<(), Fault> + Sync),
    observer: &'a dyn Observer,
    buffers: Buffers,
}

#[derive(Default)]
struct Buffers {
    weights: Vec<f32>,
    values: Vec<f32>,
    rows: QuantizedRows,
}

impl Desk<'_> {
    fn process(&mut self, slab: &Slab, plan: &TensorPlan) -> Result<WeightError, Fault> {
        let cols = plan.shape.1;
        let Buffers { weights, values, rows } = &mut self.buffers;
        weights.resize(slab.rows.len() * cols, 0.0);
        values.resize(weights.len(), 0.0);
        self.source.read_rows(slab.tensor, slab.rows.clone(), weights)?;
        let of_tensor = |why: QuantError| below(why, slab.rows.start).of_tensor(&plan.name);
        let importance = match self.importance {
            Some(i) => i.weights(&tensor_name(plan.id), plan.id.role.expert(), cols).map_err(of_tensor)?,
            None => None,
        };
        chosen(plan)?.quantize(weights, cols, importance.as_deref(), rows).map_err(of_tensor)?;
        dequantize(&plan.grid, rows, values).map_err(of_tensor)?;
        for (export, sink) in self.outputs {
            export.write_rows(slab.tensor, slab.rows.start, rows, *sink)?;
        }
        Ok(WeightError::of(weights, values))
    }
}

fn chosen(plan: &TensorPlan) -> Result<&'static dyn Scheme, QuantError> {
    scheme(plan.scheme.0).ok_or_else(|| QuantError::UnknownScheme {
        found: plan.scheme.0.to_owned(),
        allowed: crate::schemes::ALL.map(|s| s.id().0).join(" "),
    })
}

/// The same error with rows counted from the tensor's first, not the slab's.
fn below(why: QuantError, first: usize) -> QuantError {
    match why {
        QuantError::NotFinite { row, col, value } => QuantError::NotFinite { row: row + first, col, value },
        QuantError::Scale { scheme, row, col, value } => QuantError::Scale { scheme, row: row + first, col, value },
        other => other,
    }
}

/// A panicking worker stops the run by itself; the lock is no reason to panic once more.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
