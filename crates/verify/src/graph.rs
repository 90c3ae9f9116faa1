//! Whether a graph computes the model's forward pass.
//!
//! A format that holds a graph has no metadata to compare, and a slip in the graph may hide in the noise of quantization.
//! So the graph runs in f32 over the weights it stores, beside our own forward pass over the *same* weights: then nothing
//! may differ but the order of sums.

use lfmq_core::{Executor, Fault, Want};
use serde::Serialize;

/// Largest error that summing in another order explains, as a share of the logits' deviation.
const SUMS: f64 = 1e-3;
/// The same where the graph itself rounds activations to eight bits.
const ROUNDED: f64 = 0.3;
/// A layer is off when its error is this many times that of the one before.
const JUMP: f64 = 4.0;

/// A graph against the forward pass over its own weights.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GraphReport {
    /// Tokens compared.
    pub tokens: usize,
    /// Median over tokens of the root mean square error of the logits, as a share of their standard deviation, when all
    /// tokens are fed at once.
    pub error: f64,
    /// The same when they are fed in pieces, so that states carry over.
    pub error_in_pieces: f64,
    /// What may be.
    pub limit: f64,
    /// The first place where the two part, in words.
    pub parts: Option<String>,
}

impl GraphReport {
    /// Whether the graph computes what it should. NaN is no proof.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.error <= self.limit && self.error_in_pieces <= self.limit
    }

    /// What is wrong, in words; `None` if nothing is.
    #[must_use]
    pub fn finding(&self) -> Option<String> {
        if self.holds() {
            return None;
        }
        if self.error <= self.limit {
            return Some(
                "tokens fed one after another give other logits than all at once: the states are wrong".into(),
            );
        }
        let place = self.parts.as_deref().unwrap_or("the logits");
        Some(format!("run over its own weights the graph is not the model: the two part at {place}"))
    }
}

/// Compares `graph`, opened with f32 activations, with `model`, our forward pass over the weights the graph stores.
///
/// # Errors
/// Those of the executors.
pub fn compare(model: &dyn Executor, graph: &dyn Executor, tokens: &[u32]) -> Result<GraphReport, Fault> {
    let n = tokens.len();
    let expected = logits(model, tokens, &[n])?;
    let vocab = model.facts().vocab.max(1);
    let error = error(&expected, &logits(graph, tokens, &[n])?, vocab);
    let half = n / 2;
    let pieces = [half, 1.min(n - half), (n - half).saturating_sub(1)];
    let error_in_pieces = self::error(&expected, &logits(graph, tokens, &pieces)?, vocab);
    let limit = if graph.exact() { SUMS } else { ROUNDED };
    let mut report = GraphReport { tokens: n, error, error_in_pieces, limit, parts: None };
    if report.error.is_nan() || report.error > limit {
        report.parts = parting(model, graph, tokens)?;
    }
    Ok(report)
}

fn logits(executor: &dyn Executor, tokens: &[u32], pieces: &[usize]) -> Result<Vec<f32>, Fault> {
    let mut session = executor.session(tokens.len())?;
    let (mut out, mut rest) = (Vec::new(), tokens);
    for piece in pieces {
        let (now, later) = rest.split_at(*piece);
        session.feed(now, Want::All, &mut out)?;
        rest = later;
    }
    Ok(out)
}

/// Median over rows of the root mean square difference, as a share of the deviation of the expected row. A router at a
/// tie may send single tokens elsewhere.
fn error(expected: &[f32], found: &[f32], width: usize) -> f64 {
    if expected.len() != found.len() || expected.is_empty() {
        return f64::NAN;
    }
    let rows = expected.chunks_exact(width).zip(found.chunks_exact(width));
    let mut errors: Vec<f64> = rows.map(|(e, f)| row_error(e, f)).collect();
    errors.sort_by(f64::total_cmp);
    errors[errors.len() / 2]
}

fn row_error(expected: &[f32], found: &[f32]) -> f64 {
    let n = expected.len() as f64;
    let mean = expected.iter().map(|v| f64::from(*v)).sum::<f64>() / n;
    let (mut spread, mut off) = (0.0, 0.0);
    for (e, f) in expected.iter().zip(found) {
        let (e, f) = (f64::from(*e), f64::from(*f));
        spread += (e - mean) * (e - mean);
        off += (e - f) * (e - f);
    }
    (off / spread.max(f64::MIN_POSITIVE)).sqrt()
}

/// The residual stream at one place of the model, and the value of the graph that is nearest to it.
struct Place {
    name: String,
    values: Vec<f32>,
    nearest: (f64, String),
}

/// The first layer after which no value of the graph is the model's residual stream.
fn parting(model: &dyn Executor, graph: &dyn Executor, tokens: &[u32]) -> Result<Option<String>, Fault> {
    let mut places: Vec<Place> = Vec::new();
    model.trace(tokens, &mut |name, values| {
        let nearest = (f64::INFINITY, String::new());
        places.push(Place { name: name.to_owned(), values: values.to_vec(), nearest });
    })?;
    let width = |values: &[f32]| (values.len() / tokens.len().max(1)).max(1);
    let shown = graph.trace(tokens, &mut |name, values| {
        for place in places.iter_mut().filter(|p| p.values.len() == values.len()) {
            let error = error(&place.values, values, width(values));
            if error < place.nearest.0 {
                place.nearest = (error, name.to_owned());
            }
        }
    })?;
    if !shown {
        return Ok(None);
    }
    let mut before = SUMS;
    for place in &places {
        let (error, name) = &place.nearest;
        if *error > JUMP * before.max(SUMS) {
            return Ok(Some(format!("{} (nearest is `{name}`, off by {error:.2})", place.name)));
        }
        before = *error;
    }
    Ok(Some("the final norm or the head".to_owned()))
}
