//! Limits and verdicts. A limit is judged by the confidence bound: what may be on either side is INCONCLUSIVE.

mod file;
mod judge;

pub use file::{GateFile, Inconclusive, Limits, WeightPolicy};

use lfmq_core::StoredTensor;
use serde::Serialize;
use std::fmt;

/// What a gate says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The whole confidence interval is within the limit.
    Pass,
    /// The whole confidence interval is beyond the limit.
    Fail,
    /// The limit lies inside the interval, or there is no interval.
    Inconclusive,
    /// There is a limit but nothing was measured to hold against it. Decides nothing.
    NotMeasured,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Pass => "PASS",
            Self::Fail => "FAIL",
            Self::Inconclusive => "INCONCLUSIVE",
            Self::NotMeasured => "not measured",
        })
    }
}

/// One judged limit.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GateResult {
    /// The limit's key, e.g. `kld_mean_max`, with the task's kind where there are several.
    pub name: String,
    /// The limit; `None` for gates on weights and metadata, which allow nothing.
    pub limit: Option<f64>,
    /// The point.
    pub value: Option<f64>,
    /// The end of the confidence interval that decides for PASS; `None` where it is unbounded.
    pub bound: Option<f64>,
    /// The verdict.
    pub verdict: Verdict,
    /// What to know about it.
    pub note: Option<String>,
}

/// All gates of one report.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GateReport {
    /// The class whose limits were used.
    pub class: BitsClass,
    /// The limits' source: `built-in` or a file's name.
    pub source: String,
    /// FAIL if any gate fails, else INCONCLUSIVE if any is, else PASS.
    pub verdict: Verdict,
    /// Whether the program should exit with 0.
    pub holds: bool,
    /// The gates.
    pub gates: Vec<GateResult>,
}

/// Which limits an artifact is held to: by the bits of its layers' matrices, as stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the names say it")]
pub enum BitsClass {
    Bits2,
    Bits3,
    Bits4,
    Bits5,
    Bits6,
    Bits8,
    Float,
}

impl BitsClass {
    /// The class of an artifact, by mean stored bits of a weight in the matrices inside the layers. Embedding and head
    /// often have more and say little about the rest. Class `n` reaches to `n` + 1.3 bits: super-block formats store up
    /// to 0.63 bits of scales, and presets give some tensors more.
    #[must_use]
    pub fn of(tensors: &[StoredTensor]) -> Self {
        let matrix = |t: &&StoredTensor| t.id.is_some_and(|id| id.layer.is_some() && id.role.quantizable());
        let inner = tensors.iter().filter(matrix);
        let (bytes, weights) = inner.fold((0, 0), |(b, w), t| (b + t.bytes, w + (t.rows as u64) * (t.cols as u64)));
        if weights == 0 {
            return Self::Float;
        }
        Self::of_bits(8.0 * bytes as f64 / weights as f64)
    }

    /// The class of so many stored bits a weight.
    #[must_use]
    pub fn of_bits(bits: f64) -> Self {
        let classes = [
            (Self::Bits2, 3.3),
            (Self::Bits3, 4.2),
            (Self::Bits4, 5.3),
            (Self::Bits5, 6.3),
            (Self::Bits6, 7.3),
            (Self::Bits8, 10.0),
        ];
        classes.iter().find(|(_, below)| bits < *below).map_or(Self::Float, |(class, _)| *class)
    }
}

impl fmt::Display for BitsClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Bits2 => "bits2",
            Self::Bits3 => "bits3",
            Self::Bits4 => "bits4",
            Self::Bits5 => "bits5",
            Self::Bits6 => "bits6",
            Self::Bits8 => "bits8",
            Self::Float => "float",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lfmq_core::{TensorId, TensorRole};

    fn stored(bits: f64) -> StoredTensor {
        StoredTensor {
            id: Some(TensorId::layer(0, TensorRole::FfnUp)),
            name: String::new(),
            scheme: String::new(),
            rows: 64,
            cols: 256,
            bytes: (bits * 64.0 * 256.0 / 8.0) as u64,
        }
    }

    #[test]
    fn class_follows_the_layers() {
        // Bits a weight of q2_k, q3_k, iq4_xs, q4_0, q4_k with some q6_k, q5_k, q6_k, q8_0, bf16.
        for (bits, class) in [
            (2.625, BitsClass::Bits2),
            (3.4375, BitsClass::Bits3),
            (4.25, BitsClass::Bits4),
            (4.5, BitsClass::Bits4),
            (5.1, BitsClass::Bits4),
            (5.5, BitsClass::Bits5),
            (6.5625, BitsClass::Bits6),
            (8.5, BitsClass::Bits8),
            (16.0, BitsClass::Float),
        ] {
            let mut embedding = stored(32.0);
            embedding.id = Some(TensorId::global(TensorRole::Embedding));
            assert_eq!(BitsClass::of(&[stored(bits), embedding]), class, "{bits}");
        }
        assert_eq!(BitsClass::of(&[]), BitsClass::Float);
    }
}
