//! What an operator sees of its node while it is built, and of its values while it runs.

use crate::Options;
use crate::flat::{Table, WireFault};
use crate::model::NodeProto;
use crate::shelf::Shelf;
use crate::stored::Stored;
use crate::tensor::{Acts, Buffer, Class, Kind, Type, Why};
use lfmq_core::Activation;
use lfmq_kernels::Kernels;
use std::sync::Arc;

/// An input that is known before the graph runs.
#[derive(Clone)]
pub(crate) enum Const {
    /// As the file has it; a `DEQUANTIZE` may have `widened` it to numbers.
    Stored {
        tensor: Arc<Stored>,
        widened: bool,
    },
    Ready(Type, Arc<Buffer>),
}

impl Const {
    pub fn of(&self) -> Type {
        match self {
            Self::Stored { tensor, widened } => {
                let kind = if *widened { Kind::F32 } else { tensor.kind };
                Type::new(kind, tensor.shape.clone())
            }
            Self::Ready(of, _) => of.clone(),
        }
    }

    /// The values in memory.
    pub fn load(&self) -> Result<Arc<Buffer>, Why> {
        match self {
            Self::Stored { tensor, widened } => tensor.load(*widened).map(Arc::new),
            Self::Ready(_, buffer) => Ok(buffer.clone()),
        }
    }
}

/// A node while its operator is built.
pub(crate) struct Node<'n> {
    pub op: i32,
    proto: &'n NodeProto<'n>,
    /// Type of each input, `None` for one left out.
    types: &'n [Option<Type>],
    constants: &'n [Option<Const>],
    pub shelf: &'n Shelf,
    /// Whether only some runs come here.
    pub sometimes: bool,
    pub options: Options,
}

/// What an operator makes of its node.
pub(crate) struct Built {
    /// Types of the outputs.
    pub outputs: Vec<Type>,
    pub work: Work,
}

pub(crate) enum Work {
    /// Runs on these inputs.
    Run(Job),
    /// Each output is a part of an input, from an element on.
    Parts(Vec<(usize, usize)>),
    /// The one output is known.
    Known(Const),
    /// Runs one of two subgraphs on the inputs from 1 on.
    Branch { then: usize, otherwise: usize },
    /// Runs a subgraph on all inputs.
    Inline(usize),
}

/// A running operator.
pub(crate) struct Job {
    pub operands: Vec<Operand>,
    /// Operands that output 0 may be written over, best first.
    pub over: Vec<usize>,
    pub run: Run,
    pub hint: Option<Hint>,
}

/// What an operator computes, where several may be computed as one or somebody wants to know.
#[derive(Clone, Debug)]
pub(crate) enum Hint {
    /// Products of matrices with rows of the right side.
    Product(Arc<super::product::Batch>),
    /// A sum, and for each operand whether it is one matrix for all of the output's.
    Sum([bool; 2]),
    Softmax,
    /// Output 1 are places of the greatest of each row, so many of them.
    Choice(usize),
}

/// Inputs in, outputs out; outputs have at least the length that was planned.
pub(crate) type Run = Box<dyn Fn(&Inputs<'_>, &mut [Buffer]) -> Result<(), Why> + Send + Sync>;

/// What an operator runs on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Operand {
    /// The values of an input.
    Input(usize),
    /// An f32 input with rows of so many columns as 8-bit codes.
    Rounded(usize, usize),
}

/// Makes the running operator from a node.
pub(crate) type Build = fn(&Node<'_>) -> Result<Built, Why>;

impl<'n> Node<'n> {
    pub fn new(
        op: i32,
        proto: &'n NodeProto<'n>,
        types: &'n [Option<Type>],
        constants: &'n [Option<Const>],
        (shelf, sometimes): (&'n Shelf, bool),
        options: Options,
    ) -> Self {
        Self { op, proto, types, constants, shelf, sometimes, options }
    }

    pub fn kernels(&self) -> &'static Kernels {
        self.options.kernels
    }

    /// Whether integers of the weights meet 8-bit activations.
    pub fn rounds(&self) -> bool {
        self.options.activation == Activation::Runtime
    }

    pub fn count(&self) -> usize {
        self.types.len()
    }

    pub fn outputs(&self) -> usize {
        self.proto.outputs.len()
    }

    pub fn has(&self, i: usize) -> bool {
        self.types.get(i).is_some_and(Option::is_some)
    }

    pub fn of(&self, i: usize) -> Result<&'n Type, Why> {
        self.types.get(i).and_then(Option::as_ref).ok_or_else(|| format!("input {i} is missing"))
    }

    pub fn shape(&self, i: usize) -> Result<&'n [usize], Why> {
        self.of(i).map(|t| t.shape.as_slice())
    }

    /// Input `i`, which must be of `kind`.
    pub fn expect(&self, i: usize, kind: Kind) -> Result<&'n Type, Why> {
        let of = self.of(i)?;
        if of.kind == kind { Ok(of) } else { Err(format!("input {i} is of {:?}, expected {kind:?}", of.kind)) }
    }

    /// Input `i` if it is constant.
    pub fn constant(&self, i: usize) -> Option<&'n Const> {
        self.constants.get(i)?.as_ref()
    }

    /// Input `i` if it lies in the file.
    pub fn stored(&self, i: usize) -> Option<&'n Arc<Stored>> {
        match self.constant(i)? {
            Const::Stored { tensor, .. } => Some(tensor),
            Const::Ready(..) => None,
        }
    }

    /// The integers of input `i`, which must be constant.
    pub fn ints(&self, i: usize) -> Result<Vec<i64>, Why> {
        let constant = self.constant(i).ok_or_else(|| format!("input {i} must be constant"))?;
        if constant.of().len() > 1 << 16 {
            return Err(format!("input {i} has {} integers", constant.of().len()));
        }
        match &*constant.load()? {
            Buffer::I32(v) => Ok(v.iter().map(|v| i64::from(*v)).collect()),
            Buffer::I64(v) => Ok(v.clone()),
            _ => Err(format!("input {i} is of {:?}, expected integers", constant.of().kind)),
        }
    }

    /// The one float of input `i`, if it is constant.
    pub fn float(&self, i: usize) -> Result<f32, Why> {
        match self.constant(i).map(Const::load).transpose()?.as_deref() {
            Some(Buffer::F32(v)) if v.len() == 1 => Ok(v.first().copied().unwrap_or_default()),
            _ => Err(format!("input {i} must be one constant float")),
        }
    }

    /// The table of options, if it is of this kind of the union.
    pub fn table(&self, kind: u16) -> Option<&'n Table<'n>> {
        self.proto.options.as_ref().filter(|(k, _)| *k == kind).map(|(_, table)| table)
    }

    /// What `read` finds in the options of this kind; the default where the node has none.
    pub fn option<T: Default>(
        &self,
        kind: u16,
        read: impl FnOnce(&Table<'n>) -> Result<T, WireFault>,
    ) -> Result<T, Why> {
        self.table(kind).map_or(Ok(T::default()), |t| read(t).map_err(|f| f.why))
    }

    /// An error when the options ask for an activation function.
    pub fn plain(&self, kind: u16, field: usize) -> Result<(), Why> {
        match self.option(kind, |t| t.u8(field))? {
            0 => Ok(()),
            other => Err(format!("fused activation {other} is not supported")),
        }
    }
}

/// Where an operand is while a step runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Place {
    Slot(Class, usize),
    State(usize),
    Constant(usize),
}

/// A part of a buffer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct View {
    pub place: Place,
    pub start: usize,
    pub len: usize,
}

/// The values given to a running operator.
pub(crate) struct Inputs<'a> {
    pub views: &'a [View],
    pub slots: &'a [Vec<Buffer>],
    pub states: &'a [Buffer],
    pub constants: &'a [Arc<Buffer>],
    /// The operand that output 0 starts out with.
    pub over: Option<usize>,
}

impl<'a> Inputs<'a> {
    pub fn buffer(&self, i: usize) -> Result<(&'a Buffer, View), Why> {
        let view = self.views.get(i).ok_or_else(|| format!("input {i} is missing"))?;
        let buffer = match view.place {
            Place::Slot(class, at) => self.slots.get(class as usize).and_then(|slots| slots.get(at)),
            Place::State(at) => self.states.get(at),
            Place::Constant(at) => self.constants.get(at).map(|b| &**b),
        };
        buffer.map(|b| (b, *view)).ok_or_else(|| format!("input {i} has no buffer"))
    }

    pub fn f32(&self, i: usize) -> Result<&'a [f32], Why> {
        match self.buffer(i)? {
            (Buffer::F32(v), view) => part(v, view, i),
            _ => Err(format!("input {i} is not of floats")),
        }
    }

    pub fn i32(&self, i: usize) -> Result<&'a [i32], Why> {
        match self.buffer(i)? {
            (Buffer::I32(v), view) => part(v, view, i),
            _ => Err(format!("input {i} is not of 32-bit integers")),
        }
    }

    pub fn bytes(&self, i: usize) -> Result<&'a [u8], Why> {
        match self.buffer(i)? {
            (Buffer::Bytes(v), view) => part(v, view, i),
            _ => Err(format!("input {i} is not of bytes")),
        }
    }

    pub fn acts(&self, i: usize) -> Result<&'a Acts, Why> {
        match self.buffer(i)? {
            (Buffer::Acts(acts), _) => Ok(acts),
            _ => Err(format!("input {i} is not rounded")),
        }
    }

    /// All integers of input `i`, of either width.
    pub fn ints(&self, i: usize) -> Result<Vec<i64>, Why> {
        match self.buffer(i)? {
            (Buffer::I32(v), view) => Ok(part(v, view, i)?.iter().map(|v| i64::from(*v)).collect()),
            (Buffer::I64(v), view) => Ok(part(v, view, i)?.to_vec()),
            _ => Err(format!("input {i} is not of integers")),
        }
    }
}

fn part<T>(all: &[T], view: View, i: usize) -> Result<&[T], Why> {
    let part = all.get(view.start..).and_then(|v| v.get(..view.len));
    part.ok_or_else(|| format!("input {i}: elements {}+{} of {}", view.start, view.len, all.len()))
}

/// Output `i` with its planned length.
pub(crate) fn f32_out(outputs: &mut [Buffer], i: usize, len: usize) -> Result<&mut [f32], Why> {
    let out = outputs.get_mut(i).ok_or("an output is missing")?.f32_mut()?;
    out.get_mut(..len).ok_or_else(|| "an output is too short".into())
}

/// An operator of one output that runs on all its inputs as they are.
pub(crate) fn job(
    node: &Node<'_>,
    output: Type,
    over: Vec<usize>,
    run: impl Fn(&Inputs<'_>, &mut [Buffer]) -> Result<(), Why> + Send + Sync + 'static,
) -> Result<Built, Why> {
    let operands = (0..node.count()).map(Operand::Input).collect();
    Ok(Built { outputs: vec![output], work: Work::Run(Job { operands, over, run: Box::new(run), hint: None }) })
}

/// The same operator with a hint.
pub(crate) fn hinted(mut built: Built, hint: Hint) -> Built {
    if let Work::Run(job) = &mut built.work {
        job.hint = Some(hint);
    }
    built
}

/// An operator whose output is its first input under another shape.
pub(crate) fn renamed(node: &Node<'_>, shape: Vec<usize>) -> Result<Built, Why> {
    let of = node.of(0)?;
    if crate::tensor::elements(&shape)? != of.len() {
        return Err(format!("{} elements do not fill {shape:?}", of.len()));
    }
    Ok(Built { outputs: vec![Type::new(of.kind, shape)], work: Work::Parts(vec![(0, 0)]) })
}
