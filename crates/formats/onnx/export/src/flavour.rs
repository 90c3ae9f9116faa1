//! The flavour of a graph in the words of transformers.js, which finds a file by the type of its weights.

use crate::options::Float;
use lfmq_core::{Grid, QuantPlan, TensorRole};

/// The `dtype` that most weights of the layers have: `fp32`, `fp16`, `q4`, `q4f16`, `int8` (8 bits in blocks) or `q8`
/// (one scale a row, what WebAssembly is fast with).
pub(crate) fn of(plan: &QuantPlan, float: Float) -> &'static str {
    let half = float == Float::F16;
    let mut weights = [0_usize; 4];
    let layers = plan.tensors.iter().filter(|t| t.id.role.quantizable());
    for tensor in layers.filter(|t| !matches!(t.id.role, TensorRole::Embedding | TensorRole::Head)) {
        let kind = match tensor.grid {
            Grid::Affine { group: 0, .. } => 2,
            Grid::Affine { bits: 5.., .. } => 1,
            Grid::Float { .. } => 3,
            _ => 0,
        };
        if let Some(count) = weights.get_mut(kind) {
            *count += tensor.shape.0 * tensor.shape.1;
        }
    }
    let most = (0..weights.len()).max_by_key(|kind| weights.get(*kind));
    match (most, half) {
        (Some(0), false) => "q4",
        (Some(0), true) => "q4f16",
        (Some(1), _) => "int8",
        (Some(2), _) => "q8",
        (_, false) => "fp32",
        (_, true) => "fp16",
    }
}

/// Where transformers.js looks for a graph of `dtype`, without the extension.
pub(crate) fn path(dtype: &str) -> String {
    match dtype {
        "fp32" => "onnx/model".to_owned(),
        "q8" => "onnx/model_quantized".to_owned(),
        _ => format!("onnx/model_{dtype}"),
    }
}

/// The last part of a path inside the folder.
pub(crate) fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}
