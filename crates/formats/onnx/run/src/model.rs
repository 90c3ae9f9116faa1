//! The messages of `onnx.proto` that a graph is made of, as the file has them. Strings and weights stay in the file.

use crate::wire::{Field, Message, WireFault};
use std::ops::Range;

/// Graphs inside attributes of graphs, at most.
const DEPTH: usize = 8;

/// Dimensions of a tensor, at most.
const RANK: usize = 16;

#[derive(Default)]
pub(crate) struct Model<'a> {
    pub ir_version: i64,
    /// Operator sets: domain and version.
    pub opsets: Vec<(&'a str, i64)>,
    pub graph: Graph<'a>,
}

#[derive(Default)]
pub(crate) struct Graph<'a> {
    pub nodes: Vec<NodeProto<'a>>,
    pub initializers: Vec<TensorProto<'a>>,
    pub inputs: Vec<ValueInfo<'a>>,
    pub outputs: Vec<ValueInfo<'a>>,
}

#[derive(Default)]
pub(crate) struct NodeProto<'a> {
    pub name: &'a str,
    pub op: &'a str,
    pub domain: &'a str,
    /// Names of values; an optional one left out is empty.
    pub inputs: Vec<&'a str>,
    pub outputs: Vec<&'a str>,
    pub attributes: Vec<(&'a str, Value<'a>)>,
}

pub(crate) enum Value<'a> {
    Float(f32),
    Int(i64),
    Text(&'a [u8]),
    Tensor(TensorProto<'a>),
    Floats(Vec<f32>),
    Ints(Vec<i64>),
    /// Of a type that no operator here takes.
    Other,
}

#[derive(Default)]
pub(crate) struct TensorProto<'a> {
    pub name: &'a str,
    pub dtype: i64,
    pub dims: Vec<u64>,
    pub values: Values<'a>,
}

/// Where the values of a tensor are.
#[derive(Default)]
pub(crate) enum Values<'a> {
    #[default]
    None,
    /// Little-endian bytes in this range of the model file.
    Raw(Range<usize>),
    Floats(Vec<f32>),
    Ints(Vec<i64>),
    /// In another file.
    External {
        location: &'a str,
        offset: u64,
        length: Option<u64>,
    },
}

#[derive(Default)]
pub(crate) struct ValueInfo<'a> {
    pub name: &'a str,
    pub dtype: i64,
    /// `None` where the file does not tell.
    pub dims: Option<Vec<Dim<'a>>>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Dim<'a> {
    Known(u64),
    Named(&'a str),
}

type Fields<'f, 'a> = &'f mut dyn FnMut(u64, Field<'a>) -> Result<(), WireFault>;

fn each<'a>(mut message: Message<'a>, take: Fields<'_, 'a>) -> Result<(), WireFault> {
    while let Some((number, field)) = message.next()? {
        take(number, field)?;
    }
    Ok(())
}

/// All numbers of a repeated integer field, packed or not.
fn push_ints(field: Field<'_>, into: &mut Vec<i64>) -> Result<(), WireFault> {
    match field {
        Field::Varint(value) => into.push(value.cast_signed()),
        Field::Block(mut packed) => {
            while !packed.is_empty() {
                into.push(packed.varint()?.cast_signed());
            }
        }
        _ => {}
    }
    Ok(())
}

fn push_floats(field: Field<'_>, into: &mut Vec<f32>) -> Result<(), WireFault> {
    match field {
        Field::Fixed32(bytes) => into.push(f32::from_le_bytes(bytes)),
        Field::Block(packed) => {
            let (whole, rest) = packed.bytes().as_chunks::<4>();
            if !rest.is_empty() {
                return Err(packed.fault("packed floats that are not whole"));
            }
            into.extend(whole.iter().map(|b| f32::from_le_bytes(*b)));
        }
        _ => {}
    }
    Ok(())
}

impl<'a> Model<'a> {
    pub fn parse(file: &'a [u8]) -> Result<Self, WireFault> {
        let mut model = Self::default();
        let mut graphs = 0;
        each(Message::new(file), &mut |number, field| {
            match (number, field) {
                (1, Field::Varint(version)) => model.ir_version = version.cast_signed(),
                (7, Field::Block(message)) => {
                    graphs += 1;
                    model.graph = Graph::parse(message, 0)?;
                }
                (8, Field::Block(message)) => model.opsets.push(opset(message)?),
                _ => {}
            }
            Ok(())
        })?;
        if graphs == 1 {
            return Ok(model);
        }
        Err(WireFault { at: 0, why: format!("{graphs} graphs in the model, expected one") })
    }
}

fn opset<'a>(message: Message<'a>) -> Result<(&'a str, i64), WireFault> {
    let mut set = ("", 0);
    each(message, &mut |number, field| {
        match (number, field) {
            (1, Field::Block(text)) => set.0 = text.text()?,
            (2, Field::Varint(version)) => set.1 = version.cast_signed(),
            _ => {}
        }
        Ok(())
    })?;
    Ok(set)
}

impl<'a> Graph<'a> {
    fn parse(message: Message<'a>, depth: usize) -> Result<Self, WireFault> {
        if depth > DEPTH {
            return Err(message.fault(format!("graphs nested deeper than {DEPTH}")));
        }
        let mut graph = Self::default();
        each(message, &mut |number, field| {
            match (number, field) {
                (1, Field::Block(node)) => graph.nodes.push(NodeProto::parse(node, depth)?),
                (5, Field::Block(tensor)) => {
                    let parsed = TensorProto::parse(tensor)?;
                    if parsed.name.is_empty() {
                        return Err(tensor.fault("an initializer without a name"));
                    }
                    graph.initializers.push(parsed);
                }
                (11, Field::Block(value)) => graph.inputs.push(ValueInfo::parse(value)?),
                (12, Field::Block(value)) => graph.outputs.push(ValueInfo::parse(value)?),
                (15, Field::Block(sparse)) => return Err(sparse.fault("sparse initializers are not supported")),
                _ => {}
            }
            Ok(())
        })?;
        Ok(graph)
    }
}

impl<'a> NodeProto<'a> {
    fn parse(message: Message<'a>, depth: usize) -> Result<Self, WireFault> {
        let mut node = Self::default();
        each(message, &mut |number, field| {
            let Field::Block(block) = field else { return Ok(()) };
            match number {
                1 => node.inputs.push(block.text()?),
                2 => node.outputs.push(block.text()?),
                3 => node.name = block.text()?,
                4 => node.op = block.text()?,
                5 => node.attributes.push(attribute(block, depth)?),
                7 => node.domain = block.text()?,
                _ => {}
            }
            Ok(())
        })?;
        if node.op.is_empty() {
            return Err(message.fault("a node without an operator"));
        }
        Ok(node)
    }

    /// What to call the node in a message: its name, else its first output.
    pub fn title(&self) -> &'a str {
        if self.name.is_empty() { self.outputs.first().copied().unwrap_or_default() } else { self.name }
    }
}

fn attribute<'a>(message: Message<'a>, depth: usize) -> Result<(&'a str, Value<'a>), WireFault> {
    let (mut name, mut kind) = ("", None);
    let (mut float, mut int, mut text, mut tensor) = (0.0, 0, &[][..], None);
    let (mut floats, mut ints) = (Vec::new(), Vec::new());
    each(message, &mut |number, field| {
        match (number, field) {
            (1, Field::Block(block)) => name = block.text()?,
            (2, Field::Fixed32(bytes)) => float = f32::from_le_bytes(bytes),
            (3, Field::Varint(value)) => int = value.cast_signed(),
            (4, Field::Block(block)) => text = block.bytes(),
            (5, Field::Block(block)) => tensor = Some(TensorProto::parse(block)?),
            // No operator here takes a graph, but a broken one must not pass.
            (6, Field::Block(block)) => drop(Graph::parse(block, depth + 1)?),
            (7, field) => push_floats(field, &mut floats)?,
            (8, field) => push_ints(field, &mut ints)?,
            (20, Field::Varint(value)) => kind = Some(value),
            _ => {}
        }
        Ok(())
    })?;
    let value = match (kind, tensor) {
        (Some(1), ..) => Value::Float(float),
        (Some(2), ..) => Value::Int(int),
        (Some(3), ..) => Value::Text(text),
        (Some(4), Some(tensor)) => Value::Tensor(tensor),
        (Some(6), ..) => Value::Floats(floats),
        (Some(7), ..) => Value::Ints(ints),
        (None, ..) => return Err(message.fault(format!("attribute `{name}` does not tell its type"))),
        _ => Value::Other,
    };
    Ok((name, value))
}

impl<'a> TensorProto<'a> {
    fn parse(message: Message<'a>) -> Result<Self, WireFault> {
        let mut tensor = Self::default();
        let (mut external, mut dims) = (false, Vec::new());
        let (mut location, mut offset, mut length) = (None, 0, None);
        each(message, &mut |number, field| {
            match (number, field) {
                (1, field) => push_ints(field, &mut dims)?,
                (2, Field::Varint(value)) => tensor.dtype = value.cast_signed(),
                (4, field) => tensor.push_floats(field)?,
                (5 | 7, field) => tensor.push_ints(field)?,
                (8, Field::Block(block)) => tensor.name = block.text()?,
                (9, Field::Block(block)) => tensor.values = Values::Raw(block.range()),
                (13, Field::Block(block)) => match entry(block)? {
                    ("location", value) => location = Some(value),
                    ("offset", value) => offset = decimal(block, value)?,
                    ("length", value) => length = Some(decimal(block, value)?),
                    _ => {}
                },
                (14, Field::Varint(value)) => external = value == 1,
                _ => {}
            }
            Ok(())
        })?;
        if dims.len() > RANK {
            return Err(message.fault(format!("a tensor of {} dimensions", dims.len())));
        }
        tensor.dims = dims
            .into_iter()
            .map(|d| u64::try_from(d).map_err(|_| message.fault(format!("tensor `{}` has extent {d}", tensor.name))))
            .collect::<Result<_, _>>()?;
        if external {
            let location = location.ok_or_else(|| message.fault("an external tensor without a location"))?;
            tensor.values = Values::External { location, offset, length };
        }
        Ok(tensor)
    }

    fn push_floats(&mut self, field: Field<'_>) -> Result<(), WireFault> {
        if !matches!(self.values, Values::Floats(_)) {
            self.values = Values::Floats(Vec::new());
        }
        if let Values::Floats(floats) = &mut self.values {
            push_floats(field, floats)?;
        }
        Ok(())
    }

    fn push_ints(&mut self, field: Field<'_>) -> Result<(), WireFault> {
        if !matches!(self.values, Values::Ints(_)) {
            self.values = Values::Ints(Vec::new());
        }
        if let Values::Ints(ints) = &mut self.values {
            push_ints(field, ints)?;
        }
        Ok(())
    }
}

fn entry<'a>(message: Message<'a>) -> Result<(&'a str, &'a str), WireFault> {
    let mut entry = ("", "");
    each(message, &mut |number, field| {
        match (number, field) {
            (1, Field::Block(block)) => entry.0 = block.text()?,
            (2, Field::Block(block)) => entry.1 = block.text()?,
            _ => {}
        }
        Ok(())
    })?;
    Ok(entry)
}

fn decimal(message: Message<'_>, text: &str) -> Result<u64, WireFault> {
    text.parse().map_err(|_| message.fault(format!("`{text}` where a number of bytes must stand")))
}

impl<'a> ValueInfo<'a> {
    fn parse(message: Message<'a>) -> Result<Self, WireFault> {
        let mut info = Self::default();
        each(message, &mut |number, field| {
            match (number, field) {
                (1, Field::Block(block)) => info.name = block.text()?,
                (2, Field::Block(block)) => each(block, &mut |number, field| match (number, field) {
                    (1, Field::Block(tensor)) => info.tensor_type(tensor),
                    _ => Ok(()),
                })?,
                _ => {}
            }
            Ok(())
        })?;
        Ok(info)
    }

    fn tensor_type(&mut self, message: Message<'a>) -> Result<(), WireFault> {
        each(message, &mut |number, field| {
            match (number, field) {
                (1, Field::Varint(dtype)) => self.dtype = dtype.cast_signed(),
                (2, Field::Block(shape)) => {
                    let mut dims = Vec::new();
                    each(shape, &mut |number, field| {
                        if let (1, Field::Block(block)) = (number, field) {
                            dims.push(dim(block)?);
                        }
                        Ok(())
                    })?;
                    self.dims = Some(dims);
                }
                _ => {}
            }
            Ok(())
        })
    }
}

fn dim(message: Message<'_>) -> Result<Dim<'_>, WireFault> {
    let mut found = Dim::Named("");
    each(message, &mut |number, field| {
        match (number, field) {
            (1, Field::Varint(value)) => found = Dim::Known(value),
            (2, Field::Block(block)) => found = Dim::Named(block.text()?),
            _ => {}
        }
        Ok(())
    })?;
    Ok(found)
}
