//! Where along the layers an artifact's residual stream parts from the checkpoint's.

use crate::weights::sqnr;
use lfmq_core::{Executor, Fault};
use serde::Serialize;

/// The residual stream at one place, error of all layers before it included.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LayerNoise {
    /// Where: `the embedding`, or after a layer.
    pub name: String,
    /// The checkpoint's stream to the difference, dB; `None` where there is no difference.
    pub sqnr_db: Option<f64>,
    /// Cosine between both, over all tokens.
    pub cosine: f64,
}

/// Runs `tokens` on both and compares their streams after every layer; `None` where the candidate shows none under the
/// yardstick's names (a graph has no layers).
///
/// # Errors
/// Those of the executors.
pub fn measure(
    yardstick: &dyn Executor,
    candidate: &dyn Executor,
    tokens: &[u32],
) -> Result<Option<Vec<LayerNoise>>, Fault> {
    let mut expected: Vec<(String, Vec<f32>)> = Vec::new();
    yardstick.trace(tokens, &mut |name, values| expected.push((name.to_owned(), values.to_vec())))?;
    let mut layers = Vec::new();
    candidate.trace(tokens, &mut |name, values| {
        let same = expected.iter().find(|(n, v)| n == name && v.len() == values.len());
        layers.extend(same.map(|(_, base)| noise(name, base, values)));
    })?;
    Ok((!layers.is_empty()).then_some(layers))
}

fn noise(name: &str, base: &[f32], found: &[f32]) -> LayerNoise {
    let sum = |of: &dyn Fn(f64, f64) -> f64| -> f64 {
        base.iter().zip(found).map(|(b, f)| of(f64::from(*b), f64::from(*f))).sum()
    };
    let (signal, energy) = (sum(&|b, _| b * b), sum(&|_, f| f * f));
    let cosine = sum(&|b, f| b * f) / (signal * energy).sqrt();
    LayerNoise { name: name.to_owned(), sqnr_db: sqnr(signal, sum(&|b, f| (b - f) * (b - f))), cosine }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_by_hand() {
        let same = noise("x", &[3.0, 4.0], &[3.0, 4.0]);
        assert!(same.sqnr_db.is_none() && (same.cosine - 1.0).abs() < 1e-15);
        // 25 of signal, 0.25 of noise.
        let off = noise("x", &[3.0, 4.0], &[3.0, 4.5]);
        assert!((off.sqnr_db.unwrap() - 20.0).abs() < 1e-12);
        assert!((off.cosine - 27.0 / (5.0 * 29.25_f64.sqrt())).abs() < 1e-15);
    }
}
