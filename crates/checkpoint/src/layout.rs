//! Matches the tensors of the files with those the configuration calls for.

use crate::CheckpointError;
use crate::error::NameList;
use crate::header::StoredTensor;
use crate::names::{disk_name, disk_shape, fused_names};
use crate::shards::Shards;
use lfmq_core::{Ffn, ModelSpec, SourceTensor, TensorId, TensorRole};
use std::collections::BTreeMap;

/// A tensor of the model and where its data begins in its file.
#[derive(Debug)]
pub struct Placed {
    pub tensor: SourceTensor,
    pub offset: usize,
}

/// The tensors that are still to be claimed, by name.
type Rest<'a> = BTreeMap<&'a str, &'a (usize, StoredTensor)>;

/// Places every tensor of `spec`, sorted by (file, name).
pub fn place(spec: &ModelSpec, shards: &Shards) -> Result<Vec<Placed>, CheckpointError> {
    let mut rest: Rest<'_> = shards.tensors.iter().map(|(name, found)| (name.as_str(), found)).collect();
    if spec.tied {
        drop_equal_head(&mut rest, shards)?;
    }
    let mut placed = unstack(spec, &mut rest)?;
    let from_stacks: std::collections::HashSet<TensorId> = placed.iter().map(|p| p.tensor.id).collect();
    let mut missing = Vec::new();
    for (id, (rows, cols)) in spec.tensors() {
        if from_stacks.contains(&id) {
            continue;
        }
        let name = disk_name(id);
        let Some((shard, stored)) = claim(&mut rest, &name, id.role) else {
            missing.push(name);
            continue;
        };
        check_shape(stored, disk_shape(id.role, (rows, cols)))?;
        let tensor = SourceTensor { id, name: stored.name.clone(), shard: *shard, dtype: stored.dtype, rows, cols };
        placed.push(Placed { tensor, offset: stored.offset });
    }
    if !missing.is_empty() || !rest.is_empty() {
        let missing = NameList::of(missing.iter().map(String::as_str));
        return Err(CheckpointError::TensorSet { missing, unexpected: NameList::of(rest.into_keys()) });
    }
    placed.sort_by(|a, b| (a.tensor.shard, &a.tensor.name).cmp(&(b.tensor.shard, &b.tensor.name)));
    Ok(placed)
}

/// Takes the tensor called `name`; the selection bias is met with `.weight` behind its name, too.
fn claim<'a>(rest: &mut Rest<'a>, name: &str, role: TensorRole) -> Option<&'a (usize, StoredTensor)> {
    let again = |rest: &mut Rest<'a>| match role {
        TensorRole::RouterBias => rest.remove(format!("{name}.weight").as_str()),
        _ => None,
    };
    rest.remove(name).or_else(|| again(rest))
}

/// Some files store a tied head again. It is ignored if it is the same, bit for bit.
fn drop_equal_head(rest: &mut Rest<'_>, shards: &Shards) -> Result<(), CheckpointError> {
    let name = |role| disk_name(TensorId::global(role));
    let Some(head) = rest.remove(name(TensorRole::Head).as_str()) else { return Ok(()) };
    let Some(embedding) = rest.get(name(TensorRole::Embedding).as_str()) else { return Ok(()) };
    let data = |(shard, t): &(usize, StoredTensor)| shards.files.get(*shard)?.file.get(t.offset..t.offset + t.bytes);
    let same = head.1.dtype == embedding.1.dtype && head.1.shape == embedding.1.shape && data(head) == data(embedding);
    if same { Ok(()) } else { Err(CheckpointError::HeadDiffers) }
}

/// Cuts stacks of experts into the experts' tensors, under the names they have in a per-expert checkpoint.
fn unstack(spec: &ModelSpec, rest: &mut Rest<'_>) -> Result<Vec<Placed>, CheckpointError> {
    let mut placed = Vec::new();
    let Some(moe) = &spec.moe else { return Ok(placed) };
    let (experts, width, hidden) = (moe.experts as u64, moe.width as u64, spec.hidden as u64);
    for (layer, _) in (0u16..).zip(&spec.layers).filter(|(_, layer)| layer.ffn == Ffn::Moe) {
        let [gate_up, down] = fused_names(layer);
        let mut cut = |name: &str, shape: [u64; 2], parts: &[fn(u16) -> TensorRole]| {
            let Some((shard, stack)) = rest.remove(name) else { return Ok(()) };
            let [rows, cols] = shape;
            check_shape(stack, vec![experts, rows * parts.len() as u64, cols])?;
            // The stack holds exactly these slices, one after the other.
            let (rows, cols) = (rows as usize, cols as usize);
            let slices = (0u16..).take(moe.experts).flat_map(|e| parts.iter().map(move |role| role(e)));
            for (index, role) in slices.enumerate() {
                let id = TensorId::layer(layer, role);
                let (name, dtype) = (disk_name(id), stack.dtype);
                let tensor = SourceTensor { id, name, shard: *shard, dtype, rows, cols };
                placed.push(Placed { tensor, offset: stack.offset + index * rows * cols * dtype.size() });
            }
            Ok(())
        };
        cut(&gate_up, [width, hidden], &[TensorRole::ExpertGate, TensorRole::ExpertUp])?;
        cut(&down, [hidden, width], &[TensorRole::ExpertDown])?;
    }
    Ok(placed)
}

fn check_shape(stored: &StoredTensor, expected: Vec<u64>) -> Result<(), CheckpointError> {
    if stored.shape == expected {
        return Ok(());
    }
    let (tensor, found) = (stored.name.clone(), stored.shape.clone());
    Err(CheckpointError::TensorShape { tensor, expected, found })
}
