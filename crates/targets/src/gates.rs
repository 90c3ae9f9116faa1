use serde::{Deserialize, Serialize};

/// Limits on drift, by the names of a gates file; what is absent is not judged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gates {
    /// Largest mean KL divergence, nats per token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kld_mean_max: Option<f64>,
    /// Largest 99th percentile of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kld_p99_max: Option<f64>,
    /// Largest perplexity by the checkpoint's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ppl_ratio_max: Option<f64>,
    /// Smallest share of positions with the same most likely token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub same_top_min: Option<f64>,
    /// Smallest mean share of experts in common.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub router_agreement_min: Option<f64>,
    /// Largest loss of a task's score, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_drop_max: Option<f64>,
    /// Lowest signal-to-noise ratio of a quantized tensor, dB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sqnr_min_db: Option<f64>,
    /// Why these.
    pub reason: String,
}

impl Gates {
    /// Keys and limits in the order of a gates file.
    #[must_use]
    pub const fn limits(&self) -> [(&'static str, Option<f64>); 7] {
        [
            ("kld_mean_max", self.kld_mean_max),
            ("kld_p99_max", self.kld_p99_max),
            ("ppl_ratio_max", self.ppl_ratio_max),
            ("same_top_min", self.same_top_min),
            ("router_agreement_min", self.router_agreement_min),
            ("task_drop_max", self.task_drop_max),
            ("sqnr_min_db", self.sqnr_min_db),
        ]
    }

    pub(crate) fn check(&self) -> Result<(), String> {
        let shares = ["same_top_min", "router_agreement_min", "task_drop_max"];
        for (key, limit) in self.limits() {
            let Some(limit) = limit else { continue };
            if !limit.is_finite() || limit < 0.0 {
                return Err(format!("gates.{key} is {limit}; it must be 0 or more"));
            }
            if shares.contains(&key) && limit > 1.0 {
                return Err(format!("gates.{key} is {limit}; it is a share, at most 1"));
            }
        }
        if self.kld_mean_max.is_none() {
            return Err("gates.kld_mean_max is missing: a target without a limit on drift judges nothing".into());
        }
        Ok(())
    }
}
