use crate::{MoeError, Stack};
use lfmq_core::{ExportJob, Ffn, Grid, MoeSpec, TensorId, TensorRole as R};
use std::collections::BTreeMap;

/// One of the three matrices of an expert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// `w1` `[width, hidden]`.
    Gate,
    /// `w3` `[width, hidden]`.
    Up,
    /// `w2` `[hidden, width]`.
    Down,
}

/// The matrices of one expert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expert {
    /// `w1`.
    pub gate: TensorId,
    /// `w3`.
    pub up: TensorId,
    /// `w2`.
    pub down: TensorId,
}

/// The experts of all mixture layers.
#[derive(Clone, Debug)]
pub struct Banks(BTreeMap<u16, Bank>);

impl Banks {
    /// Finds the experts of every mixture layer among the tensors of `job`, whose order does not matter: an expert
    /// stands where its number says. Reads no weight. A dense model has none.
    ///
    /// # Errors
    /// An expert that is missing, there twice, too many or of another shape; experts of one role in a layer that are
    /// planned on two grids.
    pub fn of(job: &ExportJob<'_>) -> Result<Self, MoeError> {
        let spec = job.source.spec();
        let mixture = |layer: &u16| spec.layers.get(usize::from(*layer)).is_some_and(|l| l.ffn == Ffn::Moe);
        let found = find(job, mixture)?;
        let Some(moe) = spec.moe else { return Ok(Self(BTreeMap::new())) };
        let roles = Roles { job, found, moe };
        let layers = (0u16..).take(spec.layers.len()).filter(mixture);
        layers.map(|layer| Ok((layer, roles.bank(layer)?))).collect::<Result<_, _>>().map(Self)
    }

    /// The experts of `layer`.
    ///
    /// # Errors
    /// When it has none.
    pub fn layer(&self, layer: u16) -> Result<&Bank, MoeError> {
        self.0.get(&layer).ok_or(MoeError::Dense { layer })
    }
}

/// The matrices of experts by what they are, each an index among the tensors of the checkpoint.
fn find(job: &ExportJob<'_>, mixture: impl Fn(&u16) -> bool) -> Result<BTreeMap<TensorId, usize>, MoeError> {
    let tensors = job.source.tensors();
    let experts = job.source.spec().moe.map_or(0, |moe| moe.experts);
    let mut found = BTreeMap::new();
    for (index, tensor) in tensors.iter().enumerate() {
        let Some(e) = tensor.id.role.expert() else { continue };
        let (name, id) = (|| tensor.name.clone(), tensor.id);
        if usize::from(e) >= experts || id.layer.filter(&mixture).is_none() {
            return Err(MoeError::Stray { tensor: name(), id: id.to_string(), experts });
        }
        if let Some(first) = found.insert(id, index).and_then(|first| tensors.get(first)) {
            return Err(MoeError::Twice { tensor: name(), id: id.to_string(), first: first.name.clone() });
        }
    }
    Ok(found)
}

struct Roles<'a> {
    job: &'a ExportJob<'a>,
    found: BTreeMap<TensorId, usize>,
    moe: MoeSpec,
}

impl Roles<'_> {
    fn bank(&self, layer: u16) -> Result<Bank, MoeError> {
        let (width, hidden) = (self.moe.width, self.job.source.spec().hidden);
        Ok(Bank {
            layer,
            gate: self.matrices(layer, R::ExpertGate, (width, hidden))?,
            up: self.matrices(layer, R::ExpertUp, (width, hidden))?,
            down: self.matrices(layer, R::ExpertDown, (hidden, width))?,
        })
    }

    fn matrices(&self, layer: u16, role: fn(u16) -> R, shape: (usize, usize)) -> Result<Matrices, MoeError> {
        let mut all: Option<Matrices> = None;
        for e in (0u16..).take(self.moe.experts) {
            let id = TensorId::layer(layer, role(e));
            let missing = || MoeError::Missing { id: id.to_string(), experts: self.moe.experts };
            let index = *self.found.get(&id).ok_or_else(missing)?;
            let tensor = self.job.source.tensors().get(index).ok_or_else(missing)?;
            let grid = &self.job.plan.tensors.get(index).ok_or_else(missing)?.grid;
            let found = (tensor.rows, tensor.cols);
            if found != shape {
                return Err(MoeError::Shape { tensor: tensor.name.clone(), expected: shape, found });
            }
            let new = || Matrices { name: tensor.name.clone(), grid: grid.clone(), shape, indices: Vec::new() };
            let all = all.get_or_insert_with(new);
            same_grid((&all.name, &all.grid), (&tensor.name, grid))?;
            all.indices.push(index);
        }
        all.ok_or(MoeError::Dense { layer })
    }
}

/// The experts of one layer: complete, in order, and all matrices of a part of one shape and on one grid.
#[derive(Clone, Debug)]
pub struct Bank {
    layer: u16,
    gate: Matrices,
    up: Matrices,
    down: Matrices,
}

/// All matrices of one part.
#[derive(Clone, Debug)]
struct Matrices {
    /// Name of expert 0's, for errors.
    name: String,
    grid: Grid,
    shape: (usize, usize),
    /// By expert, index among the tensors of the checkpoint.
    indices: Vec<usize>,
}

impl Bank {
    /// The experts in order, for formats that hold each by itself.
    pub fn experts(&self) -> impl Iterator<Item = Expert> + use<> {
        let layer = self.layer;
        let matrix = move |role| TensorId::layer(layer, role);
        (0u16..).take(self.gate.indices.len()).map(move |e| Expert {
            gate: matrix(R::ExpertGate(e)),
            up: matrix(R::ExpertUp(e)),
            down: matrix(R::ExpertDown(e)),
        })
    }

    /// One part of all experts, an array `[experts, rows, cols]`.
    #[must_use]
    pub fn stack(&self, part: Part) -> Stack {
        let Matrices { shape: (rows, cols), indices, .. } = match part {
            Part::Gate => &self.gate,
            Part::Up => &self.up,
            Part::Down => &self.down,
        };
        Stack { parts: 1, rows: *rows, cols: *cols, indices: indices.clone() }
    }

    /// Gate and up of all experts, an array `[experts, 2 * width, hidden]` with their rows in turn.
    ///
    /// # Errors
    /// When they are on two grids.
    pub fn gate_up(&self) -> Result<Stack, MoeError> {
        same_grid((&self.gate.name, &self.gate.grid), (&self.up.name, &self.up.grid))?;
        let pairs = self.gate.indices.iter().zip(&self.up.indices);
        let indices = pairs.flat_map(|(gate, up)| [*gate, *up]).collect();
        Ok(Stack { parts: 2, indices, ..self.stack(Part::Gate) })
    }

    /// Index of the expert's matrix that comes last among the tensors of the checkpoint.
    #[must_use]
    pub fn last(&self) -> usize {
        let all = [&self.gate, &self.up, &self.down];
        all.iter().flat_map(|matrices| &matrices.indices).copied().max().unwrap_or_default()
    }
}

fn same_grid((name, grid): (&str, &Grid), (other, other_grid): (&str, &Grid)) -> Result<(), MoeError> {
    if grid == other_grid {
        return Ok(());
    }
    let (tensor, grid, other_grid) = (other.to_owned(), other_grid.to_string(), grid.to_string());
    Err(MoeError::Grid { tensor, grid, other: name.to_owned(), other_grid })
}
