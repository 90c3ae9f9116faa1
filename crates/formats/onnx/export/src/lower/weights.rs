//! Weights by what they are: where their bytes go and under which names the graph knows them.

use super::Lower;
use crate::grids::{Form, form};
use crate::model::{Model, Type};
use crate::options::OnnxOptions;
use crate::pack::Pack;
use crate::store::{Piece, Place, Store};
use crate::{OnnxExportError, flavour};
use lfmq_core::{ExportJob, QuantPlan, SourceTensor, TensorId, WriteError};
use lfmq_moe::Stack;
use std::collections::{HashMap, HashSet};

/// One tensor of the checkpoint.
#[derive(Clone, Copy)]
pub(super) struct Weight<'a> {
    pub(super) index: usize,
    pub(super) name: &'a str,
    pub(super) rows: usize,
    pub(super) cols: usize,
    pub(super) form: Form,
}

impl Weight<'_> {
    /// Groups in a row of [`Form::Blocks`].
    pub(super) fn groups(&self) -> usize {
        match self.form {
            Form::Blocks { group, .. } => self.cols / group.max(1),
            _ => 1,
        }
    }
}

pub(super) struct Weights<'a> {
    tensors: &'a [SourceTensor],
    plan: &'a QuantPlan,
    options: OnnxOptions,
    index: HashMap<TensorId, usize>,
    /// Parts that have a place already: an embedding that is also the head is written once.
    places: HashMap<(usize, &'static str), Place>,
    /// Names the graph knows already.
    named: HashSet<String>,
    pub(super) store: Store,
}

impl<'a> Weights<'a> {
    pub(super) fn new(job: &ExportJob<'a>, options: &OnnxOptions) -> Self {
        let tensors = job.source.tensors();
        Self {
            tensors,
            plan: job.plan,
            options: options.clone(),
            index: tensors.iter().enumerate().map(|(i, t)| (t.id, i)).collect(),
            places: HashMap::new(),
            named: HashSet::new(),
            store: Store::new(tensors.len(), options.chunk),
        }
    }

    pub(super) fn get(&self, id: TensorId) -> Result<Weight<'a>, OnnxExportError> {
        let missing = || WriteError::Plan { expected: format!("a tensor {id}"), found: "none".to_owned() };
        self.at(*self.index.get(&id).ok_or_else(missing)?)
    }

    /// Tensor `index` of the checkpoint.
    pub(super) fn at(&self, index: usize) -> Result<Weight<'a>, OnnxExportError> {
        let missing = || WriteError::Plan { expected: format!("a tensor {index}"), found: "none".to_owned() };
        let tensor = self.tensors.get(index).ok_or_else(missing)?;
        let grid = &self.plan.tensors.get(index).ok_or_else(missing)?.grid;
        let refuse = |why| OnnxExportError::Grid { tensor: tensor.name.clone(), why };
        let form = form(grid, tensor.id.role, self.options.float).map_err(refuse)?;
        match form {
            Form::Blocks { group, .. } if !tensor.cols.is_multiple_of(group) => {
                let cols = tensor.cols;
                Err(refuse(format!("a row of {cols} weights is not a whole number of groups of {group}")))
            }
            _ => Ok(Weight { index, name: &tensor.name, rows: tensor.rows, cols: tensor.cols, form }),
        }
    }

    /// The place of one part of a tensor, whose rows lie one after another.
    fn part(&mut self, w: &Weight<'_>, part: &'static str, pack: Pack, row: usize) -> Result<Place, OnnxExportError> {
        if let Some(place) = self.places.get(&(w.index, part)) {
            return Ok(*place);
        }
        let row_bytes = row as u64;
        let place = self.store.take(w.name, row_bytes * w.rows as u64)?;
        let Place { file, offset, .. } = place;
        self.store.assign(w.index, Piece { pack, file, offset, row_bytes, stride: row_bytes });
        self.places.insert((w.index, part), place);
        Ok(place)
    }

    /// The place of one part of all members of a stack, rows of `row` bytes.
    pub(super) fn stacked(
        &mut self,
        name: &str,
        stack: &Stack,
        pack: Pack,
        row: usize,
    ) -> Result<Place, OnnxExportError> {
        let row_bytes = row as u64;
        let [experts, rows, _] = stack.shape();
        let place = self.store.take(name, (experts * rows) as u64 * row_bytes)?;
        for member in stack.members() {
            let offset = place.offset + member.first as u64 * row_bytes;
            let piece = Piece { pack, file: place.file, offset, row_bytes, stride: member.stride as u64 * row_bytes };
            self.store.assign(member.index, piece);
        }
        Ok(place)
    }

    /// A name for a place, made known to the graph at its first use.
    pub(super) fn name(&mut self, model: &mut Model, name: String, ty: Type, dims: &[usize], place: Place) -> String {
        if self.named.insert(name.clone()) {
            // A location is relative to the graph.
            let data = self.options.data_file(place.file);
            model.external(&name, ty, dims, place, flavour::file_name(&data));
        }
        name
    }
}

impl Lower<'_> {
    /// A tensor of floats as it is stored; `true` if that is binary16.
    pub(super) fn floats(&mut self, id: TensorId, dims: &[usize]) -> Result<(String, bool), OnnxExportError> {
        let w = self.weights.get(id)?;
        let half = matches!(w.form, Form::Float { half: true });
        let (ty, size) = if half { (Type::F16, 2) } else { (Type::F32, 4) };
        let place = self.weights.part(&w, "values", Pack::Values { half }, w.cols * size)?;
        Ok((self.weights.name(&mut self.model, w.name.to_owned(), ty, dims, place), half))
    }

    /// A vector in the type of the graph.
    pub(super) fn vector(&mut self, id: TensorId) -> Result<String, OnnxExportError> {
        let cols = self.weights.get(id)?.cols;
        self.tensor(id, &[cols])
    }

    /// A tensor that stays in float, in the type of the graph.
    pub(super) fn tensor(&mut self, id: TensorId, dims: &[usize]) -> Result<String, OnnxExportError> {
        let (name, half) = self.floats(id, dims)?;
        Ok(if half { name } else { self.cast_weight(name) })
    }

    /// The codes of a tensor under `name.suffix`, with dimensions of the caller's choice.
    pub(super) fn codes(&mut self, w: &Weight<'_>, suffix: &str, dims: &[usize]) -> Result<String, OnnxExportError> {
        let (bits, shift) = match w.form {
            Form::Blocks { bits, shift, .. } => (bits, shift),
            _ => (8, 128),
        };
        let row = w.cols * usize::from(bits) / 8;
        let place = self.weights.part(w, "codes", Pack::Codes { bits, shift }, row)?;
        Ok(self.weights.name(&mut self.model, format!("{}.{suffix}", w.name), Type::U8, dims, place))
    }

    /// Its scales, `[rows, groups]`, or `[rows]` for one a row.
    pub(super) fn scales(&mut self, w: &Weight<'_>) -> Result<String, OnnxExportError> {
        let half = self.half();
        let (groups, size) = (w.groups(), if half { 2 } else { 4 });
        let place = self.weights.part(w, "scales", Pack::Scales { half }, groups * size)?;
        let dims = match w.form {
            Form::Rows => vec![w.rows],
            _ => vec![w.rows, groups],
        };
        let ty = self.float();
        Ok(self.weights.name(&mut self.model, format!("{}.scales", w.name), ty, &dims, place))
    }

    /// Its zeros, packed like the codes, each row whole bytes; an empty name if the runtime knows them.
    pub(super) fn zeros(&mut self, w: &Weight<'_>) -> Result<String, OnnxExportError> {
        let Form::Blocks { bits, shift, zeros: true, .. } = w.form else { return Ok(String::new()) };
        let row = (w.groups() * usize::from(bits)).div_ceil(8);
        let place = self.weights.part(w, "zeros", Pack::Zeros { bits, shift }, row)?;
        Ok(self.weights.name(&mut self.model, format!("{}.zeros", w.name), Type::U8, &[w.rows, row], place))
    }
}
