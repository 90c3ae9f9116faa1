use crate::{SplitMix64, TextError};
use serde::{Deserialize, Serialize};

/// How the next token is drawn. The default is greedy.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SamplerOptions {
    /// Logits are divided by it; 0 takes the best token.
    pub temperature: f64,
    /// Only the best this many, 0 for all.
    pub top_k: usize,
    /// Only the best tokens that together reach this probability; 1 for all.
    pub top_p: f64,
    /// Only tokens with at least this share of the best one's probability; 0 for all.
    pub min_p: f64,
    /// Divides the positive logits and multiplies the negative ones of every token seen before; 1 for none.
    pub repetition_penalty: f64,
    /// Start of the random numbers.
    pub seed: u64,
}

impl Default for SamplerOptions {
    fn default() -> Self {
        Self { temperature: 0.0, top_k: 0, top_p: 1.0, min_p: 0.0, repetition_penalty: 1.0, seed: 0 }
    }
}

impl SamplerOptions {
    fn check(&self) -> Result<(), TextError> {
        let within = |name, value: f64, ok: bool, expected| {
            if ok { Ok(()) } else { Err(TextError::Setting { name, value, expected }) }
        };
        let Self { temperature: t, top_p, min_p, repetition_penalty: r, .. } = *self;
        within("temperature", t, t >= 0.0 && t.is_finite(), "0 or a positive number")?;
        within("top_p", top_p, top_p > 0.0 && top_p <= 1.0, "above 0 and at most 1")?;
        within("min_p", min_p, (0.0..=1.0).contains(&min_p), "from 0 to 1")?;
        within("repetition_penalty", r, r > 0.0 && r.is_finite(), "a positive number")
    }
}

/// Draws tokens.
///
/// The order is that of transformers, for which the model cards state their settings: repetition penalty over the
/// whole sequence, prompt included; temperature; top-k; top-p; min-p; draw. llama.cpp looks back 64 tokens only and
/// applies the temperature last, so the same numbers there cut fewer tokens.
///
/// Arithmetic is f64 without the platform's `exp`, and ties go to the lower id: same seed and same logits give the
/// same tokens on every machine.
#[derive(Clone, Debug)]
pub struct Sampler {
    options: SamplerOptions,
    random: SplitMix64,
    rows: usize,
}

impl Sampler {
    /// Checks the settings and starts the random numbers at the seed.
    ///
    /// # Errors
    /// A setting outside its range.
    pub fn new(options: SamplerOptions) -> Result<Self, TextError> {
        options.check()?;
        Ok(Self { options, random: SplitMix64::new(options.seed), rows: usize::MAX })
    }

    /// Never draws an id from `rows` on: a vocabulary's padding rows stand for nothing.
    #[must_use]
    pub fn within(mut self, rows: usize) -> Self {
        self.rows = rows;
        self
    }

    /// The settings.
    #[must_use]
    pub fn options(&self) -> &SamplerOptions {
        &self.options
    }

    /// Draws the token after `history` from its logits, `[vocab]`.
    ///
    /// # Errors
    /// When no logit is finite.
    pub fn sample(&mut self, logits: &[f32], history: &[u32]) -> Result<u32, TextError> {
        let kept = self.candidates(logits, history)?;
        let mut chosen = kept.first();
        if self.options.temperature > 0.0 {
            let mut left = self.random.next_unit() * sum(&kept);
            // Rounding may leave a crumb after the last one.
            chosen = kept.iter().find(|c| {
                left -= c.weight;
                left < 0.0
            });
            chosen = chosen.or(kept.last());
        }
        chosen.map(|c| c.id).ok_or(TextError::Logits { count: logits.len() })
    }

    /// The tokens that [`Self::sample`] may draw, best first, with their probabilities.
    ///
    /// # Errors
    /// When no logit is finite.
    pub fn distribution(&self, logits: &[f32], history: &[u32]) -> Result<Vec<(u32, f64)>, TextError> {
        let kept = self.candidates(logits, history)?;
        let total = sum(&kept);
        Ok(kept.iter().map(|c| (c.id, c.weight / total)).collect())
    }

    /// The tokens that may be drawn, best first, weighed by exp((logit - best logit) / temperature).
    fn candidates(&self, logits: &[f32], history: &[u32]) -> Result<Vec<Candidate>, TextError> {
        let mut scores: Vec<f64> = logits.iter().take(self.rows).map(|&logit| f64::from(logit)).collect();
        self.penalize(&mut scores, history);
        let mut all: Vec<Candidate> = (0u32..)
            .zip(&scores)
            .filter(|(_, score)| score.is_finite())
            .map(|(id, &score)| Candidate { id, score, weight: 1.0 })
            .collect();
        let better = |a: &Candidate, b: &Candidate| b.score.total_cmp(&a.score).then(a.id.cmp(&b.id));
        let Some(best) = all.iter().copied().min_by(better) else {
            return Err(TextError::Logits { count: logits.len() });
        };
        if self.options.temperature == 0.0 {
            return Ok(vec![best]);
        }
        for candidate in &mut all {
            candidate.weight = libm::exp((candidate.score - best.score) / self.options.temperature);
        }
        all.sort_unstable_by(better);
        self.keep_top_k(&mut all);
        self.keep_top_p(&mut all);
        all.retain(|c| c.weight >= self.options.min_p);
        Ok(all)
    }

    /// CTRL's penalty (Keskar et al. 2019, §4.1), once for each distinct token.
    fn penalize(&self, scores: &mut [f64], history: &[u32]) {
        let penalty = self.options.repetition_penalty;
        if penalty == 1.0 {
            return;
        }
        let mut seen = history.to_vec();
        seen.sort_unstable();
        seen.dedup();
        for id in seen {
            if let Some(score) = scores.get_mut(id as usize) {
                *score = if *score < 0.0 { *score * penalty } else { *score / penalty };
            }
        }
    }

    /// Ties with the last one stay, as in transformers.
    fn keep_top_k(&self, all: &mut Vec<Candidate>) {
        let last = self.options.top_k.checked_sub(1).and_then(|k| all.get(k)).map(|c| c.score);
        if let Some(last) = last {
            all.retain(|c| c.score >= last);
        }
    }

    /// A token stays when those before it have not reached the share yet.
    fn keep_top_p(&self, all: &mut Vec<Candidate>) {
        if self.options.top_p >= 1.0 {
            return;
        }
        let share = self.options.top_p * sum(all);
        let mut before = 0.0;
        all.retain(|c| {
            let stays = before < share;
            before += c.weight;
            stays
        });
    }
}

#[derive(Clone, Copy, Debug)]
struct Candidate {
    id: u32,
    score: f64,
    weight: f64,
}

fn sum(candidates: &[Candidate]) -> f64 {
    candidates.iter().map(|c| c.weight).sum()
}
