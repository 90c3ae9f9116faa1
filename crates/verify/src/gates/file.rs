use super::BitsClass;
use crate::VerifyError;
use serde::{Deserialize, Serialize};

/// What must be true of the stored weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WeightPolicy {
    /// Quantizing the checkpoint again gives exactly these values.
    Replay,
    /// Anything, as long as all tensors are there and the other limits hold.
    Any,
}

/// What an INCONCLUSIVE gate does to the exit code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Inconclusive {
    /// Nothing: only a proven failure fails.
    #[default]
    Pass,
    /// Fails: only a proven success passes.
    Fail,
}

/// Limits; what is absent is not judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Largest mean KL divergence, nats per token.
    pub kld_mean_max: Option<f64>,
    /// Largest 99th percentile of it.
    pub kld_p99_max: Option<f64>,
    /// Largest perplexity by the yardstick's.
    pub ppl_ratio_max: Option<f64>,
    /// Smallest share of positions with the same most likely token.
    pub same_top_min: Option<f64>,
    /// Smallest mean share of experts in common.
    pub router_agreement_min: Option<f64>,
    /// Largest loss of a task's score, 0 to 1.
    pub task_drop_max: Option<f64>,
    /// Lowest signal-to-noise ratio of a quantized tensor, dB.
    pub sqnr_min_db: Option<f64>,
    /// Largest mean time of a decoded token, ms.
    pub decode_ms_max: Option<f64>,
    /// Largest mean time to the first token of the longest measured prompt, ms.
    pub first_token_ms_max: Option<f64>,
    /// Largest peak of resident memory, MiB.
    pub peak_mib_max: Option<f64>,
    /// What must be true of the weights.
    pub weights: Option<WeightPolicy>,
}

impl Limits {
    /// These limits, and `other`'s where there is none.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            kld_mean_max: self.kld_mean_max.or(other.kld_mean_max),
            kld_p99_max: self.kld_p99_max.or(other.kld_p99_max),
            ppl_ratio_max: self.ppl_ratio_max.or(other.ppl_ratio_max),
            same_top_min: self.same_top_min.or(other.same_top_min),
            router_agreement_min: self.router_agreement_min.or(other.router_agreement_min),
            task_drop_max: self.task_drop_max.or(other.task_drop_max),
            sqnr_min_db: self.sqnr_min_db.or(other.sqnr_min_db),
            decode_ms_max: self.decode_ms_max.or(other.decode_ms_max),
            first_token_ms_max: self.first_token_ms_max.or(other.first_token_ms_max),
            peak_mib_max: self.peak_mib_max.or(other.peak_mib_max),
            weights: self.weights.or(other.weights),
        }
    }

    fn numbers(&self) -> [Option<f64>; 10] {
        [
            self.kld_mean_max,
            self.kld_p99_max,
            self.ppl_ratio_max,
            self.same_top_min,
            self.router_agreement_min,
            self.task_drop_max,
            self.sqnr_min_db,
            self.decode_ms_max,
            self.first_token_ms_max,
            self.peak_mib_max,
        ]
    }
}

/// A gates file: limits for all, and by class of bits what differs.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GateFile {
    /// Where it came from.
    #[serde(skip)]
    pub source: String,
    /// What an INCONCLUSIVE gate does.
    #[serde(default)]
    pub inconclusive: Inconclusive,
    /// Limits given apart from the file, for every class.
    #[serde(skip)]
    given: Limits,
    #[serde(default)]
    all: Limits,
    #[serde(default)]
    bits2: Limits,
    #[serde(default)]
    bits3: Limits,
    #[serde(default)]
    bits4: Limits,
    #[serde(default)]
    bits5: Limits,
    #[serde(default)]
    bits6: Limits,
    #[serde(default)]
    bits8: Limits,
    #[serde(default)]
    float: Limits,
}

const BUILT_IN: &str = include_str!("../../../../configs/gates/default.toml");

impl GateFile {
    /// The limits that ship with the program.
    ///
    /// # Errors
    /// Never, unless the file in the repository is broken.
    pub fn built_in() -> Result<Self, VerifyError> {
        Self::parse("built-in", BUILT_IN)
    }

    /// Reads a gates file; `source` is its name for messages and reports.
    ///
    /// # Errors
    /// TOML that is not one, a key that is none, a limit that is not a finite number.
    pub fn parse(source: &str, text: &str) -> Result<Self, VerifyError> {
        let wrong = |why: String| VerifyError::Gates { path: source.to_owned(), why };
        let mut file: Self = toml::from_str(text).map_err(|e| wrong(e.to_string()))?;
        let all = [file.all, file.bits2, file.bits3, file.bits4, file.bits5, file.bits6, file.bits8, file.float];
        if all.iter().flat_map(Limits::numbers).flatten().any(|n| !n.is_finite()) {
            return Err(wrong("a limit is not a finite number".into()));
        }
        source.clone_into(&mut file.source);
        Ok(file)
    }

    /// The same with `limits` in place of the file's own, whatever the class.
    #[must_use]
    pub fn with(mut self, limits: Limits) -> Self {
        self.given = limits.or(self.given);
        self
    }

    /// The limits of one class.
    #[must_use]
    pub fn limits(&self, class: BitsClass) -> Limits {
        let own = match class {
            BitsClass::Bits2 => self.bits2,
            BitsClass::Bits3 => self.bits3,
            BitsClass::Bits4 => self.bits4,
            BitsClass::Bits5 => self.bits5,
            BitsClass::Bits6 => self.bits6,
            BitsClass::Bits8 => self.bits8,
            BitsClass::Float => self.float,
        };
        self.given.or(own).or(self.all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_limits_tighten_with_bits() {
        let file = GateFile::built_in().unwrap();
        use BitsClass as B;
        let order = [B::Bits2, B::Bits3, B::Bits4, B::Bits5, B::Bits6, B::Bits8, B::Float];
        let limits: Vec<Limits> = order.iter().map(|c| file.limits(*c)).collect();
        for pair in limits.windows(2) {
            assert!(pair[0].kld_mean_max > pair[1].kld_mean_max && pair[0].kld_p99_max > pair[1].kld_p99_max);
            assert!(pair[0].ppl_ratio_max > pair[1].ppl_ratio_max && pair[0].same_top_min < pair[1].same_top_min);
        }
        assert!(limits.iter().all(|l| l.weights == Some(WeightPolicy::Replay)));
    }

    #[test]
    fn class_overrides_all_and_unknown_keys_are_named() {
        let text =
            "inconclusive = \"fail\"\n[all]\nkld_mean_max = 1.0\nweights = \"any\"\n[bits4]\nkld_mean_max = 0.5\n";
        let file = GateFile::parse("x.toml", text).unwrap();
        assert_eq!(file.limits(BitsClass::Bits4).kld_mean_max, Some(0.5));
        let given = file.clone().with(Limits { kld_mean_max: Some(0.1), ..Limits::default() });
        assert_eq!(given.limits(BitsClass::Bits4).kld_mean_max, Some(0.1));
        assert_eq!(given.limits(BitsClass::Bits4).weights, Some(WeightPolicy::Any));
        assert_eq!(file.limits(BitsClass::Bits8).kld_mean_max, Some(1.0));
        assert_eq!(file.limits(BitsClass::Bits4).weights, Some(WeightPolicy::Any));
        assert_eq!(file.inconclusive, Inconclusive::Fail);
        for bad in
            ["[bits4]\nkld_max = 1.0", "[bits7]\n", "[all]\nkld_mean_max = nan", "[all]\nweights = \"some\"", "x"]
        {
            let error = GateFile::parse("x.toml", bad).unwrap_err().to_string();
            assert!(error.contains("x.toml"), "{error}");
        }
        assert!(GateFile::parse("x", "[bits4]\nkld_max = 1.0").unwrap_err().to_string().contains("kld_max"));
    }
}
