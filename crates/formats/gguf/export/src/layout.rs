//! Which tensor lies where: order, shards, offsets.

use crate::grids::block_type;
use crate::options::{Profile, Split, SplitLimit};
use crate::{GgufExportError, grids};
use lfmq_core::{ExportJob, Holds, SourceTensor, TensorRole};
use lfmq_gguf_wire::{GgmlType, names};
use lfmq_moe::{Banks, Member, MoeError, Part, Stack};

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
        let items = items(job)?;
        let mut groups = in_checkpoint_order(&items, &Banks::of(job)?)?;
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

/// What one tensor of the file is made of: a tensor of the checkpoint, or a stack of experts.
struct Group<'a> {
    name: String,
    first: &'a Item<'a>,
    /// Each with the row of the stack where it begins.
    members: Vec<(&'a Item<'a>, u64)>,
    /// Fastest dimension first.
    ne: Vec<u64>,
}

impl<'a> Group<'a> {
    fn one(item: &'a Item<'a>) -> Self {
        let tensor = item.tensor;
        let mut ne = vec![tensor.cols as u64];
        if !is_vector(tensor.id.role) {
            ne.push(tensor.rows as u64);
        }
        Self { name: names::tensor_name(tensor.id), first: item, members: vec![(item, 0)], ne }
    }

    /// The members have one type and shape, as they have one grid.
    fn stack(items: &'a [Item<'a>], stack: &Stack) -> Option<Self> {
        let member = |m: Member| Some((items.get(m.index)?, m.first as u64));
        let members: Vec<_> = stack.members().map(member).collect::<Option<_>>()?;
        let (first, _) = *members.first()?;
        let ne = stack.shape().iter().rev().map(|n| *n as u64).collect();
        Some(Self { name: names::tensor_name(first.tensor.id), first, members, ne })
    }

    /// The quantizer's order: tensors outside the layers first.
    fn layer(&self) -> i32 {
        self.first.tensor.id.layer.map_or(-1, i32::from)
    }

    fn places(&self, stored: usize) -> impl Iterator<Item = (usize, Place)> {
        self.members.iter().map(move |(item, row)| {
            let SourceTensor { rows, cols, ref name, .. } = *item.tensor;
            let (start, row_bytes) = (row * item.row_bytes, item.row_bytes);
            (item.index, Place { stored, start, rows, cols, row_bytes, name: name.clone() })
        })
    }

    fn stored(self, profile: Profile) -> Stored {
        let Self { name, first, members, mut ne } = self;
        // The C library knows a dimension of one only before a larger one.
        while profile == Profile::Quantize && ne.len() > 1 && ne.last() == Some(&1) {
            ne.pop();
        }
        Stored { name, ne, ty: first.ty, bytes: first.bytes() * members.len() as u64, shard: 0, offset: 0 }
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
fn in_checkpoint_order<'a>(items: &'a [Item<'a>], banks: &Banks) -> Result<Vec<Group<'a>>, GgufExportError> {
    let mut groups = Vec::new();
    for item in items {
        let id = item.tensor.id;
        let (Some(layer), Some(_)) = (id.layer, id.role.expert()) else {
            groups.push(Group::one(item));
            continue;
        };
        let bank = banks.layer(layer)?;
        if item.index == bank.last() {
            for part in [Part::Gate, Part::Down, Part::Up] {
                groups.push(Group::stack(items, &bank.stack(part)).ok_or(MoeError::Dense { layer })?);
            }
        }
    }
    Ok(groups)
}
