//! Root mean square normalisation.

use lfmq_kernels::{Kernels, multiversion};

/// Normalises each row of `x [n, weight.len()]` in place: `x * (1 / sqrt(mean(x²) + eps)) * weight`, the weight plain.
pub fn rms_norm(x: &mut [f32], weight: &[f32], eps: f32, kernels: &Kernels) {
    if weight.is_empty() {
        return;
    }
    for row in x.chunks_exact_mut(weight.len()) {
        let mean = (kernels.dot_f32)(row, row) / weight.len() as f32;
        scaled(row, 1.0 / (mean + eps).sqrt(), weight);
    }
}

multiversion! {
    fn scaled['a](x: &'a mut [f32], scale: f32, weight: &'a [f32]) -> () {
        for (x, w) in x.iter_mut().zip(weight) {
            *x = *x * scale * w;
        }
    }
}
