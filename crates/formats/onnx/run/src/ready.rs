//! Reading a graph node by node: operators are built, what is constant is computed, weights are laid out.

use crate::held::Held;
use crate::model::{Dim, Graph, Model, NodeProto, ValueInfo};
use crate::operators::{Const, Context, Inputs, Node, Run, dequantized, find};
use crate::plan::Port;
use crate::stored::{Files, Place, Stored};
use crate::tensor::{Kind, Tensor};
use crate::{Options, RunError};
use lfmq_core::Activation;
use lfmq_interpreter::Bank;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

/// Elements of a value that is computed once when the graph is made ready, at most.
const FOLD_LIMIT: usize = 1 << 24;

/// A graph whose values have numbers.
pub(crate) struct Ready {
    pub steps: Vec<Draft>,
    pub constants: Vec<Tensor>,
    /// Number of values.
    pub values: usize,
    pub inputs: Vec<(Port, usize)>,
    pub outputs: Vec<(Port, usize)>,
    /// Positions of the shortest rotary table.
    pub positions: Option<usize>,
    pub parameters: u64,
    pub weight_bytes: u64,
    /// Name and bytes of every initializer.
    pub stored: Vec<(String, Stored)>,
}

/// A step with values instead of slots.
pub(crate) struct Draft {
    pub title: String,
    pub op: String,
    pub run: Run,
    pub inputs: Vec<Draw>,
    pub outputs: Vec<Option<usize>>,
    /// Weights it computes with, as the operator knows them.
    pub held: Vec<Held>,
    /// Initializers it computes with, directly or by way of what was computed from them when the graph was made ready.
    pub origins: Vec<usize>,
    /// The zero point of its codes, if all have one.
    pub codes_zero: Option<i64>,
    /// Whether each row of its value is computed by itself.
    pub by_row: bool,
}

/// Where an input comes from.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Draw {
    Missing,
    Constant(usize),
    Value(usize),
}

/// What is known about a name.
enum Known {
    Constant(Const),
    /// Number of a value that exists only while running.
    Value(usize),
}

struct Reader<'m> {
    path: &'m Path,
    model: &'m Model<'m>,
    options: Options,
    bank: &'m Arc<Bank>,
    known: HashMap<&'m str, Known>,
    loaded: HashMap<&'m str, usize>,
    weights: BTreeMap<Place, u64>,
    /// The initializers that a constant was computed from.
    origins: HashMap<&'m str, Vec<usize>>,
    /// Values that may be empty, whatever the graph is fed with: parts whose sizes are computed, and what comes of them.
    ragged: HashSet<usize>,
    ready: Ready,
}

/// Reads the graph of `model`.
///
/// # Errors
/// The first node or tensor that cannot be made ready.
pub(crate) fn read(
    path: &Path,
    model: &Model<'_>,
    files: &mut Files,
    options: Options,
    bank: &Arc<Bank>,
) -> Result<Ready, RunError> {
    let ready = Ready {
        steps: Vec::new(),
        constants: Vec::new(),
        values: 0,
        inputs: Vec::new(),
        outputs: Vec::new(),
        positions: None,
        parameters: 0,
        weight_bytes: 0,
        stored: Vec::new(),
    };
    let (known, loaded, weights, origins) = (HashMap::new(), HashMap::new(), BTreeMap::new(), HashMap::new());
    let ragged = HashSet::new();
    let mut reader = Reader { path, model, options, bank, known, loaded, weights, origins, ragged, ready };
    let graph = &model.graph;
    reader.initializers(graph, files)?;
    for info in &graph.inputs {
        // Old files list initializers among the inputs.
        if !reader.known.contains_key(info.name) {
            let value = reader.fresh();
            reader.define(info.name, Known::Value(value))?;
            let port = reader.port(info)?;
            reader.ready.inputs.push((port, value));
        }
    }
    for node in &graph.nodes {
        reader.node(node, files)?;
    }
    reader.outputs(graph)?;
    bank.settle().map_err(|why| reader.fault(why))?;
    let mut ready = reader.ready;
    ready.parameters = reader.weights.values().sum();
    Ok(ready)
}

impl<'m> Reader<'m> {
    fn fault(&self, why: impl Into<String>) -> RunError {
        RunError::Graph { path: self.path.to_owned(), why: why.into() }
    }

    fn fresh(&mut self) -> usize {
        self.ready.values += 1;
        self.ready.values - 1
    }

    fn define(&mut self, name: &'m str, known: Known) -> Result<(), RunError> {
        match self.known.insert(name, known) {
            Some(_) => Err(self.fault(format!("value `{name}` is given twice"))),
            None => Ok(()),
        }
    }

    fn initializers(&mut self, graph: &'m Graph<'m>, files: &mut Files) -> Result<(), RunError> {
        let mut bytes = BTreeMap::new();
        for tensor in &graph.initializers {
            let stored = files.find(tensor)?;
            bytes.insert(stored.place(), stored.bytes().len() as u64);
            if stored.kind.is_float() && !stored.shape.is_empty() {
                self.weights.insert(stored.place(), stored.shape.iter().product::<usize>() as u64);
            }
            self.origins.insert(tensor.name, vec![self.ready.stored.len()]);
            self.ready.stored.push((tensor.name.to_owned(), stored.clone()));
            self.define(tensor.name, Known::Constant(Const::Stored(stored)))?;
        }
        self.ready.weight_bytes = bytes.values().sum();
        Ok(())
    }

    fn node(&mut self, proto: &'m NodeProto<'m>, files: &mut Files) -> Result<(), RunError> {
        let title = || proto.title().to_owned();
        let build = find(proto.domain, proto.op).ok_or_else(|| RunError::UnknownOperator {
            path: self.path.to_owned(),
            node: title(),
            operator: [proto.domain, proto.op].iter().filter(|s| !s.is_empty()).copied().collect::<Vec<_>>().join("."),
        })?;
        let path = self.path;
        let fault = |why| RunError::Node { path: path.to_owned(), node: title(), operator: proto.op.to_owned(), why };

        let mut constants = Vec::with_capacity(proto.inputs.len());
        for name in &proto.inputs {
            constants.push(match self.known.get(name) {
                None if name.is_empty() => None,
                None => return Err(fault(format!("reads `{name}`, which nothing before it gives"))),
                Some(Known::Constant(constant)) => Some(constant.clone()),
                Some(Known::Value(_)) => None,
            });
        }
        let mut origins: Vec<usize> =
            proto.inputs.iter().filter_map(|name| self.origins.get(name)).flatten().copied().collect();
        origins.sort_unstable();
        origins.dedup();
        let all_known = proto.inputs.iter().zip(&constants).all(|(name, c)| name.is_empty() || c.is_some());
        let opset =
            self.model.opsets.iter().find(|(d, _)| *d == proto.domain || (d.is_empty() && proto.domain == "ai.onnx"));
        let opset = opset.map_or(1, |(_, version)| *version);
        let mut node = Node::new(proto, files, constants, opset, self.options, self.bank);
        let drawn =
            |name: &&str| if let Some(Known::Value(value)) = self.known.get(name) { Some(*value) } else { None };
        node.idles = proto.inputs.iter().filter_map(drawn).any(|value| self.ragged.contains(&value));
        let parts = proto.op == "Split" && node.has(1) && node.constant(1).is_none();
        let ragged = parts || (node.idles && proto.op != "Concat");

        if all_known
            && proto.op == "DequantizeLinear"
            && let Some(source) = dequantized(&node).map_err(&fault)?
        {
            let name = proto.outputs.first().ok_or_else(|| fault("without an output".into()))?;
            self.origins.insert(name, origins);
            return self.define(name, Known::Constant(Const::Dequantized(source.into())));
        }
        let run = build(&mut node).map_err(&fault)?;
        if all_known && !node.consumed().contains(&true) {
            let inputs = (0..proto.inputs.len()).map(|i| node.constant(i).map(Const::load)).collect();
            let context = Context::new(self.options.kernels, FOLD_LIMIT);
            // What fails here or grows too large is left to the run, where it will be told if anything asks for it.
            if let Ok(results) = run(Inputs(inputs), &context) {
                for (name, value) in proto.outputs.iter().zip(results).filter(|(name, _)| !name.is_empty()) {
                    self.origins.insert(name, origins.clone());
                    self.define(name, Known::Constant(Const::Ready(value)))?;
                }
                return Ok(());
            }
        }
        let consumed = node.consumed().to_vec();
        let (weights, held) = (std::mem::take(&mut node.weights), std::mem::take(&mut node.held));
        let (positions, codes_zero, by_row) = (node.positions, node.codes_zero, node.by_row);
        self.weights.extend(weights);
        self.ready.positions = match (self.ready.positions, positions) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        let mut inputs = Vec::with_capacity(proto.inputs.len());
        for (i, name) in proto.inputs.iter().enumerate() {
            let unused = name.is_empty() || consumed.get(i).copied().unwrap_or(false);
            inputs.push(if unused { Draw::Missing } else { self.draw(name) });
        }
        let mut outputs = Vec::with_capacity(proto.outputs.len());
        for name in &proto.outputs {
            let value = (!name.is_empty()).then(|| self.fresh());
            if let Some(value) = value {
                self.define(name, Known::Value(value))?;
                self.ragged.extend(ragged.then_some(value));
            }
            outputs.push(value);
        }
        let (title, op) = (title(), proto.op.to_owned());
        self.ready.steps.push(Draft { title, op, run, inputs, outputs, held, origins, codes_zero, by_row });
        Ok(())
    }

    /// Where the value `name`, known to exist, comes from. A constant is loaded the first time.
    fn draw(&mut self, name: &'m str) -> Draw {
        if let Some(at) = self.loaded.get(name) {
            return Draw::Constant(*at);
        }
        match self.known.get(name) {
            Some(Known::Constant(constant)) => {
                let at = self.ready.constants.len();
                let value = constant.load();
                let exact = self.options.activation == Activation::F32;
                self.ready.constants.push(if exact { value.widened() } else { value });
                self.loaded.insert(name, at);
                Draw::Constant(at)
            }
            Some(Known::Value(value)) => Draw::Value(*value),
            None => Draw::Missing,
        }
    }

    fn port(&self, info: &ValueInfo<'_>) -> Result<Port, RunError> {
        let tell = |why: String| RunError::Graph { path: self.path.to_owned(), why: format!("`{}`: {why}", info.name) };
        let kind = Kind::of(info.dtype).map_err(tell)?.flowing(self.options.activation);
        let extent = |dim: &Dim<'_>| match dim {
            Dim::Known(n) => Ok(usize::try_from(*n).unwrap_or(usize::MAX)),
            Dim::Named(name) => Err((*name).to_owned()),
        };
        let dims = info.dims.as_ref().map(|dims| dims.iter().map(extent).collect());
        Ok(Port { name: info.name.to_owned(), kind, dims, slot: 0 })
    }

    fn outputs(&mut self, graph: &Graph<'_>) -> Result<(), RunError> {
        for info in &graph.outputs {
            let value = match self.known.get(info.name) {
                Some(Known::Value(value)) => *value,
                Some(Known::Constant(_)) => return Err(self.fault(format!("output `{}` is constant", info.name))),
                None => return Err(self.fault(format!("nothing gives the output `{}`", info.name))),
            };
            let port = self.port(info)?;
            self.ready.outputs.push((port, value));
        }
        Ok(())
    }
}
