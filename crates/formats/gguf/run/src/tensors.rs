//! Which bytes hold which weights: every tensor of the model found in the files, its shape checked.

use crate::shards::{Shards, at};
use crate::{RunError, metadata};
use lfmq_core::{Ffn, ModelSpec, StoredTensor, TensorId, TensorRole};
use lfmq_gguf_wire::{Container, GgmlType, Tensor, names};
use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::path::Path;

/// Name of the final norm in files of before October 2025.
const OLD_FINAL_NORM: &str = "output_norm.weight";

/// Where a tensor, or one expert of a stack, lies.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) shard: usize,
    pub(crate) bytes: Range<usize>,
    pub(crate) ty: GgmlType,
}

/// The model as the files hold it.
pub(crate) struct Table {
    pub(crate) spec: ModelSpec,
    /// One entry a tensor of [`ModelSpec::tensors`], in that order, experts told apart.
    pub(crate) stored: Vec<StoredTensor>,
    /// Beside `stored`.
    pub(crate) places: Vec<Place>,
    by_id: HashMap<TensorId, usize>,
    pub(crate) notes: Vec<String>,
}

/// All tensors of all files by name, each with its file.
type Found<'a> = HashMap<&'a str, (usize, Tensor<'a>)>;

impl Table {
    /// Reads the model's shape and finds its tensors. No weight is touched.
    pub(crate) fn read(shards: &Shards) -> Result<Self, RunError> {
        let (containers, keys, path) = (shards.parse()?, shards.keys()?, shards.path(0));
        let family = metadata::family(&keys).map_err(|e| at(path, e))?;
        let mut notes: Vec<String> = containers.iter().flat_map(|c| c.notes().iter().cloned()).collect();
        let found = index(shards, &containers)?;
        let (_, embedding) = find(&found, TensorId::global(TensorRole::Embedding), path, &mut notes)?;
        let tied = !found.contains_key(names::tensor_name(TensorId::global(TensorRole::Head)).as_str());
        let spec = metadata::spec(&keys, family, tied, embedding.rows()).map_err(|e| at(path, e))?;
        stacks_fit(&spec, &found, path)?;
        let mut table = Self { spec, stored: Vec::new(), places: Vec::new(), by_id: HashMap::new(), notes };
        table.place_all(shards, &found)?;
        Ok(table)
    }

    /// Position of `id`.
    pub(crate) fn find(&self, id: TensorId) -> Option<usize> {
        self.by_id.get(&id).copied()
    }

    fn place_all(&mut self, shards: &Shards, found: &Found<'_>) -> Result<(), RunError> {
        let mut used = HashSet::new();
        for (id, shape) in self.spec.tensors() {
            let (shard, tensor) = find(found, id, shards.path(0), &mut self.notes)?;
            used.insert(tensor.name());
            let (stored, place) = place(&self.spec, id, shape, (*shard, shards.path(*shard)), tensor)?;
            self.by_id.insert(id, self.stored.len());
            self.stored.push(stored);
            self.places.push(place);
        }
        let extra = found.values().filter(|(_, t)| !used.contains(t.name())).min_by_key(|(_, t)| t.name());
        extra.map_or(Ok(()), |(shard, t)| {
            Err(RunError::ExtraTensor { path: shards.path(*shard).to_owned(), tensor: t.name().to_owned() })
        })
    }
}

fn index<'a>(shards: &Shards, containers: &[Container<'a>]) -> Result<Found<'a>, RunError> {
    let mut found = Found::new();
    for (shard, container) in containers.iter().enumerate() {
        for tensor in container.tensors() {
            if found.insert(tensor.name(), (shard, *tensor)).is_some() {
                let why = format!("tensor `{}` is in two parts of the model", tensor.name());
                return Err(RunError::Split { path: shards.path(shard).to_owned(), why });
            }
        }
    }
    Ok(found)
}

/// The tensor under its name, or under the one that old files give it.
fn find<'f, 'a>(
    found: &'f Found<'a>,
    id: TensorId,
    path: &Path,
    notes: &mut Vec<String>,
) -> Result<&'f (usize, Tensor<'a>), RunError> {
    let name = names::tensor_name(id);
    let old = || {
        let hit = found.get(OLD_FINAL_NORM).filter(|_| id.role == TensorRole::FinalNorm)?;
        notes.push(format!("an old file: its final norm is called `{OLD_FINAL_NORM}`, today `{name}`"));
        Some(hit)
    };
    found.get(name.as_str()).or_else(old).ok_or_else(|| missing(path, &name))
}

/// The number of experts is checked against the stacks before a list of all experts is made of it.
fn stacks_fit(spec: &ModelSpec, found: &Found<'_>, path: &Path) -> Result<(), RunError> {
    let Some(moe) = spec.moe else { return Ok(()) };
    for (layer, _) in (0u16..).zip(&spec.layers).filter(|(_, l)| l.ffn == Ffn::Moe) {
        let name = names::tensor_name(TensorId::layer(layer, TensorRole::ExpertGate(0)));
        let (_, stack) = found.get(name.as_str()).ok_or_else(|| missing(path, &name))?;
        if stack.dims().get(2).copied().unwrap_or(1) != moe.experts as u64 {
            let expected = [spec.hidden, moe.width, moe.experts].map(|n| n as u64).to_vec();
            let found = stack.dims().to_vec();
            return Err(RunError::Shape { path: path.to_owned(), tensor: name, expected, found });
        }
    }
    Ok(())
}

fn missing(path: &Path, tensor: &str) -> RunError {
    RunError::MissingTensor { path: path.to_owned(), tensor: tensor.to_owned() }
}

/// Checks one tensor's shape and type and cuts an expert out of its stack.
fn place(
    spec: &ModelSpec,
    id: TensorId,
    (rows, cols): (usize, usize),
    (shard, path): (usize, &Path),
    tensor: &Tensor<'_>,
) -> Result<(StoredTensor, Place), RunError> {
    let stack = spec.moe.filter(|_| id.role.expert().is_some()).map_or(1, |moe| moe.experts);
    let expected = [cols as u64, rows as u64, stack as u64];
    let dims = tensor.dims().iter().copied().chain([1; 4]);
    if !dims.take(4).eq(expected.into_iter().chain([1]).take(4)) {
        let expected = expected.get(..if stack > 1 { 3 } else { 2 }).unwrap_or(&expected).to_vec();
        let (tensor, found) = (tensor.name().to_owned(), tensor.dims().to_vec());
        return Err(RunError::Shape { path: path.to_owned(), tensor, expected, found });
    }
    let float = matches!(tensor.ty(), GgmlType::F32 | GgmlType::F16 | GgmlType::BF16);
    if !id.role.quantizable() && !float {
        let (tensor, found) = (tensor.name().to_owned(), tensor.ty().to_string());
        return Err(RunError::Type { path: path.to_owned(), tensor, expected: "F32, F16 or BF16", found });
    }
    // A stack is its experts one after the other.
    let size = tensor.data().len() / stack;
    let start = tensor.range().start + size * id.role.expert().map_or(0, usize::from);
    let name = match id.role.expert() {
        Some(e) => format!("{}[{e}]", tensor.name()),
        None => tensor.name().to_owned(),
    };
    let scheme = tensor.ty().name().to_ascii_lowercase();
    let stored = StoredTensor { id: Some(id), name, scheme, rows, cols, bytes: size as u64 };
    Ok((stored, Place { shard, bytes: start..start + size, ty: tensor.ty() }))
}
