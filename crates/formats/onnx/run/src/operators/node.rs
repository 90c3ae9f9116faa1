//! What an operator sees of its node and of its inputs.

use super::block_rows::BlockRows;
use super::blocks::{BlockWeights, Rounded};
use super::quantize::Dequantized;
use crate::held::{Held, common_name};
use crate::model::{NodeProto, Value};
use crate::stored::{Place, Stored};
use crate::tensor::{Data, Tensor, Why};
use crate::{Options, stored::Files};
use lfmq_core::Activation;
use lfmq_interpreter::{Bank, Laid, Later};
use lfmq_kernels::Kernels;
use std::any::Any;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// A running operator: values in, values out, in the order of the node's outputs. Trailing outputs that nobody
/// names may be missing or extra.
pub(crate) type Run = Box<dyn Fn(Inputs, &Context) -> Result<Vec<Tensor>, Why> + Send + Sync>;

/// Makes the running operator from a node.
pub(crate) type Build = fn(&mut Node<'_>) -> Result<Run, Why>;

/// What every operator may use while running.
pub(crate) struct Context {
    pub kernels: &'static Kernels,
    /// Elements of one value, at most.
    pub limit: usize,
    pub rounded: LastRounded,
}

impl Context {
    pub fn new(kernels: &'static Kernels, limit: usize) -> Self {
        Self { kernels, limit, rounded: LastRounded::default() }
    }
}

/// The activations that were rounded last. Queries, keys and values, or gate and up, read one value: it is rounded once.
#[derive(Default)]
pub(crate) struct LastRounded(Mutex<Option<Kept>>);

/// Holding the values keeps their address from being given to others.
struct Kept {
    values: Arc<Vec<f32>>,
    rounding: (usize, usize),
    rounded: Arc<Rounded>,
}

impl LastRounded {
    /// The activations `x` as `weights` want them.
    pub(super) fn of(&self, x: &Tensor, weights: &BlockWeights) -> Result<Arc<Rounded>, Why> {
        let Data::F32(values) = &x.data else { return Ok(Arc::new(weights.round(&x.floats()?))) };
        let Ok(mut last) = self.0.lock() else { return Ok(Arc::new(weights.round(values))) };
        if let Some(kept) = &*last
            && Arc::ptr_eq(&kept.values, values)
            && kept.rounding == weights.rounding()
        {
            return Ok(kept.rounded.clone());
        }
        let rounded = Arc::new(weights.round(values));
        *last = Some(Kept { values: values.clone(), rounding: weights.rounding(), rounded: rounded.clone() });
        Ok(rounded)
    }
}

/// An input that is known before the graph runs.
#[derive(Clone)]
pub(crate) enum Const {
    Stored(Stored),
    Ready(Tensor),
    /// Codes that a DequantizeLinear widens.
    Dequantized(Arc<Dequantized>),
}

impl Const {
    pub fn load(&self) -> Tensor {
        match self {
            Self::Stored(stored) => stored.load(),
            Self::Ready(tensor) => tensor.clone(),
            // Checked when it was made.
            Self::Dequantized(source) => source.load().unwrap_or_else(|_| Tensor::f32(vec![0], Vec::new())),
        }
    }

    /// The values as a file has them.
    pub fn into_stored(self) -> Stored {
        match self {
            Self::Stored(stored) => stored,
            other => Stored::of(&other.load()),
        }
    }

    /// Bytes of an element in memory.
    pub fn width(&self) -> usize {
        let kind = match self {
            Self::Stored(stored) => stored.kind,
            Self::Ready(tensor) => tensor.kind(),
            Self::Dequantized(source) => source.scales.kind(),
        };
        kind.bytes(1).unwrap_or(1)
    }

    pub fn shape(&self) -> &[usize] {
        match self {
            Self::Stored(stored) => &stored.shape,
            Self::Ready(tensor) => &tensor.shape,
            Self::Dequantized(source) => &source.codes.shape,
        }
    }
}

/// A node while its operator is built.
pub(crate) struct Node<'n> {
    proto: &'n NodeProto<'n>,
    files: &'n mut Files,
    constants: Vec<Option<Const>>,
    consumed: Vec<bool>,
    /// Version of the node's operator set.
    pub opset: i64,
    pub options: Options,
    /// Weights per place in the files, where the node knows better than to count elements.
    pub weights: BTreeMap<Place, u64>,
    /// Positions that the node has rotary tables for.
    pub positions: Option<usize>,
    /// Weights it computes with, as stored.
    pub held: Vec<Held>,
    /// The zero point of the codes it multiplies, if all have one.
    pub codes_zero: Option<i64>,
    /// Whether each row (all but the last axis) of its one value, or of several of one shape, is computed by itself.
    pub by_row: bool,
    /// Whether it may have nothing to do, as an expert has that no token was sent to.
    pub idles: bool,
    bank: &'n Arc<Bank>,
}

impl<'n> Node<'n> {
    pub fn new(
        proto: &'n NodeProto<'n>,
        files: &'n mut Files,
        constants: Vec<Option<Const>>,
        opset: i64,
        options: Options,
        bank: &'n Arc<Bank>,
    ) -> Self {
        let consumed = vec![false; constants.len()];
        let (weights, held) = (BTreeMap::new(), Vec::new());
        Self {
            proto,
            files,
            constants,
            consumed,
            opset,
            options,
            weights,
            positions: None,
            held,
            codes_zero: None,
            by_row: false,
            idles: false,
            bank,
        }
    }

    /// Weights of `bytes` that `make` lays out: now, or where the node may idle, when it has something to do.
    pub fn lay<T: Any + Send + Sync>(
        &self,
        bytes: usize,
        make: impl Fn() -> Result<T, Why> + Send + Sync + 'static,
    ) -> Result<Laid<T>, Why> {
        if self.idles {
            Ok(Laid::Later(Later::new(self.bank, bytes as u64, make)))
        } else {
            make().map(|weights| Laid::Out(Arc::new(weights)))
        }
    }

    pub fn op(&self) -> &'n str {
        self.proto.op
    }

    /// Whether input `i` is given.
    pub fn has(&self, i: usize) -> bool {
        self.proto.inputs.get(i).is_some_and(|name| !name.is_empty())
    }

    /// The name of input `i`, empty for none.
    pub fn input(&self, i: usize) -> &'n str {
        self.proto.inputs.get(i).copied().unwrap_or_default()
    }

    /// Tells of a matrix under the name that inputs `codes` and `scales` share.
    pub fn hold_blocks(&mut self, codes: usize, scales: usize, rows: &Arc<BlockRows>) {
        let name = common_name(self.input(codes), self.input(scales));
        self.held.push(Held::blocks(name, rows));
    }

    /// Number of inputs that are known only while running.
    pub fn values(&self) -> usize {
        self.constants.iter().enumerate().filter(|(i, c)| self.has(*i) && c.is_none()).count()
    }

    /// Number of outputs, named or not.
    pub fn outputs(&self) -> usize {
        self.proto.outputs.len()
    }

    /// Whether output `i` is asked for.
    pub fn wants(&self, i: usize) -> bool {
        self.proto.outputs.get(i).is_some_and(|name| !name.is_empty())
    }

    /// Input `i` if it is constant.
    pub fn constant(&self, i: usize) -> Option<&Const> {
        self.constants.get(i)?.as_ref()
    }

    /// Input `i`, which must be constant.
    pub fn must_be_constant(&self, i: usize) -> Result<&Const, Why> {
        self.constant(i).ok_or_else(|| format!("input {i} must be an initializer"))
    }

    /// Takes input `i` as laid out: it will not be given when running.
    pub fn consume(&mut self, i: usize) {
        if let Some(consumed) = self.consumed.get_mut(i) {
            *consumed = true;
        }
    }

    /// Which inputs need not be given, after building.
    pub fn consumed(&self) -> &[bool] {
        &self.consumed
    }

    fn attribute(&self, name: &str) -> Option<&Value<'n>> {
        self.proto.attributes.iter().find(|(n, _)| *n == name).map(|(_, value)| value)
    }

    pub fn int(&self, name: &str, default: i64) -> Result<i64, Why> {
        match self.attribute(name) {
            None => Ok(default),
            Some(Value::Int(value)) => Ok(*value),
            Some(_) => Err(format!("attribute `{name}` is not an integer")),
        }
    }

    /// A non-negative integer; an error when it is missing and there is no default.
    pub fn size(&self, name: &str, default: Option<usize>) -> Result<usize, Why> {
        match (self.attribute(name), default) {
            (None, Some(default)) => Ok(default),
            (None, None) => Err(format!("attribute `{name}` is missing")),
            _ => super::layout::size(self.int(name, 0)?, name),
        }
    }

    pub fn float(&self, name: &str, default: f32) -> Result<f32, Why> {
        match self.attribute(name) {
            None => Ok(default),
            Some(Value::Float(value)) => Ok(*value),
            Some(_) => Err(format!("attribute `{name}` is not a float")),
        }
    }

    pub fn ints(&self, name: &str) -> Result<Option<Vec<i64>>, Why> {
        match self.attribute(name) {
            None => Ok(None),
            Some(Value::Ints(values)) => Ok(Some(values.clone())),
            Some(_) => Err(format!("attribute `{name}` is not a list of integers")),
        }
    }

    pub fn floats(&self, name: &str) -> Result<Option<Vec<f32>>, Why> {
        match self.attribute(name) {
            None => Ok(None),
            Some(Value::Floats(values)) => Ok(Some(values.clone())),
            Some(_) => Err(format!("attribute `{name}` is not a list of floats")),
        }
    }

    pub fn text(&self, name: &str, default: &'static str) -> Result<&str, Why> {
        match self.attribute(name) {
            None => Ok(default),
            Some(Value::Text(text)) => {
                std::str::from_utf8(text).map_err(|_| format!("attribute `{name}` is not UTF-8"))
            }
            Some(_) => Err(format!("attribute `{name}` is not a string")),
        }
    }

    pub fn tensor(&mut self, name: &str) -> Result<Option<Tensor>, Why> {
        match self.proto.attributes.iter().find(|(n, _)| *n == name) {
            None => Ok(None),
            Some((_, Value::Tensor(tensor))) => {
                let exact = self.options.activation == Activation::F32;
                let value = self.files.find(tensor).map_err(|e| e.to_string())?.load();
                Ok(Some(if exact { value.widened() } else { value }))
            }
            Some(_) => Err(format!("attribute `{name}` is not a tensor")),
        }
    }

    /// An error when the node sets an attribute to anything but `expected`.
    pub fn only(&self, name: &str, expected: i64) -> Result<(), Why> {
        let found = self.int(name, expected)?;
        if found == expected { Ok(()) } else { Err(format!("{name} = {found} is not supported")) }
    }

    /// An error when the node has any of these inputs.
    pub fn without(&self, inputs: &[usize]) -> Result<(), Why> {
        match inputs.iter().find(|i| self.has(**i)) {
            Some(i) => Err(format!("input {i} is not supported")),
            None => Ok(()),
        }
    }
}

/// The values given to a running operator; those that nobody needs afterwards are the operator's own.
pub(crate) struct Inputs(pub Vec<Option<Tensor>>);

impl Inputs {
    pub fn get(&self, i: usize) -> Result<&Tensor, Why> {
        self.opt(i).ok_or_else(|| format!("input {i} is missing"))
    }

    pub fn opt(&self, i: usize) -> Option<&Tensor> {
        self.0.get(i)?.as_ref()
    }

    pub fn take(&mut self, i: usize) -> Result<Tensor, Why> {
        self.0.get_mut(i).and_then(Option::take).ok_or_else(|| format!("input {i} is missing"))
    }
}

/// A [`Run`] of one output.
pub(crate) fn one(f: impl Fn(Inputs, &Context) -> Result<Tensor, Why> + Send + Sync + 'static) -> Result<Run, Why> {
    Ok(Box::new(move |inputs, context| f(inputs, context).map(|t| vec![t])))
}

/// A [`Run`] of several outputs.
pub(crate) fn many(
    f: impl Fn(Inputs, &Context) -> Result<Vec<Tensor>, Why> + Send + Sync + 'static,
) -> Result<Run, Why> {
    Ok(Box::new(f))
}
