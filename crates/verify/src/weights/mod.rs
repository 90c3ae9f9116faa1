//! Compares the weights an artifact stores with the checkpoint's, tensor by tensor, and names what differs.
//!
//! Quantizing is a function: doing it again with the scheme the artifact names must give the values the artifact holds,
//! bit for bit. That *replay* finds a single wrong nibble, which no metric over a whole tensor would notice.

mod diagnose;
mod expected;
mod names;
mod stored;
mod tensor;

pub use names::identify;
pub use stored::StoredValues;
pub(crate) use tensor::sqnr;
pub use tensor::{Difference, Replay, TensorComparison, WorstRow};

use lfmq_core::{Fault, Observer, StoredTensor, TensorId, TensorSource, Unit, Weights};
use serde::Serialize;
use std::collections::{BTreeMap, HashMap, HashSet};

/// Importance of the columns of a tensor (`cols` of them), where there is any.
pub type ImportanceOf<'a> = dyn Fn(&TensorId, usize) -> Option<Vec<f32>> + Sync + 'a;

/// How many differing tensors are looked at more closely.
const DIAGNOSED: usize = 16;

/// All tensors of one role in one scheme.
#[derive(Clone, Debug, Serialize)]
pub struct RoleSummary {
    /// The role, e.g. `expert_down`.
    pub role: &'static str,
    /// The scheme, e.g. `q4_k`.
    pub scheme: String,
    /// How many tensors.
    pub tensors: usize,
    /// Signal to quantization noise of all of them together, dB; `None` if there is no noise.
    pub sqnr_db: Option<f64>,
    /// The lowest of a single tensor.
    pub worst_sqnr_db: Option<f64>,
    /// That tensor's name.
    pub worst: String,
}

/// What the replay of all tensors says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum ReplayVerdict {
    /// Every tensor that could be replayed holds exactly the expected values.
    Exact,
    /// Some do not.
    Differs {
        /// Their names; without the quantized ones if all of those seem to be made another way.
        tensors: Vec<String>,
    },
    /// Most quantized tensors differ, so the artifact was made another way: with importance weights that were not
    /// given, or by another program. Says nothing about damage.
    NotReplayable {
        /// Why we think so.
        why: String,
    },
}

/// Tensors that only one side has, or that have another shape.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Mismatch {
    /// The checkpoint has it, the artifact does not.
    Missing {
        /// Which.
        tensor: String,
    },
    /// The artifact has it, the checkpoint does not.
    Unknown {
        /// Which.
        tensor: String,
    },
    /// Both have it in different shapes.
    Shape {
        /// Which.
        tensor: String,
        /// `(rows, cols)` in the checkpoint.
        expected: (usize, usize),
        /// `(rows, cols)` in the artifact.
        found: (usize, usize),
    },
}

/// The comparison of all weights.
#[derive(Clone, Debug, Serialize)]
pub struct WeightReport {
    /// What the replay says.
    pub replay: ReplayVerdict,
    /// Tensors replayed exactly.
    pub exact: usize,
    /// Tensors that differ from their replay.
    pub differs: usize,
    /// Tensors that could not be replayed.
    pub not_replayed: usize,
    /// Tensors that do not correspond.
    pub mismatches: Vec<Mismatch>,
    /// By role and scheme.
    pub roles: Vec<RoleSummary>,
    /// Every tensor.
    pub tensors: Vec<TensorComparison>,
}

/// Compares every tensor of `candidate` with `source`. `importance` gives the column weights the artifact was made
/// with, if it was made with any.
///
/// # Errors
/// When either side cannot be read.
pub fn compare(
    candidate: &dyn Weights,
    source: &dyn TensorSource,
    importance: Option<&ImportanceOf<'_>>,
    observer: &dyn Observer,
) -> Result<WeightReport, Fault> {
    let places: HashMap<TensorId, usize> = source.tensors().iter().enumerate().map(|(i, t)| (t.id, i)).collect();
    let all = identify(candidate.tensors(), source);
    let strangers = names::strangers(&all, source);
    let mut mismatches = missing(&all, source);
    let mut tensors = Vec::new();
    let mut pairs = Vec::new();
    observer.begin("weights", all.iter().map(|t| t.bytes).sum(), Unit::Bytes);
    for (index, stored) in all.iter().enumerate() {
        match stored.id.and_then(|id| Some((id, *places.get(&id)?))) {
            None => mismatches.push(Mismatch::Unknown { tensor: stored.name.clone() }),
            Some((id, place)) => {
                let own = &source.tensors()[place];
                let (expected, found) = ((own.rows, own.cols), (stored.rows, stored.cols));
                if expected == found {
                    let importance = importance.and_then(|of| of(&id, stored.cols));
                    tensors.push(tensor::compare((candidate, index), (source, place), importance.as_deref())?);
                    pairs.push((index, place));
                } else {
                    mismatches.push(Mismatch::Shape { tensor: stored.name.clone(), expected, found });
                }
            }
        }
        observer.advance(stored.bytes);
    }
    let replay = match strangers {
        Some(why) => {
            mismatches.clear();
            ReplayVerdict::NotReplayable { why }
        }
        None => verdict(&tensors),
    };
    if let ReplayVerdict::Differs { tensors: named } = &replay {
        let differing = tensors.iter_mut().zip(&pairs).filter(|(t, _)| named.contains(&t.name));
        for (tensor, (index, place)) in differing.take(DIAGNOSED) {
            diagnose::diagnose(candidate, *index, source, *place, tensor)?;
        }
    }
    observer.end();
    let count = |of: fn(&Replay) -> bool| tensors.iter().filter(|t| of(&t.replay)).count();
    Ok(WeightReport {
        exact: count(|r| matches!(r, Replay::Exact)),
        differs: count(|r| matches!(r, Replay::Differs(_))),
        not_replayed: count(|r| matches!(r, Replay::NotReplayed { .. })),
        replay,
        mismatches,
        roles: roles(&tensors),
        tensors,
    })
}

/// Tensors of the checkpoint that the artifact lacks.
fn missing(stored: &[StoredTensor], source: &dyn TensorSource) -> Vec<Mismatch> {
    let there: HashSet<TensorId> = stored.iter().filter_map(|t| t.id).collect();
    let lacks = source.tensors().iter().filter(|t| !there.contains(&t.id));
    lacks.map(|t| Mismatch::Missing { tensor: t.name.clone() }).collect()
}

fn verdict(tensors: &[TensorComparison]) -> ReplayVerdict {
    let differs = |t: &&TensorComparison| matches!(t.replay, Replay::Differs(_));
    let name = |t: &TensorComparison| t.name.clone();
    let replayed = |t: &&TensorComparison| !t.float && !matches!(t.replay, Replay::NotReplayed { .. });
    let quantized = tensors.iter().filter(replayed).count();
    let wrong = tensors.iter().filter(replayed).filter(differs).count();
    // Damage is local, another way of quantizing is everywhere. What is kept in float depends on no choice.
    let otherwise = quantized > 2 && wrong * 4 > quantized * 3;
    let names: Vec<String> = tensors.iter().filter(differs).filter(|t| t.float || !otherwise).map(name).collect();
    if !names.is_empty() {
        ReplayVerdict::Differs { tensors: names }
    } else if otherwise {
        ReplayVerdict::NotReplayable {
            why: format!("{wrong} of {quantized} quantized tensors differ from their replay"),
        }
    } else {
        ReplayVerdict::Exact
    }
}

fn roles(tensors: &[TensorComparison]) -> Vec<RoleSummary> {
    let mut groups: BTreeMap<(&'static str, &str), Vec<&TensorComparison>> = BTreeMap::new();
    for tensor in tensors {
        groups.entry((tensor.role, &tensor.scheme)).or_default().push(tensor);
    }
    let lower = |a: &&TensorComparison, b: &&TensorComparison| a.noise_ratio.total_cmp(&b.noise_ratio);
    let summary = |((role, scheme), members): ((&'static str, &str), Vec<&TensorComparison>)| {
        let worst = members.iter().copied().max_by(|a, b| lower(a, b));
        let sum = |of: fn(&TensorComparison) -> f64| members.iter().map(|t| of(t)).sum::<f64>();
        RoleSummary {
            role,
            scheme: scheme.to_owned(),
            tensors: members.len(),
            sqnr_db: tensor::sqnr(sum(|t| t.signal), sum(|t| t.noise)),
            worst_sqnr_db: worst.and_then(|t| t.sqnr_db),
            worst: worst.map(|t| t.name.clone()).unwrap_or_default(),
        }
    };
    groups.into_iter().map(summary).collect()
}

impl WeightReport {
    /// The lowest signal-to-noise ratio of a quantized tensor, and its name; `None` if nothing is quantized with noise.
    #[must_use]
    pub fn worst(&self) -> Option<(f64, &str)> {
        let quantized = self.tensors.iter().filter(|t| !t.float);
        quantized.filter_map(|t| Some((t.sqnr_db?, t.name.as_str()))).min_by(|a, b| a.0.total_cmp(&b.0))
    }

    /// Every place where the artifact holds something else than the checkpoint and its scheme say, in words.
    #[must_use]
    pub fn findings(&self) -> Vec<String> {
        let odd = self.mismatches.iter().map(|m| match m {
            Mismatch::Missing { tensor } => format!("`{tensor}` is missing"),
            Mismatch::Unknown { tensor } => format!("`{tensor}` is not a tensor of the checkpoint"),
            Mismatch::Shape { tensor, expected, found } => {
                format!("`{tensor}` is {found:?} instead of {expected:?} (rows, columns)")
            }
        });
        let named: &[String] = if let ReplayVerdict::Differs { tensors } = &self.replay { tensors } else { &[] };
        let differing = self.tensors.iter().filter(|t| named.contains(&t.name)).filter_map(|t| match &t.replay {
            Replay::Differs(d) => Some(format!("`{}` ({}, {}): {d}", t.name, t.tensor, t.scheme)),
            _ => None,
        });
        let none = self.exact == 0 && named.len() > 3;
        let stranger =
            none.then(|| "not one tensor is the checkpoint's: was the artifact made of another one?".to_owned());
        stranger.into_iter().chain(odd).chain(differing).collect()
    }
}
