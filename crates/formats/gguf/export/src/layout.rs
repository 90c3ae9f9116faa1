//! Which tensor lies where: order, shards, offsets.

use crate::grids::block_type;
use crate::options::{Profile, Split, SplitLimit};
use crate::{GgufExportError, grids};
use lfmq_core::{ExportJob, Holds, SourceTensor, TensorRole};
use lfmq_gguf_wire::{GgmlType, names};
use std::collections::BTreeMap;

/// Every tensor begins at a multiple of this.
pub(crate) const ALIGN: u64 = 32;

/// A tensor of the file: one of the checkpoint's, or a stack of its experts.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) name: String,
    /// Fastest dimension first.
    pub(crate) ne: Vec<u64>,
    pub(crate) ty: GgmlType,
    pub(crate) bytes: u64,
    pub(crate) shard: usize,
    /// From the start of the shard's data.
    pub(crate) offset: u64,
}

/// Where a tensor of the checkpoint goes.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// Index of the stored tensor.
    pub(crate) stored: usize,
    /// Where its first row begins within the stored tensor.
    pub(crate) start: u64,
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    pub(crate) row_bytes: u64,
    /// Its name in the checkpoint, for errors.
    pub(crate) name: String,
}

/// The tensors of all shards in file order, and the place of each tensor of the checkpoint.
#[derive(Debug)]
pub(crate) struct Layout {
    pub(crate) stored: Vec<Stored>,
    pub(crate) places: Vec<Place>,
    pub(crate) shards: usize,
}

pub(crate) fn padded(bytes: u64) -> u64 {
    bytes.next_multiple_of(ALIGN)
}

impl Layout {
    pub(crate) fn of(job: &ExportJob<'_>, profile: Profile, split: Option<Split>) -> Result<Self, GgufExportError> {
        let experts = job.source.spec().moe.map_or(0, |moe| moe.experts);
        let mut groups = in_checkpoint_order(items(job)?, experts)?;
        if profile == Profile::Quantize {
            groups.sort_by_cached_key(|group| (group.layer(), group.name.clone()));
        }
        let mut stored = Vec::new();
        let mut places = Vec::new();
        for group in groups {
            places.extend(group.places(stored.len()));
            stored.push(group.stored(profile));
        }
        places.sort_by_key(|(index, _)| *index);
        let places = places.into_iter().map(|(_, place)| place).collect();
        let mut layout = Self { stored, places, shards: 1 };
        layout.assign_shards(split)?;
        Ok(layout)
    }

    /// The type of most weights.
    pub(crate) fn commonest_type(&self) -> GgmlType {
        let mut weights: Vec<(GgmlType, u64)> = GgmlType::all().map(|ty| (ty, 0)).collect();
        for stored in &self.stored {
            if let Some(entry) = weights.iter_mut().find(|(ty, _)| *ty == stored.ty) {
                entry.1 += stored.ne.iter().product::<u64>();
            }
        }
        weights.iter().max_by_key(|(_, n)| *n).map_or(GgmlType::F32, |(ty, _)| *ty)
    }

    /// Shards by the converter's rules, then offsets within each.
    fn assign_shards(&mut self, split: Option<Split>) -> Result<(), GgufExportError> {
        let mut shard = usize::from(split.is_some_and(|s| s.no_tensor_first));
        let (mut tensors, mut bytes, mut offset) = (0usize, 0u64, 0u64);
        for stored in &mut self.stored {
            let full = tensors > 0
                && match split.map(|s| s.limit) {
                    Some(SplitLimit::Tensors(most)) => tensors >= most,
                    Some(SplitLimit::Bytes(most)) => bytes + stored.bytes > most,
                    None => false,
                };
            if full {
                shard += 1;
                (tensors, bytes, offset) = (0, 0, 0);
            }
            (stored.shard, stored.offset) = (shard, offset);
            tensors += 1;
            bytes += stored.bytes;
            offset += padded(stored.bytes);
        }
        self.shards = shard + 1;
        match u16::try_from(self.shards) {
            Ok(_) => Ok(()),
            Err(_) => Err(GgufExportError::Layout { why: format!("{} shards are too many", self.shards) }),
        }
    }
}

/// Norms and biases have one dimension; a matrix of one row has two.
fn is_vector(role: TensorRole) -> bool {
    use TensorRole as R;
    matches!(
        role,
        R::FinalNorm
            | R::MixerNorm
            | R::FfnNorm
            | R::AttnQNorm
            | R::AttnKNorm
            | R::RouterBias
            | R::ConvInBias
            | R::ConvKernelBias
            | R::ConvOutBias
    )
}

/// A tensor of the checkpoint with the type it will have.
struct Item<'a> {
    index: usize,
    tensor: &'a SourceTensor,
    ty: GgmlType,
    row_bytes: u64,
}

impl Item<'_> {
    fn bytes(&self) -> u64 {
        self.row_bytes * self.tensor.rows as u64
    }
}

/// What one tensor of the file is made of: a tensor of the checkpoint, or all experts of a kind in order.
struct Group<'a> {
    name: String,
    first: Item<'a>,
    others: Vec<Item<'a>>,
}

impl<'a> Group<'a> {
    fn of(mut items: impl Iterator<Item = Item<'a>>) -> Option<Self> {
        let first = items.next()?;
        Some(Self { name: names::tensor_name(first.tensor.id), first, others: items.collect() })
    }

    /// A stack holds experts 0, 1, 2, … of one shape in one type.
    fn check(&self) -> Result<(), GgufExportError> {
        let refuse = |item: &Item<'_>, why| Err(GgufExportError::Grid { tensor: item.tensor.name.clone(), why });
        for (item, expert) in std::iter::once(&self.first).chain(&self.others).zip(0u16..) {
            if item.tensor.id.role.expert().is_some_and(|e| e != expert) {
                return refuse(item, format!("it stands where expert {expert} should be"));
            }
            if item.ty != self.first.ty {
                let (name, ty) = (&self.name, self.first.ty);
                return refuse(
                    item,
                    format!("GGUF stores all experts of `{name}` in one type, not {ty} and {}", item.ty),
                );
            }
        }
        Ok(())
    }

    /// The quantizer's order: tensors outside the layers first.
    fn layer(&self) -> i32 {
        self.first.tensor.id.layer.map_or(-1, i32::from)
    }

    fn places(&self, stored: usize) -> impl Iterator<Item = (usize, Place)> {
        let all = std::iter::once(&self.first).chain(&self.others);
        all.scan(0, move |end, item| {
            let start = *end;
            *end += item.bytes();
            let (rows, cols) = (item.tensor.rows, item.tensor.cols);
            let name = item.tensor.name.clone();
            Some((item.index, Place { stored, start, rows, cols, row_bytes: item.row_bytes, name }))
        })
    }

    fn stored(self, profile: Profile) -> Stored {
        let tensor = self.first.tensor;
        let mut ne = vec![tensor.cols as u64];
        if !is_vector(tensor.id.role) {
            ne.push(tensor.rows as u64);
        }
        let members = 1 + self.others.len() as u64;
        if tensor.id.role.expert().is_some() {
            ne.push(members);
        }
        // The C library knows a dimension of one only before a larger one.
        while profile == Profile::Quantize && ne.len() > 1 && ne.last() == Some(&1) {
            ne.pop();
        }
        Stored { name: self.name, ne, ty: self.first.ty, bytes: self.first.bytes() * members, shard: 0, offset: 0 }
    }
}

/// The tensors of the checkpoint with their planned types, each checked to be one that the format holds.
fn items<'a>(job: &ExportJob<'a>) -> Result<Vec<Item<'a>>, GgufExportError> {
    job.check()?;
    let all = job.source.tensors().iter().zip(&job.plan.tensors).enumerate();
    all.map(|(index, (tensor, planned))| {
        let refuse = |why: String| GgufExportError::Grid { tensor: tensor.name.clone(), why };
        if let Holds::No { why } = grids::holds(&planned.grid, tensor.id.role) {
            return Err(refuse(why));
        }
        let ty = block_type(&planned.grid).unwrap_or(GgmlType::F32);
        let (cols, block) = (tensor.cols, ty.block());
        let whole = || refuse(format!("a row of {cols} weights is not a whole number of {ty} blocks of {block}"));
        let row_bytes = ty.row_bytes(cols as u64).ok_or_else(whole)?;
        // Far more than any file, far less than an overflow of the sums.
        let bytes = row_bytes.checked_mul(tensor.rows as u64).filter(|bytes| *bytes < 1 << 44);
        bytes.ok_or_else(|| refuse("it is too large".to_owned()))?;
        Ok(Item { index, tensor, ty, row_bytes })
    })
    .collect()
}

/// The converter's order: that of the checkpoint, where the stacks of a layer stand together, gate, down, up, at
/// the place of the layer's last expert.
fn in_checkpoint_order(items: Vec<Item<'_>>, experts: usize) -> Result<Vec<Group<'_>>, GgufExportError> {
    let mut groups = Vec::new();
    let mut waiting: BTreeMap<u16, Vec<Item<'_>>> = BTreeMap::new();
    for item in items {
        let (Some(layer), Some(_)) = (item.tensor.id.layer, item.tensor.id.role.expert()) else {
            groups.extend(Group::of(std::iter::once(item)));
            continue;
        };
        let mut members = waiting.remove(&layer).unwrap_or_default();
        members.push(item);
        if members.len() < 3 * experts {
            waiting.insert(layer, members);
            continue;
        }
        members.sort_by_key(|item| item.tensor.id.role.expert());
        for kind in [TensorRole::ExpertGate(0), TensorRole::ExpertDown(0), TensorRole::ExpertUp(0)] {
            let of_kind = members.extract_if(.., |item| item.tensor.id.role.word() == kind.word());
            groups.extend(Group::of(of_kind));
        }
    }
    if let Some(layer) = waiting.keys().next() {
        return Err(GgufExportError::Layout { why: format!("layer {layer} lacks some of its experts") });
    }
    groups.iter().try_for_each(Group::check)?;
    Ok(groups)
}
