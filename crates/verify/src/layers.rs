//! Where along the layers an artifact's residual stream parts from the checkpoint's.

use crate::streams::{Streams, Sums};
use crate::weights::sqnr;
use lfmq_core::{Executor, Fault};
use serde::Serialize;

/// The residual stream at one place, error of all layers before it included.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LayerNoise {
    /// Where: `the embedding`, or after a layer.
    pub name: String,
    /// The value of a graph that comes nearest to the stream there; absent where the artifact itself says where it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// The checkpoint's stream to the difference, dB; `None` where there is no difference.
    pub sqnr_db: Option<f64>,
    /// Cosine between both, over all tokens.
    pub cosine: f64,
}

/// Runs `tokens` on both and compares their streams after every layer. A graph has values instead of layers: the nearest
/// stands for the stream. `None` where the candidate shows nothing.
///
/// # Errors
/// Those of the executors.
pub fn measure(
    yardstick: &dyn Executor,
    candidate: &dyn Executor,
    tokens: &[u32],
) -> Result<Option<Vec<LayerNoise>>, Fault> {
    let Some(streams) = Streams::compare(yardstick, candidate, tokens)? else { return Ok(None) };
    let layers: Vec<LayerNoise> = streams
        .nearest()
        .iter()
        .map(|near| noise(near.place, (near.value != near.place).then(|| near.value.to_owned()), near.sums))
        .collect();
    Ok((!layers.is_empty()).then_some(layers))
}

fn noise(name: &str, value: Option<String>, sums: Sums) -> LayerNoise {
    let Sums { signal, energy, dot, noise } = sums;
    LayerNoise { name: name.to_owned(), value, sqnr_db: sqnr(signal, noise), cosine: dot / (signal * energy).sqrt() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_by_hand() {
        let same = noise("x", None, Sums { signal: 25.0, energy: 25.0, dot: 25.0, noise: 0.0 });
        assert!(same.sqnr_db.is_none() && (same.cosine - 1.0).abs() < 1e-15);
        // [3, 4] and [3, 4.5]: 25 of signal, 0.25 of noise.
        let off = noise("x", None, Sums { signal: 25.0, energy: 29.25, dot: 27.0, noise: 0.25 });
        assert!((off.sqnr_db.unwrap() - 20.0).abs() < 1e-12);
        assert!((off.cosine - 27.0 / (5.0 * 29.25_f64.sqrt())).abs() < 1e-15);
    }
}
