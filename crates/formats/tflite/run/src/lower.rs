//! Reading subgraphs node by node: operators are built, what is constant is computed, weights are laid out.

use crate::draft::{Draft, Known, Lowered, Value, parts_of};
use crate::fuse;
use crate::model::{Model, NodeProto, SubGraph};
use crate::operators::{Const, Job, Node, View, Work, find};
use crate::program::{Doing, Program, Programs};
use crate::shelf::Shelf;
use crate::slots;
use crate::stored::{Place as FilePlace, Stored, shape};
use crate::tensor::{Buffer, Kind, Type, Why};
use crate::{Options, RunError};
use lfmq_core::Mapped;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

/// Subgraphs inside subgraphs, at most.
pub(crate) const DEPTH: usize = 32;

/// Nodes of all programs together, at most: composites that contain composites multiply.
const NODES: usize = 1 << 19;

/// Makes programs of the subgraphs of one file.
pub(crate) struct Lowering<'m> {
    pub path: PathBuf,
    pub model: &'m Model<'m>,
    pub file: Arc<Mapped>,
    pub options: Options,
    pub shelf: Shelf,
    /// Tensors that nodes take, by place and in the order they are met.
    pub used: Vec<Arc<Stored>>,
    seen: HashMap<FilePlace, usize>,
    pub constants: Vec<Arc<Buffer>>,
    pub loaded: HashMap<(FilePlace, Kind, bool), usize>,
    pub programs: Vec<Program>,
    /// Programs by subgraph; `None` while they are made.
    pub made: HashMap<usize, Option<usize>>,
    /// Subgraphs that others call, of those being made.
    calls: usize,
    nodes: usize,
}

impl<'m> Lowering<'m> {
    pub fn new(path: PathBuf, model: &'m Model<'m>, file: Arc<Mapped>, options: Options, room: u64) -> Self {
        Self {
            path,
            model,
            file,
            options,
            shelf: Shelf::new(room),
            used: Vec::new(),
            seen: HashMap::new(),
            constants: Vec::new(),
            loaded: HashMap::new(),
            programs: Vec::new(),
            made: HashMap::new(),
            calls: 0,
            nodes: 0,
        }
    }

    /// The programs, made so far, with the level each runs on, and the tensors they use.
    ///
    /// # Errors
    /// When weights cannot be laid out.
    pub fn finish(self) -> Result<(Programs, Vec<Arc<Stored>>), RunError> {
        self.shelf.settle().map_err(|why| self.graph(why))?;
        let mut all = self.programs;
        // Callees come before their callers: from the last to the first, each pushes what it calls one level down.
        for i in (0..all.len()).rev() {
            let Some(program) = all.get(i) else { continue };
            let below = program.level + 1;
            let callees: Vec<usize> = program.callees().collect();
            for callee in callees {
                if let Some(callee) = all.get_mut(callee) {
                    callee.level = callee.level.max(below);
                }
            }
        }
        Ok((Programs { path: self.path, all, constants: self.constants }, self.used))
    }

    /// Where the inputs and outputs of a program lie.
    pub fn views(&self, program: usize) -> (Vec<View>, Vec<View>) {
        self.programs.get(program).map(|p| (p.inputs.clone(), p.outputs.clone())).unwrap_or_default()
    }

    fn graph(&self, why: impl Into<String>) -> RunError {
        RunError::Graph { path: self.path.clone(), why: why.into() }
    }

    pub fn subgraph(&self, index: usize) -> Result<&'m SubGraph<'m>, RunError> {
        let count = self.model.subgraphs.len();
        self.model.subgraphs.get(index).ok_or_else(|| self.graph(format!("subgraph {index} of {count}")))
    }

    /// The program of a signature: inputs and outputs in the order of these tensors. Input `i` is the beginning of state
    /// `states[i]`.
    pub fn signature(
        &mut self,
        index: usize,
        inputs: &[usize],
        outputs: &[usize],
        states: &[Option<usize>],
    ) -> Result<usize, RunError> {
        let graph = self.subgraph(index)?;
        let mut lowered = Lowered::default();
        let declared = self.declare(graph, inputs, &mut lowered)?;
        for (value, state) in lowered.inputs.iter().zip(states) {
            if let Some(root) = lowered.roots.get_mut(value.root) {
                root.state = *state;
            }
        }
        let known = self.body(index, declared, &mut lowered, 0)?;
        lowered.outputs = self.results(graph, outputs, &known)?;
        self.program(lowered, false)
    }

    /// The program of a subgraph that others call.
    pub fn callee(&mut self, index: usize, depth: usize) -> Result<usize, RunError> {
        match self.made.get(&index) {
            Some(Some(program)) => return Ok(*program),
            Some(None) => return Err(self.graph(format!("subgraph {index} calls itself"))),
            None if depth > DEPTH => return Err(self.graph(format!("subgraphs nested deeper than {DEPTH}"))),
            None => self.made.insert(index, None),
        };
        let graph = self.subgraph(index)?;
        let (inputs, outputs) = (self.indices(graph, &graph.inputs)?, self.indices(graph, &graph.outputs)?);
        let mut lowered = Lowered::default();
        let declared = self.declare(graph, &inputs, &mut lowered)?;
        self.calls += 1;
        let known = self.body(index, declared, &mut lowered, depth)?;
        self.calls -= 1;
        lowered.outputs = self.results(graph, &outputs, &known)?;
        let program = self.program(lowered, true)?;
        self.made.insert(index, Some(program));
        Ok(program)
    }

    fn program(&mut self, mut lowered: Lowered, called: bool) -> Result<usize, RunError> {
        fuse::fuse(&mut lowered, self.options.kernels);
        let program = slots::place(lowered, called).map_err(|why| self.graph(why))?;
        self.programs.push(program);
        Ok(self.programs.len() - 1)
    }

    pub fn indices(&self, graph: &SubGraph<'_>, tensors: &[i32]) -> Result<Vec<usize>, RunError> {
        let count = graph.tensors.len();
        let index = |i: &i32| usize::try_from(*i).ok().filter(|i| *i < count);
        let known = |i| index(i).ok_or_else(|| self.graph(format!("tensor {i} of {count} in `{}`", graph.name)));
        tensors.iter().map(known).collect()
    }

    /// Values for the inputs of a subgraph, as it declares them.
    fn declare(
        &self,
        graph: &SubGraph<'_>,
        inputs: &[usize],
        lowered: &mut Lowered,
    ) -> Result<HashMap<usize, Known>, RunError> {
        let mut known = HashMap::new();
        for index in inputs {
            let Some(tensor) = graph.tensors.get(*index) else {
                return Err(self.graph(format!("tensor {index} of {} in `{}`", graph.tensors.len(), graph.name)));
            };
            let of = Kind::of(tensor.dtype).and_then(|kind| Ok(Type::new(kind, shape(&tensor.dims)?)));
            let value = of.and_then(|of| lowered.value(of)).map_err(|why| self.tensor(tensor.name, why))?;
            lowered.inputs.push(value.clone());
            if known.insert(*index, Known::Value(value)).is_some() {
                return Err(self.tensor(tensor.name, "is an input twice".into()));
            }
        }
        Ok(known)
    }

    fn tensor(&self, name: &str, why: Why) -> RunError {
        RunError::Tensor { path: self.path.clone(), tensor: name.to_owned(), why }
    }

    fn results(
        &self,
        graph: &SubGraph<'_>,
        outputs: &[usize],
        known: &HashMap<usize, Known>,
    ) -> Result<Vec<Value>, RunError> {
        let result = |index: &usize| {
            let name = graph.tensors.get(*index).map_or("", |t| t.name);
            match known.get(index) {
                Some(Known::Value(value)) => Ok(value.clone()),
                Some(Known::Constant(_)) => Err(self.tensor(name, "an output that is constant".into())),
                None => Err(self.tensor(name, "nothing gives this output".into())),
            }
        };
        outputs.iter().map(result).collect()
    }

    /// Lowers the nodes of a subgraph whose inputs are known; gives all that is known afterwards.
    pub fn body(
        &mut self,
        index: usize,
        mut known: HashMap<usize, Known>,
        lowered: &mut Lowered,
        depth: usize,
    ) -> Result<HashMap<usize, Known>, RunError> {
        let graph = self.subgraph(index)?;
        for (number, proto) in graph.nodes.iter().enumerate() {
            self.nodes += 1;
            if self.nodes > NODES {
                return Err(self.graph(format!("more than {NODES} nodes")));
            }
            self.node(graph, number, proto, &mut known, lowered, depth)?;
        }
        Ok(known)
    }

    fn node(
        &mut self,
        graph: &'m SubGraph<'m>,
        number: usize,
        proto: &'m NodeProto<'m>,
        known: &mut HashMap<usize, Known>,
        lowered: &mut Lowered,
        depth: usize,
    ) -> Result<(), RunError> {
        let title = title(graph, number, proto);
        let code = self.model.operators.get(proto.operator);
        let code = code.ok_or_else(|| self.graph(format!("node `{title}`: operator code {}", proto.operator)))?;
        let Some((operator, build)) = find(code.code).filter(|_| code.version <= 64) else {
            let name = if code.custom.is_empty() { format!("number {}", code.code) } else { code.custom.to_owned() };
            return Err(RunError::UnknownOperator { path: self.path.clone(), node: title, operator: name });
        };
        let path = self.path.clone();
        let fault = |why| RunError::Node { path: path.clone(), node: title.clone(), operator: operator.into(), why };

        let mut inputs = Vec::with_capacity(proto.inputs.len());
        for index in &proto.inputs {
            inputs.push(self.input(graph, *index, known).map_err(&fault)?);
        }
        let types: Vec<Option<Type>> = inputs.iter().map(|known| known.as_ref().map(Known::of)).collect();
        let constants: Vec<Option<Const>> = inputs
            .iter()
            .map(|known| match known {
                Some(Known::Constant(constant)) => Some(constant.clone()),
                _ => None,
            })
            .collect();
        let node = Node::new(code.code, proto, &types, &constants, (&self.shelf, self.calls > 0), self.options);
        let built = build(&node).map_err(&fault)?;
        let results = match built.work {
            Work::Known(constant) => vec![Known::Constant(constant)],
            Work::Parts(parts) => parts_of(&inputs, &built.outputs, &parts).map_err(&fault)?,
            Work::Inline(index) => self.inline(index, &inputs, lowered, depth, &fault)?,
            Work::Branch { then, otherwise } => {
                self.branch(&title, (then, otherwise), &inputs, lowered, depth, &fault)?
            }
            Work::Run(job) => match self.fold(&job.operands, &inputs, &built.outputs, &job.run) {
                Some(constants) => constants,
                None => self.step((&title, operator), job, &inputs, built.outputs, lowered).map_err(&fault)?,
            },
        };
        self.define(graph, proto, results, known).map_err(fault)
    }

    /// A step that runs; gives what it computes.
    fn step(
        &mut self,
        (title, operator): (&str, &'static str),
        job: Job,
        inputs: &[Option<Known>],
        types: Vec<Type>,
        lowered: &mut Lowered,
    ) -> Result<Vec<Known>, Why> {
        let draws = self.draw_all(&job.operands, inputs, title, lowered)?;
        let values: Vec<Value> = types.into_iter().map(|of| lowered.value(of)).collect::<Result<_, _>>()?;
        let outputs = values.iter().map(|v| v.root).collect();
        let (title, work) = (title.to_owned(), Doing::Run(job.run));
        lowered.drafts.push(Draft { title, operator, draws, outputs, over: job.over, work, hint: job.hint });
        Ok(values.into_iter().map(Known::Value).collect())
    }

    /// Names the results of a node after its outputs.
    fn define(
        &self,
        graph: &SubGraph<'_>,
        proto: &NodeProto<'_>,
        results: Vec<Known>,
        known: &mut HashMap<usize, Known>,
    ) -> Result<(), Why> {
        if results.len() != proto.outputs.len() {
            return Err(format!("{} outputs, expected {}", proto.outputs.len(), results.len()));
        }
        for (index, result) in proto.outputs.iter().zip(results) {
            let Some(tensor) = usize::try_from(*index).ok().filter(|i| *i < graph.tensors.len()) else {
                return Err(format!("output tensor {index} of {}", graph.tensors.len()));
            };
            if known.insert(tensor, result).is_some() {
                return Err(format!("tensor {tensor} is given twice"));
            }
        }
        Ok(())
    }

    /// What tensor `index` is; a constant is found in the file.
    fn input(
        &mut self,
        graph: &SubGraph<'_>,
        index: i32,
        known: &mut HashMap<usize, Known>,
    ) -> Result<Option<Known>, Why> {
        if index == -1 {
            return Ok(None);
        }
        let at = usize::try_from(index).ok().filter(|i| *i < graph.tensors.len());
        let at = at.ok_or_else(|| format!("tensor {index} of {}", graph.tensors.len()))?;
        if let Some(known) = known.get(&at) {
            return Ok(Some(known.clone()));
        }
        let stored = Arc::new(self.stored(graph, at, 0)?);
        let weights = matches!(stored.kind, Kind::F32 | Kind::F16 | Kind::I8 | Kind::I4 | Kind::I2);
        // What has no name is a number of the graph's own.
        let weights = weights && !stored.name.is_empty() && !stored.shape.is_empty();
        if weights && !self.seen.contains_key(&stored.place()) {
            self.seen.insert(stored.place(), self.used.len());
            self.used.push(stored.clone());
        }
        let constant = Known::Constant(Const::Stored { tensor: stored, widened: false });
        known.insert(at, constant.clone());
        Ok(Some(constant))
    }

    fn stored(&self, graph: &SubGraph<'_>, at: usize, depth: usize) -> Result<Stored, Why> {
        let tensor = graph.tensors.get(at).filter(|_| depth < 2).ok_or_else(|| format!("scales in tensor {at}"))?;
        let bytes = self.model.buffers.get(tensor.buffer).cloned();
        let bytes = bytes.ok_or_else(|| format!("buffer {} of {}", tensor.buffer, self.model.buffers.len()))?;
        if tensor.buffer == 0 {
            return Err(format!("reads `{}`, which nothing before it gives", tensor.name));
        }
        let scales = |index: i32| {
            let index = usize::try_from(index).map_err(|_| format!("scales in tensor {index}"))?;
            self.stored(graph, index, depth + 1)
        };
        Stored::find(&self.file, tensor, bytes, scales).map_err(|why| format!("tensor `{}`: {why}", tensor.name))
    }
}

/// What to call a node in a message: its first output, or its place.
fn title(graph: &SubGraph<'_>, number: usize, proto: &NodeProto<'_>) -> String {
    let output = proto.outputs.first().and_then(|i| graph.tensors.get(usize::try_from(*i).ok()?));
    match output.map(|t| t.name).filter(|name| !name.is_empty()) {
        Some(name) => name.to_owned(),
        None => format!("{} #{number}", graph.name),
    }
}
