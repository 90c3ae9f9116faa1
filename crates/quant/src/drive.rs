//! A whole model through its plans: slabs of rows, in parallel, in bounded memory.

use crate::schemes::dequantize_parts;
use crate::weight_error::Sums;
use crate::{Importance, QuantError, Scheme, WeightError, scheme};
use lfmq_core::{
    ExportPlan, Fault, Observer, QuantPlan, QuantizedRows, Sink, SourceTensor, TensorPlan, TensorSource, Unit,
};
use lfmq_gguf_wire::names::tensor_name;
use serde::Serialize;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// Weights in a slab, but one row at least. Not a matter of memory or threads, so that error figures are not either.
const SLAB: usize = 1 << 16;

/// Bytes a slab costs for each of its weights: as read, and at most five quantized and five packed.
/// Schemes and outputs take their turns, so their number does not count.
const COST: usize = 14;

/// Somewhere a model goes: its plan, and who writes it.
pub struct Output<'a> {
    /// One entry a tensor of the source, in its order.
    pub plan: &'a QuantPlan,
    /// Who packs and writes the rows, and where to: one for each format that holds this plan.
    pub writers: &'a [(&'a dyn ExportPlan, &'a dyn Sink)],
    /// Tensors that are written already.
    pub done: &'a (dyn Fn(usize) -> bool + Sync),
    /// Told once all rows of a tensor are written; called from any thread.
    pub finished: &'a (dyn Fn(usize) -> Result<(), Fault> + Sync),
}

/// What [`quantize`] did.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct DriveReport {
    /// By tensor of the source; `None` for tensors that were already written.
    pub tensors: Vec<Option<WeightError>>,
}

/// Quantizes every tensor of `source` as `plan` says and hands the rows to every writer: [`quantize_all`] for one plan.
///
/// # Errors
/// As [`quantize_all`].
#[allow(clippy::too_many_arguments, reason = "one call, from the program")]
pub fn quantize(
    source: &dyn TensorSource,
    plan: &QuantPlan,
    importance: Option<&Importance>,
    writers: &[(&dyn ExportPlan, &dyn Sink)],
    done: &(dyn Fn(usize) -> bool + Sync),
    finished: &(dyn Fn(usize) -> Result<(), Fault> + Sync),
    memory: usize,
    observer: &dyn Observer,
) -> Result<DriveReport, Fault> {
    let output = Output { plan, writers, done, finished };
    let mut reports = quantize_all(source, importance, &[output], memory, observer)?;
    Ok(reports.pop().unwrap_or_default())
}

/// Brings every tensor of `source` to every output, as its plan says.
///
/// Rows are taken in slabs of a fixed size, in parallel on the current rayon pool; each is read once for all
/// outputs and quantized once for all that want the same scheme. At most `memory` bytes of slabs are alive at a time
/// (one slab at least). The reports are in the order of `outputs`.
///
/// # Errors
/// The first error of reading, quantizing, writing or `finished`; no further slab is begun.
pub fn quantize_all(
    source: &dyn TensorSource,
    importance: Option<&Importance>,
    outputs: &[Output<'_>],
    memory: usize,
    observer: &dyn Observer,
) -> Result<Vec<DriveReport>, Fault> {
    let tensors = source.tensors();
    tell_unreached(source, importance, observer);
    let lanes: Vec<Lane<'_>> = outputs.iter().map(|output| Lane::new(output, tensors.len())).collect();
    let (slabs, open) = slabs(tensors, &lanes);
    observer.begin("quantize", slabs.iter().map(|s| s.bytes(tensors)).sum(), Unit::Bytes);
    let line = Line {
        tensors,
        slabs,
        open,
        next: AtomicUsize::new(0),
        stop: AtomicBool::new(false),
        failed: Mutex::default(),
    };
    let workers = (memory / (SLAB * COST)).clamp(1, rayon::current_num_threads());
    let of_worker = Mutex::new(Vec::new());
    rayon::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|_| {
                let mut desk = Desk { source, importance, lanes: &lanes, observer, buffers: Buffers::default() };
                let mine = line.work(&mut desk);
                lock(&of_worker).extend(mine);
            });
        }
    });
    observer.end();
    if let Some((_, fault)) = lock(&line.failed).take() {
        return Err(fault);
    }
    let mut figures = of_worker.into_inner().unwrap_or_else(PoisonError::into_inner);
    figures.sort_by_key(|(slab, _)| *slab);
    Ok((0..outputs.len())
        .map(|lane| DriveReport { tensors: combine(tensors.len(), lane, &line.slabs, &figures) })
        .collect())
}

/// Names the experts whose columns weigh alike because calibration never reached them.
fn tell_unreached(source: &dyn TensorSource, importance: Option<&Importance>, observer: &dyn Observer) {
    let mut stacks: Vec<(String, Vec<String>)> = Vec::new();
    for (name, expert) in importance.map(|i| i.coverage(source.spec()).unreached).unwrap_or_default() {
        match stacks.last_mut().filter(|(last, _)| *last == name) {
            Some((_, experts)) => experts.push(expert.to_string()),
            None => stacks.push((name, vec![expert.to_string()])),
        }
    }
    for (name, experts) in stacks {
        let line = format!("{name}: no calibration token reached expert {}; quantized unweighted", experts.join(", "));
        observer.note(&line);
    }
}

/// The figures of a slab, by lane; `None` where the lane had the tensor already.
type Figures = Vec<Option<WeightError>>;

/// The figures of each tensor in one lane, its slabs joined in their order.
fn combine(count: usize, lane: usize, slabs: &[Slab], figures: &[(usize, Figures)]) -> Vec<Option<WeightError>> {
    let mut tensors: Vec<Option<WeightError>> = vec![None; count];
    for (slab, figure) in figures.iter().filter_map(|(slab, of)| Some((&slabs[*slab], of[lane]?))) {
        let sum = &mut tensors[slab.tensor];
        *sum = Some(sum.map_or(figure, |s| s.and(figure)));
    }
    tensors
}

/// An output while it is written, free of what only the caller's thread may ask.
struct Lane<'a> {
    plan: &'a QuantPlan,
    writers: &'a [(&'a dyn ExportPlan, &'a dyn Sink)],
    finished: &'a (dyn Fn(usize) -> Result<(), Fault> + Sync),
    /// By tensor, whether it is still to be written.
    wanted: Vec<bool>,
}

impl<'a> Lane<'a> {
    fn new(output: &Output<'a>, tensors: usize) -> Self {
        let wanted = (0..tensors).map(|t| !(output.done)(t)).collect();
        Self { plan: output.plan, writers: output.writers, finished: output.finished, wanted }
    }
}

/// Some rows of one tensor.
struct Slab {
    tensor: usize,
    rows: Range<usize>,
}

impl Slab {
    /// As the source stores it.
    fn bytes(&self, tensors: &[SourceTensor]) -> u64 {
        let tensor = &tensors[self.tensor];
        (self.rows.len() * tensor.cols * tensor.dtype.size()) as u64
    }
}

/// The slabs of all tensors that a lane wants, in order, and how many each tensor has.
fn slabs(tensors: &[SourceTensor], lanes: &[Lane<'_>]) -> (Vec<Slab>, Vec<AtomicUsize>) {
    let mut all = Vec::new();
    let mut open = Vec::new();
    for (tensor, SourceTensor { rows, cols, .. }) in tensors.iter().enumerate() {
        let before = all.len();
        let step = (SLAB / (*cols).max(1)).max(1);
        if lanes.iter().any(|lane| lane.wanted[tensor]) {
            all.extend((0..*rows).step_by(step).map(|r| Slab { tensor, rows: r..(r + step).min(*rows) }));
        }
        open.push(AtomicUsize::new(all.len() - before));
    }
    (all, open)
}

/// The work in order, and where its workers stand.
struct Line<'a> {
    tensors: &'a [SourceTensor],
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
    fn work(&self, desk: &mut Desk<'_>) -> Vec<(usize, Figures)> {
        let mut mine = Vec::new();
        while !self.stop.load(Ordering::Relaxed) {
            let at = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(slab) = self.slabs.get(at) else { break };
            match self.take(slab, desk) {
                Ok(figures) => mine.push((at, figures)),
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

    fn take(&self, slab: &Slab, desk: &mut Desk<'_>) -> Result<Figures, Fault> {
        let figures = desk.process(slab, self.tensors[slab.tensor].cols)?;
        // The last slab of a tensor sees the writes of the others.
        if self.open[slab.tensor].fetch_sub(1, Ordering::AcqRel) == 1 {
            desk.lanes
                .iter()
                .filter(|lane| lane.wanted[slab.tensor])
                .try_for_each(|lane| (lane.finished)(slab.tensor))?;
        }
        desk.observer.advance(slab.bytes(self.tensors));
        Ok(figures)
    }
}

/// What one worker has at hand.
struct Desk<'a> {
    source: &'a dyn TensorSource,
    importance: Option<&'a Importance>,
    lanes: &'a [Lane<'a>],
    observer: &'a dyn Observer,
    buffers: Buffers,
}

#[derive(Default)]
struct Buffers {
    weights: Vec<f32>,
    /// What a part of the rows stands for.
    values: Vec<f32>,
    rows: QuantizedRows,
}

impl Desk<'_> {
    /// Reads the rows, and for each scheme that a lane wants chooses the values and hands them to all lanes with it.
    fn process(&mut self, slab: &Slab, cols: usize) -> Result<Figures, Fault> {
        let Buffers { weights, values, rows } = &mut self.buffers;
        weights.resize(slab.rows.len() * cols, 0.0);
        self.source.read_rows(slab.tensor, slab.rows.clone(), weights)?;
        let mut figures = vec![None; self.lanes.len()];
        let mine = |lane: &Lane<'_>| lane.wanted[slab.tensor];
        for (first, lane) in self.lanes.iter().enumerate() {
            if figures[first].is_some() || !mine(lane) {
                continue;
            }
            let plan = &lane.plan.tensors[slab.tensor];
            let of_tensor = |why: QuantError| below(why, slab.rows.start).of_tensor(&plan.name);
            let importance = match self.importance {
                Some(i) => i.weights(&tensor_name(plan.id), plan.id.role.expert(), cols).map_err(of_tensor)?,
                None => None,
            };
            chosen(plan)?.quantize(weights, cols, importance.as_deref(), rows).map_err(of_tensor)?;
            let mut sums = Sums::default();
            dequantize_parts(&plan.grid, rows, values, |range, values| sums.add(&weights[range], values))
                .map_err(of_tensor)?;
            let figure = sums.total();
            for (lane, place) in self.lanes.iter().zip(&mut figures).skip(first) {
                if mine(lane) && lane.plan.tensors[slab.tensor].scheme == plan.scheme {
                    for (export, sink) in lane.writers {
                        export.write_rows(slab.tensor, slab.rows.start, rows, *sink)?;
                    }
                    *place = Some(figure);
                }
            }
        }
        Ok(figures)
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
