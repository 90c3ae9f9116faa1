//! A checkpoint in memory whose weights are made by arithmetic.

use crate::shapes;
use lfmq_core::{DType, ModelSpec, SourceError, SourceTensor, TensorId, TensorRole, TensorSource};
use lfmq_gguf_wire::names::tensor_name;
use lfmq_testkit::arith::{bell, fnv, mix};
use std::collections::BTreeMap;
use std::ops::Range;

pub struct Model {
    spec: ModelSpec,
    tensors: Vec<SourceTensor>,
    /// (tensor, row, column) of a weight that is no number.
    pub spoilt: Option<(usize, usize, usize)>,
}

/// Six layers, four experts behind the first two.
pub fn tiny() -> Model {
    let mut spec = shapes::released("8B-A1B").unwrap();
    spec.layers.truncate(4);
    (spec.vocab, spec.hidden, spec.heads, spec.head_dim) = (1500, 256, 8, 32);
    for layer in spec.layers.iter_mut().take(2) {
        layer.ffn = lfmq_core::Ffn::Dense(512);
    }
    let moe = spec.moe.as_mut().unwrap();
    (moe.experts, moe.width) = (4, 256);
    let tensor = |(id, (rows, cols)): (TensorId, (usize, usize))| SourceTensor {
        id,
        name: id.to_string(),
        shard: 0,
        dtype: DType::F32,
        rows,
        cols,
    };
    Model { tensors: spec.tensors().into_iter().map(tensor).collect(), spec, spoilt: None }
}

impl TensorSource for Model {
    fn spec(&self) -> &ModelSpec {
        &self.spec
    }

    fn name(&self) -> &str {
        "tiny"
    }

    fn tensors(&self) -> &[SourceTensor] {
        &self.tensors
    }

    fn read_rows(&self, index: usize, rows: Range<usize>, out: &mut [f32]) -> Result<(), SourceError> {
        let tensor = &self.tensors[index];
        assert_eq!(out.len(), rows.len() * tensor.cols);
        let key = fnv(&tensor.name);
        for (i, v) in out.iter_mut().enumerate() {
            *v = bell(mix(key, (rows.start * tensor.cols + i) as u64));
        }
        if let Some((_, row, col)) = self.spoilt.filter(|(t, row, _)| *t == index && rows.contains(row)) {
            out[(row - rows.start) * tensor.cols + col] = f32::NAN;
        }
        Ok(())
    }

    fn sidecar(&self, _: &str) -> Option<&[u8]> {
        None
    }
}

/// An importance file (the older form) of ones for the matrices that `wanted` names.
#[allow(dead_code, reason = "not every test binary asks for one")]
pub fn importance(model: &Model, wanted: impl Fn(&str) -> bool) -> Vec<u8> {
    let mut columns = BTreeMap::<String, usize>::new();
    for t in model.tensors.iter().filter(|t| t.id.role.quantizable() && t.id.role != TensorRole::Embedding) {
        *columns.entry(tensor_name(t.id)).or_default() += t.cols;
    }
    columns.retain(|name, _| wanted(name));
    let mut out = (columns.len() as i32).to_le_bytes().to_vec();
    for (name, cols) in columns {
        out.extend((name.len() as i32).to_le_bytes());
        out.extend(name.as_bytes());
        out.extend(1i32.to_le_bytes());
        out.extend((cols as i32).to_le_bytes());
        out.extend(std::iter::repeat_n(1f32.to_le_bytes(), cols).flatten());
    }
    out
}
