//! ModelProto and what it is made of. Field numbers are those of `onnx.proto`.

use crate::proto::Message;
use crate::store::Place;
use std::collections::HashMap;

/// Element types, by their numbers in `TensorProto.DataType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Type {
    F32 = 1,
    U8 = 2,
    I32 = 6,
    I64 = 7,
    F16 = 10,
}

/// A dimension of an input or output.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Dim {
    Fixed(usize),
    Named(&'static str),
}

const MICROSOFT: &str = "com.microsoft";
const IR_VERSION: i64 = 10;
const OPSET: i64 = 21;

/// A node before it has a place in a model.
pub(crate) struct Node {
    op: &'static str,
    domain: &'static str,
    inputs: Vec<String>,
    outputs: Vec<String>,
    attributes: Vec<Message>,
}

impl Node {
    /// An operator of the standard.
    pub(crate) fn standard(op: &'static str, inputs: &[&str]) -> Self {
        let inputs = inputs.iter().map(|&i| i.to_owned()).collect();
        Self { op, domain: "", inputs, outputs: Vec::new(), attributes: Vec::new() }
    }

    /// An operator of ONNX Runtime's own. An empty name stands for an input left out.
    pub(crate) fn microsoft(op: &'static str, inputs: &[&str]) -> Self {
        Self { domain: MICROSOFT, ..Self::standard(op, inputs) }
    }

    pub(crate) fn int(mut self, name: &str, v: i64) -> Self {
        self.attributes.push(Message::new().text(1, name).int(3, v).int(20, 2));
        self
    }

    pub(crate) fn float(mut self, name: &str, v: f32) -> Self {
        self.attributes.push(Message::new().text(1, name).float(2, v).int(20, 1));
        self
    }

    pub(crate) fn text(mut self, name: &str, v: &str) -> Self {
        self.attributes.push(Message::new().text(1, name).text(4, v).int(20, 3));
        self
    }

    pub(crate) fn ints(mut self, name: &str, v: &[i64]) -> Self {
        let all = v.iter().fold(Message::new().text(1, name), |m, v| m.int(8, *v));
        self.attributes.push(all.int(20, 7));
        self
    }

    /// A tensor of one float.
    pub(crate) fn tensor(mut self, name: &str, v: f32) -> Self {
        let tensor = tensor("", Type::F32, &[1]).bytes(9, &v.to_le_bytes());
        self.attributes.push(Message::new().text(1, name).message(5, &tensor).int(20, 4));
        self
    }

    /// Names for its outputs, instead of made-up ones.
    pub(crate) fn outputs(mut self, names: &[&str]) -> Self {
        self.outputs = names.iter().map(|&n| n.to_owned()).collect();
        self
    }
}

/// A model under construction.
#[derive(Default)]
pub(crate) struct Model {
    /// Stands before the names of nodes and values, e.g. `layers.3/`.
    pub(crate) scope: String,
    nodes: Vec<Message>,
    initializers: Vec<Message>,
    inputs: Vec<Message>,
    outputs: Vec<Message>,
    constants: HashMap<(Type, Vec<usize>, Vec<u8>), String>,
    metadata: Vec<Message>,
}

impl Model {
    /// Adds a node; its outputs are as many as asked for.
    pub(crate) fn add_many<const N: usize>(&mut self, node: Node) -> [String; N] {
        let name = format!("{}{}_{}", self.scope, node.op, self.nodes.len());
        let own = |i: usize| if N == 1 { name.clone() } else { format!("{name}.{i}") };
        let outputs: [String; N] = std::array::from_fn(|i| node.outputs.get(i).cloned().unwrap_or_else(|| own(i)));
        self.put(&node, &name, &outputs);
        outputs
    }

    /// The same, of a number known only now.
    pub(crate) fn add_counted(&mut self, node: &Node, count: usize) -> Vec<String> {
        let name = format!("{}{}_{}", self.scope, node.op, self.nodes.len());
        let outputs: Vec<_> = (0..count).map(|i| format!("{name}.{i}")).collect();
        self.put(node, &name, &outputs);
        outputs
    }

    fn put(&mut self, node: &Node, name: &str, outputs: &[String]) {
        let message = node.inputs.iter().fold(Message::new(), |m, input| m.text(1, input));
        let message = outputs.iter().fold(message, |m, output| m.text(2, output));
        let message = message.text(3, name).text(4, node.op).messages(5, &node.attributes);
        self.nodes.push(if node.domain.is_empty() { message } else { message.text(7, node.domain) });
    }

    /// Adds a node with one output.
    pub(crate) fn add(&mut self, node: Node) -> String {
        let [output] = self.add_many(node);
        output
    }

    /// A standard operator without attributes.
    pub(crate) fn op(&mut self, op: &'static str, inputs: &[&str]) -> String {
        self.add(Node::standard(op, inputs))
    }

    pub(crate) fn cast(&mut self, x: &str, to: Type) -> String {
        self.add(Node::standard("Cast", &[x]).int("to", to as i64))
    }

    /// A list of integers, kept in the graph itself: shapes and axes must be known when shapes are inferred.
    pub(crate) fn ints(&mut self, v: &[i64]) -> String {
        let bytes = v.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.constant(Type::I64, vec![v.len()], bytes)
    }

    /// An integer without dimensions.
    pub(crate) fn int(&mut self, v: i64) -> String {
        self.constant(Type::I64, Vec::new(), v.to_le_bytes().to_vec())
    }

    /// A byte without dimensions.
    pub(crate) fn byte(&mut self, v: u8) -> String {
        self.constant(Type::U8, Vec::new(), vec![v])
    }

    /// A float without dimensions.
    pub(crate) fn float(&mut self, v: f32) -> String {
        self.constant(Type::F32, Vec::new(), v.to_le_bytes().to_vec())
    }

    /// A matrix of one row.
    pub(crate) fn float_row(&mut self, v: &[f32]) -> String {
        let bytes = v.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.constant(Type::F32, vec![1, v.len()], bytes)
    }

    fn constant(&mut self, ty: Type, dims: Vec<usize>, bytes: Vec<u8>) -> String {
        let fresh = format!("constant_{}", self.constants.len());
        let message = tensor(&fresh, ty, &dims).bytes(9, &bytes);
        let initializers = &mut self.initializers;
        let name = self.constants.entry((ty, dims, bytes)).or_insert_with(|| {
            initializers.push(message);
            fresh
        });
        name.clone()
    }

    /// A tensor whose values lie in an external file.
    pub(crate) fn external(&mut self, name: &str, ty: Type, dims: &[usize], place: Place, location: &str) -> String {
        let entry = |key, value: &str| Message::new().text(1, key).text(2, value);
        let message = tensor(name, ty, dims)
            .message(13, &entry("location", location))
            .message(13, &entry("offset", &place.offset.to_string()))
            .message(13, &entry("length", &place.bytes.to_string()))
            .int(14, 1);
        self.initializers.push(message);
        name.to_owned()
    }

    pub(crate) fn input(&mut self, name: &str, ty: Type, shape: &[Dim]) {
        self.inputs.push(value_info(name, ty, shape));
    }

    pub(crate) fn output(&mut self, name: &str, ty: Type, shape: &[Dim]) {
        self.outputs.push(value_info(name, ty, shape));
    }

    pub(crate) fn metadata(&mut self, key: &str, value: &str) {
        self.metadata.push(Message::new().text(1, key).text(2, value));
    }

    /// The file.
    pub(crate) fn encode(&self, name: &str) -> Vec<u8> {
        let graph = Message::new()
            .messages(1, &self.nodes)
            .text(2, name)
            .messages(5, &self.initializers)
            .messages(11, &self.inputs)
            .messages(12, &self.outputs);
        let opset = |domain: &str, version| Message::new().text(1, domain).int(2, version);
        Message::new()
            .int(1, IR_VERSION)
            .text(2, "lfmq")
            .text(3, env!("CARGO_PKG_VERSION"))
            .message(7, &graph)
            .message(8, &opset("", OPSET))
            .message(8, &opset(MICROSOFT, 1))
            .messages(14, &self.metadata)
            .into_bytes()
    }
}

fn tensor(name: &str, ty: Type, dims: &[usize]) -> Message {
    dims.iter().fold(Message::new(), |m, d| m.int(1, *d as i64)).int(2, ty as i64).text(8, name)
}

fn value_info(name: &str, ty: Type, shape: &[Dim]) -> Message {
    let dim = |d: &Dim| match d {
        Dim::Fixed(n) => Message::new().int(1, *n as i64),
        Dim::Named(name) => Message::new().text(2, name),
    };
    let dims: Vec<_> = shape.iter().map(dim).collect();
    let tensor = Message::new().int(1, ty as i64).message(2, &Message::new().messages(1, &dims));
    Message::new().text(1, name).message(2, &Message::new().message(1, &tensor))
}
