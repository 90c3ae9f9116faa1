use super::expected::Expected;
use lfmq_core::{Fault, TensorSource, Weights};
use rayon::prelude::*;
use serde::Serialize;
use std::fmt;
use std::ops::Range;

/// Values that differ from what re-quantizing the checkpoint gives.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// How many.
    pub values: u64,
    /// In how many rows.
    pub rows: u64,
    /// `(row, column)` of the first.
    pub first: (usize, usize),
    /// What the scheme gives there.
    pub expected: f32,
    /// What the artifact holds there.
    pub found: f32,
    /// Columns of the differing values, if they lie in one row.
    pub columns: (usize, usize),
    /// Whether every differing value is the expected one with the other sign.
    pub negated: bool,
    /// What seems to have happened.
    pub diagnosis: Option<String>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(diagnosis) = &self.diagnosis {
            write!(f, "{diagnosis}; ")?;
        }
        let (row, col) = self.first;
        write!(f, "{} values in {} rows differ, ", self.values, self.rows)?;
        write!(f, "first at row {row}, column {col}: {} instead of {}", self.found, self.expected)
    }
}

/// Whether re-quantizing the checkpoint gives the artifact's values.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Replay {
    /// Every value, bit for bit (a zero's sign aside).
    Exact,
    /// Not every value.
    Differs(Difference),
    /// Could not be tried.
    NotReplayed {
        /// Why.
        why: String,
    },
}

/// The row with the lowest signal-to-noise ratio.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct WorstRow {
    /// Which.
    pub row: usize,
    /// Its ratio in dB.
    pub sqnr_db: f64,
}

/// One tensor, artifact against checkpoint.
#[derive(Clone, Debug, Serialize)]
pub struct TensorComparison {
    /// Its name in the artifact.
    pub name: String,
    /// What it is, e.g. `layer 3 expert_up[7]`.
    pub tensor: String,
    /// Its role alone.
    pub role: &'static str,
    /// The scheme it is stored in.
    pub scheme: String,
    /// Whether that is a float type.
    pub float: bool,
    /// `(rows, cols)`.
    pub shape: (usize, usize),
    /// Stored bytes.
    pub bytes: u64,
    /// Signal to noise in dB, `10 log10(sum x^2 / sum (x - y)^2)`; `None` if there is no noise.
    pub sqnr_db: Option<f64>,
    /// Cosine of checkpoint's and artifact's values.
    pub cosine: f64,
    /// Largest absolute difference.
    pub max_abs_error: f64,
    /// The row that came off worst.
    pub worst_row: Option<WorstRow>,
    /// The replay.
    pub replay: Replay,
    #[serde(skip)]
    pub(super) signal: f64,
    #[serde(skip)]
    pub(super) noise: f64,
    #[serde(skip)]
    pub(super) noise_ratio: f64,
}

/// `10 log10(signal / noise)`, `None` without noise. A silent signal counts as the least there is.
pub(crate) fn sqnr(signal: f64, noise: f64) -> Option<f64> {
    (noise > 0.0 || noise.is_nan()).then(|| 10.0 * libm::log10(signal.max(f64::MIN_POSITIVE) / noise))
}

/// Weights handled at a time by one thread.
const CHUNK: usize = 1 << 17;

/// Rows `0..rows` in pieces of at most [`CHUNK`] weights.
pub(super) fn pieces(rows: usize, cols: usize) -> Vec<Range<usize>> {
    let step = (CHUNK / cols.max(1)).max(1);
    (0..rows).step_by(step).map(|start| start..(start + step).min(rows)).collect()
}

/// Sums over some rows.
#[derive(Default)]
struct Tally {
    signal: f64,
    noise: f64,
    dot: f64,
    energy: f64,
    max: f64,
    worst: Option<WorstRow>,
    difference: Option<Difference>,
    failed: Option<String>,
}

/// Compares tensor `index` of the artifact with tensor `place` of the checkpoint.
pub(super) fn compare(
    (candidate, index): (&dyn Weights, usize),
    (source, place): (&dyn TensorSource, usize),
    importance: Option<&[f32]>,
) -> Result<TensorComparison, Fault> {
    let (stored, own) = (&candidate.tensors()[index], &source.tensors()[place]);
    let expected = likely((candidate, index), (source, place), importance)?;
    let work = |rows: &Range<usize>| -> Result<Tally, Fault> {
        let (mut x, mut y) = (vec![0.0; rows.len() * stored.cols], vec![0.0; rows.len() * stored.cols]);
        source.read_rows(place, rows.clone(), &mut x)?;
        candidate.read_rows(index, rows.clone(), &mut y)?;
        let mut tally = Tally::default();
        tally.measure(&x, &y, stored.cols, rows.start);
        if let Some(expected) = &expected {
            let mut z = vec![0.0; x.len()];
            match expected.values(&x, stored.cols, importance, &mut z) {
                Ok(()) => tally.difference = difference(&z, &y, stored.cols, rows.start),
                Err(error) => tally.failed = Some(error.to_string()),
            }
        }
        Ok(tally)
    };
    let parts: Vec<Tally> = pieces(stored.rows, stored.cols).par_iter().map(work).collect::<Result<_, _>>()?;
    let all = parts.into_iter().fold(Tally::default(), Tally::join);
    let replay = match (&expected, all.failed, all.difference) {
        (None, ..) => Replay::NotReplayed { why: format!("there is no scheme `{}` here", stored.scheme) },
        (_, Some(why), _) => Replay::NotReplayed { why },
        (_, None, Some(difference)) => Replay::Differs(difference),
        (_, None, None) => Replay::Exact,
    };
    let norms = (all.signal * all.energy).sqrt();
    Ok(TensorComparison {
        name: stored.name.clone(),
        tensor: own.id.to_string(),
        role: own.id.role.word(),
        scheme: expected.as_ref().map_or_else(|| stored.scheme.clone(), |e| e.word().to_owned()),
        float: expected.as_ref().is_some_and(Expected::is_float),
        shape: (stored.rows, stored.cols),
        bytes: stored.bytes,
        sqnr_db: sqnr(all.signal, all.noise),
        cosine: if norms > 0.0 { all.dot / norms } else { f64::from(u8::from(all.signal == all.energy)) },
        max_abs_error: all.max,
        worst_row: all.worst,
        replay,
        signal: all.signal,
        noise: all.noise,
        noise_ratio: all.noise / all.signal.max(f64::MIN_POSITIVE),
    })
}

/// The scheme that gives the values of the first rows: the one the artifact names, or another on the same grid, where it
/// gives more of them.
fn likely(
    (candidate, index): (&dyn Weights, usize),
    (source, place): (&dyn TensorSource, usize),
    importance: Option<&[f32]>,
) -> Result<Option<Expected>, Fault> {
    let stored = &candidate.tensors()[index];
    let mut all = Expected::on_grid_of(&stored.scheme);
    let Some(rows) = pieces(stored.rows, stored.cols).into_iter().next().filter(|_| all.len() > 1) else {
        return Ok(all.pop());
    };
    let (mut x, mut y) = (vec![0.0; rows.len() * stored.cols], vec![0.0; rows.len() * stored.cols]);
    source.read_rows(place, rows.clone(), &mut x)?;
    candidate.read_rows(index, rows, &mut y)?;
    let mut z = vec![0.0; x.len()];
    let (mut best, mut least) = (None, None);
    for expected in all {
        let tried = expected.values(&x, stored.cols, importance, &mut z);
        let wrong = tried.map_or(u64::MAX, |()| difference(&z, &y, stored.cols, 0).map_or(0, |d| d.values));
        if least.is_none_or(|least| wrong < least) {
            (best, least) = (Some(expected), Some(wrong));
        }
        if wrong == 0 {
            break;
        }
    }
    Ok(best)
}

impl Tally {
    /// Adds up rows of source values `x` and stored values `y`, both `[rows, cols]`.
    fn measure(&mut self, x: &[f32], y: &[f32], cols: usize, first_row: usize) {
        for (row, (x, y)) in (first_row..).zip(x.chunks_exact(cols).zip(y.chunks_exact(cols))) {
            let (mut signal, mut noise) = (0.0, 0.0);
            for (x, y) in x.iter().zip(y) {
                let (x, y) = (f64::from(*x), f64::from(*y));
                let d = (x - y).abs();
                signal += x * x;
                noise += d * d;
                self.dot += x * y;
                self.energy += y * y;
                self.max = if d.is_nan() { d } else { self.max.max(d) };
            }
            self.signal += signal;
            self.noise += noise;
            let this = sqnr(signal, noise).map(|sqnr_db| WorstRow { row, sqnr_db });
            self.worst = worse(self.worst, this);
        }
    }

    fn join(self, other: Self) -> Self {
        Self {
            signal: self.signal + other.signal,
            noise: self.noise + other.noise,
            dot: self.dot + other.dot,
            energy: self.energy + other.energy,
            max: if other.max.is_nan() { other.max } else { self.max.max(other.max) },
            worst: worse(self.worst, other.worst),
            difference: match (self.difference, other.difference) {
                (Some(a), Some(b)) => Some(Difference {
                    values: a.values + b.values,
                    rows: a.rows + b.rows,
                    negated: a.negated && b.negated,
                    ..a
                }),
                (a, b) => a.or(b),
            },
            failed: self.failed.or(other.failed),
        }
    }
}

fn worse(a: Option<WorstRow>, b: Option<WorstRow>) -> Option<WorstRow> {
    match (a, b) {
        (Some(a), Some(b)) if b.sqnr_db < a.sqnr_db => Some(b),
        (Some(a), _) => Some(a),
        (None, b) => b,
    }
}

/// Where `found` is not `expected`, both `[rows, cols]` from row `first_row` on.
fn difference(expected: &[f32], found: &[f32], cols: usize, first_row: usize) -> Option<Difference> {
    let mut seen: Option<Difference> = None;
    let mut last_row = None;
    for (i, (e, f)) in expected.iter().zip(found).enumerate() {
        // `==` lets a zero have either sign; the bits let equal NaNs pass.
        if e == f || e.to_bits() == f.to_bits() {
            continue;
        }
        let (row, col) = (first_row + i / cols, i % cols);
        let d = seen.get_or_insert(Difference {
            values: 0,
            rows: 0,
            first: (row, col),
            expected: *e,
            found: *f,
            columns: (col, col),
            negated: true,
            diagnosis: None,
        });
        d.values += 1;
        d.rows += u64::from(last_row != Some(row));
        d.columns = (d.columns.0.min(col), d.columns.1.max(col));
        d.negated &= *e == -*f;
        last_row = Some(row);
    }
    seen
}
