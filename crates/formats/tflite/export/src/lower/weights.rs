//! Weights by what they are: where their bytes go, and the tensors that stand for them in a subgraph.

use super::Lower;
use crate::TfliteExportError;
use crate::flat::Ref;
use crate::grids::{Form, form};
use crate::model::Model;
use crate::pack::Pack;
use crate::schema::{Op, Type};
use crate::store::Store;
use crate::subgraph::{BufferId, Data, Scales, Subgraph, T, Tensor};
use lfmq_core::{ExportJob, QuantPlan, SourceTensor, TensorId, WriteError};
use std::collections::HashMap;

/// Kernels of int4 blocks compute nothing right with fewer rows.
const LEAST_ROWS: usize = 4;

/// What the bytes of one tensor are, in all subgraphs.
#[derive(Clone, Copy)]
enum Bytes {
    Plain(BufferId),
    /// With the table of its scales.
    Rows(BufferId, Ref),
    /// With the buffer of its scales.
    Blocks(BufferId, BufferId),
}

/// One tensor of the checkpoint.
#[derive(Clone)]
pub(super) struct Weight {
    index: usize,
    name: String,
    pub(super) rows: usize,
    pub(super) cols: usize,
    pub(super) form: Form,
}

pub(super) struct Weights<'a> {
    tensors: &'a [SourceTensor],
    plan: &'a QuantPlan,
    index: HashMap<TensorId, usize>,
    bytes: HashMap<usize, Bytes>,
    pub(super) store: Store,
}

impl<'a> Weights<'a> {
    pub(super) fn new(job: &ExportJob<'a>, inline: bool) -> Self {
        let tensors = job.source.tensors();
        Self {
            tensors,
            plan: job.plan,
            index: tensors.iter().enumerate().map(|(i, t)| (t.id, i)).collect(),
            bytes: HashMap::new(),
            store: Store::new(tensors.len(), inline),
        }
    }

    pub(super) fn get(&self, id: TensorId) -> Result<Weight, TfliteExportError> {
        let missing = || WriteError::Plan { expected: format!("a tensor {id}"), found: "none".to_owned() };
        let index = *self.index.get(&id).ok_or_else(missing)?;
        let tensor = self.tensors.get(index).ok_or_else(missing)?;
        let grid = &self.plan.tensors.get(index).ok_or_else(missing)?.grid;
        let refuse = |why| TfliteExportError::Grid { tensor: tensor.name.clone(), why };
        let form = form(grid, id.role).map_err(refuse)?;
        let (rows, cols) = (tensor.rows, tensor.cols);
        match form {
            Form::Blocks { block } if !cols.is_multiple_of(block) => {
                Err(refuse(format!("a row of {cols} weights is not a whole number of blocks of {block}")))
            }
            Form::Blocks { .. } if rows < LEAST_ROWS => {
                Err(refuse(format!("blocks need {LEAST_ROWS} rows, not {rows}; the nearest it holds is int8-row")))
            }
            Form::Rows { bits: 4 } if !cols.is_multiple_of(2) => {
                Err(refuse(format!("a row of {cols} weights of 4 bits is not a whole number of bytes")))
            }
            _ => Ok(Weight { index, name: tensor.name.clone(), rows, cols, form }),
        }
    }

    /// Whether any of the model's weights come in blocks.
    pub(super) fn blocks(&self) -> bool {
        self.bytes.values().any(|b| matches!(b, Bytes::Blocks(..)))
    }

    /// Gives a tensor its place in the file, once.
    fn bytes(&mut self, model: &mut Model, w: &Weight) -> Bytes {
        if let Some(found) = self.bytes.get(&w.index) {
            return *found;
        }
        let cols = w.cols as u64;
        let mut buffer = |pack, row_bytes| self.store.buffer(model, w.index, w.rows, pack, row_bytes);
        let made = match w.form {
            Form::F32 => Bytes::Plain(buffer(Pack::Values { half: false }, cols * 4)),
            Form::F16 => Bytes::Plain(buffer(Pack::Values { half: true }, cols * 2)),
            Form::Rows { bits } => {
                let codes = buffer(Pack::Codes { bits }, cols * u64::from(bits) / 8);
                let (table, scales) = model.by_row(w.rows);
                self.store.inside(w.index, scales, Pack::Scales { half: false }, 4);
                Bytes::Rows(codes, table)
            }
            Form::Blocks { block } => {
                let codes = buffer(Pack::Codes { bits: 4 }, cols / 2);
                let groups = cols / block as u64;
                Bytes::Blocks(codes, buffer(Pack::Scales { half: true }, groups * 2))
            }
        };
        self.bytes.insert(w.index, made);
        made
    }
}

impl Lower<'_> {
    /// The tensor of a weight in `g`, of the type it is stored in, with dimensions of the caller's choice.
    fn stored(&mut self, g: &mut Subgraph, w: &Weight, shape: &[usize]) -> T {
        if let Some(found) = g.weights.get(&w.name) {
            return *found;
        }
        let bytes = self.weights.bytes(&mut self.model, w);
        let mut tensor = |name: String, shape: &[usize], ty, buffer, scales| {
            g.tensor(Tensor { shape: shape.to_vec(), ty, name, data: Data::Buffer(buffer), scales })
        };
        let made = match (w.form, bytes) {
            (Form::Rows { bits }, Bytes::Rows(codes, table)) => {
                let ty = if bits == 4 { Type::I4 } else { Type::I8 };
                tensor(w.name.clone(), shape, ty, codes, Scales::Rows(table))
            }
            (Form::Blocks { block }, Bytes::Blocks(codes, scales)) => {
                let of = [w.rows, w.cols / block.max(1)];
                let scales = tensor(format!("{}.scales", w.name), &of, Type::F16, scales, Scales::None);
                tensor(w.name.clone(), shape, Type::I4, codes, Scales::Blocks { scales, block })
            }
            (form, Bytes::Plain(buffer) | Bytes::Rows(buffer, _) | Bytes::Blocks(buffer, _)) => {
                let ty = if form == Form::F16 { Type::F16 } else { Type::F32 };
                tensor(w.name.clone(), shape, ty, buffer, Scales::None)
            }
        };
        g.weights.insert(w.name.clone(), made);
        made
    }

    /// A matrix `[rows, cols]` as the kernels multiply by it; binary16 is turned into binary32, which they fold into
    /// their packed copy.
    pub(super) fn matrix(&mut self, g: &mut Subgraph, id: TensorId) -> Result<(T, Weight), TfliteExportError> {
        let w = self.weights.get(id)?;
        let shape = [w.rows, w.cols];
        let t = self.stored(g, &w, &shape);
        if w.form != Form::F16 {
            return Ok((t, w));
        }
        let key = format!("{}.f32", w.name);
        let wide = match g.weights.get(&key) {
            Some(found) => *found,
            None => g.add_one(Op::Dequantize, &[t], &[], &shape, Type::F32),
        };
        g.weights.insert(key, wide);
        Ok((wide, w))
    }

    /// A vector, always binary32.
    pub(super) fn vector(&mut self, g: &mut Subgraph, id: TensorId) -> Result<T, TfliteExportError> {
        let cols = self.weights.get(id)?.cols;
        self.float(g, id, &[cols])
    }

    /// A tensor that stays in binary32, with dimensions of the caller's choice.
    pub(super) fn float(&mut self, g: &mut Subgraph, id: TensorId, shape: &[usize]) -> Result<T, TfliteExportError> {
        let w = self.weights.get(id)?;
        Ok(self.stored(g, &w, shape))
    }
}
