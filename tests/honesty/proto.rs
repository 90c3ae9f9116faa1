//! As much of the protobuf encoding as it takes to change the nodes of an ONNX graph, written from its specification.

/// Field numbers of `ModelProto`, `GraphProto` and `NodeProto`.
const GRAPH: u64 = 7;
const NODE: u64 = 1;
const INPUT: u64 = 1;
const OUTPUT: u64 = 2;
const OP_TYPE: u64 = 4;

/// A field as it lies in the file: its tag and what follows.
#[derive(Clone)]
struct Field {
    tag: u64,
    /// Without the length of a length-delimited one.
    bytes: Vec<u8>,
}

/// A node: what is changed here, and the rest as it is.
pub struct Node {
    pub op: String,
    pub inputs: Vec<String>,
    pub outputs: Vec<String>,
    rest: Vec<Field>,
}

/// The nodes of a graph in order.
pub struct Graph {
    pub nodes: Vec<Node>,
}

impl Graph {
    /// The nodes of this operator.
    pub fn of(&self, op: &str) -> impl Iterator<Item = usize> + use<> {
        let found: Vec<usize> = (0..self.nodes.len()).filter(|n| self.nodes[*n].op == op).collect();
        found.into_iter()
    }

    /// The node that makes `value`, if a node does.
    pub fn find_maker(&self, value: &str) -> Option<usize> {
        self.nodes.iter().position(|node| node.outputs.iter().any(|output| output == value))
    }

    /// The node that makes `value`.
    pub fn maker(&self, value: &str) -> usize {
        self.find_maker(value).unwrap_or_else(|| panic!("no node makes {value}"))
    }
}

/// The model with its graph's nodes changed by `change`.
pub fn edit(model: &[u8], change: impl FnOnce(&mut Graph)) -> Vec<u8> {
    let mut fields = read(model);
    let graph = fields.iter_mut().find(|f| f.tag >> 3 == GRAPH).expect("a graph");
    let (nodes, others): (Vec<Field>, Vec<Field>) = read(&graph.bytes).into_iter().partition(|f| f.tag >> 3 == NODE);
    let mut edited = Graph { nodes: nodes.iter().map(|f| node(&f.bytes)).collect() };
    change(&mut edited);
    let nodes = edited.nodes.into_iter().map(|n| Field { tag: NODE << 3 | 2, bytes: write(&fields_of(n)) });
    graph.bytes = write(&nodes.chain(others).collect::<Vec<_>>());
    write(&fields)
}

fn node(bytes: &[u8]) -> Node {
    let mut node = Node { op: String::new(), inputs: vec![], outputs: vec![], rest: vec![] };
    for field in read(bytes) {
        let text = || String::from_utf8(field.bytes.clone()).expect("text");
        match field.tag >> 3 {
            INPUT => node.inputs.push(text()),
            OUTPUT => node.outputs.push(text()),
            OP_TYPE => node.op = text(),
            _ => node.rest.push(field),
        }
    }
    node
}

fn fields_of(node: Node) -> Vec<Field> {
    let texts = |number: u64, all: Vec<String>| {
        all.into_iter().map(move |text| Field { tag: number << 3 | 2, bytes: text.into_bytes() })
    };
    texts(INPUT, node.inputs)
        .chain(texts(OUTPUT, node.outputs))
        .chain(texts(OP_TYPE, vec![node.op]))
        .chain(node.rest)
        .collect()
}

fn read(mut bytes: &[u8]) -> Vec<Field> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes);
        let length = match tag & 7 {
            0 => {
                let before = bytes;
                varint(&mut bytes);
                let length = before.len() - bytes.len();
                bytes = before;
                length
            }
            1 => 8,
            2 => varint(&mut bytes) as usize,
            5 => 4,
            other => panic!("wire type {other}"),
        };
        let (own, rest) = bytes.split_at(length);
        fields.push(Field { tag, bytes: own.to_vec() });
        bytes = rest;
    }
    fields
}

fn write(fields: &[Field]) -> Vec<u8> {
    let mut out = Vec::new();
    for field in fields {
        put(&mut out, field.tag);
        if field.tag & 7 == 2 {
            put(&mut out, field.bytes.len() as u64);
        }
        out.extend_from_slice(&field.bytes);
    }
    out
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first().expect("a whole number");
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return value;
        }
    }
    panic!("a number of more than 64 bits")
}

fn put(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
