//! The file as a whole: buffers, operator codes, subgraphs and signatures.

use crate::flat::{Flat, Ref, Value};
use crate::schema::{Op, slot};
use crate::subgraph::{BufferId, Data, Names, Operator, Scales, Subgraph, T, Tensor};
use std::collections::HashMap;

/// Bytes of a buffer of weights begin on a multiple of this, in the flatbuffer or after it.
pub(crate) const ALIGN: u64 = 64;

/// A model under construction.
pub(crate) struct Model {
    pub(crate) flat: Flat,
    buffers: Vec<Ref>,
    constants: HashMap<Vec<u8>, BufferId>,
    codes: Vec<(Op, i32)>,
    subgraphs: Vec<Option<Ref>>,
    signatures: Vec<Ref>,
    /// 64-bit numbers to be filled in so far.
    late: usize,
}

impl Model {
    pub(crate) fn new() -> Self {
        let mut flat = Flat::default();
        // Tensors without values refer to the first buffer.
        let buffers = vec![flat.table(&[])];
        let (constants, codes) = (HashMap::new(), Vec::new());
        Self { flat, buffers, constants, codes, subgraphs: Vec::new(), signatures: Vec::new(), late: 0 }
    }

    fn buffer(&mut self, fields: &[(u16, Value)]) -> BufferId {
        let table = self.flat.table(fields);
        self.buffers.push(table);
        BufferId(self.buffers.len() - 1)
    }

    /// A buffer of `bytes` inside the flatbuffer, to be filled in at the returned place.
    pub(crate) fn inside(&mut self, bytes: usize) -> (BufferId, Ref) {
        let data = self.flat.open(bytes, 1, ALIGN);
        (self.buffer(&[(slot::buffer::DATA, Value::Ref(data))]), data)
    }

    /// A buffer after the flatbuffer: its offset and its size are late numbers `n` and `n + 1`.
    pub(crate) fn appended(&mut self) -> (BufferId, usize) {
        let n = self.late;
        self.late += 2;
        let fields = [(slot::buffer::OFFSET, Value::Late(n)), (slot::buffer::SIZE, Value::Late(n + 1))];
        (self.buffer(&fields), n)
    }

    fn constant(&mut self, bytes: Vec<u8>) -> BufferId {
        if let Some(found) = self.constants.get(&bytes) {
            return *found;
        }
        let data = self.flat.bytes(&bytes, 16);
        let made = self.buffer(&[(slot::buffer::DATA, Value::Ref(data))]);
        self.constants.insert(bytes, made);
        made
    }

    /// The index of a subgraph to come.
    pub(crate) fn reserve(&mut self) -> usize {
        self.subgraphs.push(None);
        self.subgraphs.len() - 1
    }

    /// Puts a subgraph in its place; with a signature of its name if it is one to be called from outside.
    pub(crate) fn place(&mut self, index: usize, graph: Subgraph, signature: bool) {
        use slot::subgraph as s;
        if signature {
            self.sign(index, &graph);
        }
        let operators: Vec<Ref> = graph.operators.iter().map(|o| self.operator(o)).collect();
        let [inputs, outputs] = [&graph.inputs, &graph.outputs].map(|names| {
            let tensors: Vec<T> = names.iter().map(|(_, t)| *t).collect();
            self.indices(&tensors)
        });
        let tensors: Vec<Ref> = graph.tensors.into_iter().map(|t| self.tensor(t)).collect();
        let (operators, tensors) = (self.flat.refs(&operators), self.flat.refs(&tensors));
        let name = self.flat.text(&graph.name);
        let fields = [
            (s::TENSORS, tensors),
            (s::INPUTS, inputs),
            (s::OUTPUTS, outputs),
            (s::OPERATORS, operators),
            (s::NAME, name),
        ];
        let table = self.flat.table(&fields.map(|(slot, r)| (slot, Value::Ref(r))));
        if let Some(place) = self.subgraphs.get_mut(index) {
            *place = Some(table);
        }
    }

    fn indices(&mut self, tensors: &[T]) -> Ref {
        let indices: Vec<i32> = tensors.iter().map(|t| t.0 as i32).collect();
        self.flat.ints(&indices)
    }

    fn tensor(&mut self, tensor: Tensor) -> Ref {
        use slot::tensor as s;
        let shape: Vec<i32> = tensor.shape.iter().map(|n| *n as i32).collect();
        let shape = self.flat.ints(&shape);
        let name = self.flat.text(&tensor.name);
        let buffer = match tensor.data {
            Data::None => BufferId(0),
            Data::Constant(bytes) => self.constant(bytes),
            Data::Buffer(id) => id,
        };
        let mut fields = vec![
            (s::SHAPE, Value::Ref(shape)),
            (s::TYPE, Value::Byte(tensor.ty as u8)),
            (s::BUFFER, Value::Word(buffer.0 as u32)),
            (s::NAME, Value::Ref(name)),
            (s::HAS_RANK, Value::bool(true)),
        ];
        match tensor.scales {
            Scales::None => {}
            Scales::Rows(table) => fields.push((s::QUANTIZATION, Value::Ref(table))),
            Scales::Blocks { scales, block } => {
                let table = self.blockwise(scales, block);
                fields.push((s::QUANTIZATION, Value::Ref(table)));
            }
        }
        self.flat.table(&fields)
    }

    /// One scale a row, the zeros being zero; the scales are filled in at the second place.
    pub(crate) fn by_row(&mut self, rows: usize) -> (Ref, Ref) {
        use slot::quantization as s;
        let (scales, zeros) = (self.flat.open(rows, 4, 4), self.flat.zeros(rows));
        (self.flat.table(&[(s::SCALE, Value::Ref(scales)), (s::ZERO_POINT, Value::Ref(zeros))]), scales)
    }

    fn blockwise(&mut self, scales: T, block: usize) -> Ref {
        use slot::{blockwise as b, quantization as s};
        let details = self.flat.table(&[
            (b::SCALES, Value::int(scales.0 as i32)),
            (b::ZERO_POINTS, Value::int(-1)),
            (b::BLOCK_SIZE, Value::int(block as i32)),
        ]);
        self.flat.table(&[(s::DETAILS_TYPE, Value::Byte(s::BLOCKWISE)), (s::DETAILS, Value::Ref(details))])
    }

    fn operator(&mut self, operator: &Operator) -> Ref {
        use slot::operator as s;
        let code = match self.codes.iter().position(|(op, _)| *op == operator.op) {
            Some(found) => found,
            None => {
                self.codes.push((operator.op, 1));
                self.codes.len() - 1
            }
        };
        if let Some((_, version)) = self.codes.get_mut(code) {
            *version = operator.version.max(*version);
        }
        let (inputs, outputs) = (self.indices(&operator.inputs), self.indices(&operator.outputs));
        let mut fields = vec![
            (s::CODE, Value::Word(code as u32)),
            (s::INPUTS, Value::Ref(inputs)),
            (s::OUTPUTS, Value::Ref(outputs)),
        ];
        if operator.op.options() != 0 {
            let options = self.flat.table(&operator.options);
            fields.push((s::OPTIONS_TYPE, Value::Byte(operator.op.options())));
            fields.push((s::OPTIONS, Value::Ref(options)));
        }
        self.flat.table(&fields)
    }

    fn sign(&mut self, index: usize, graph: &Subgraph) {
        use slot::signature as s;
        let (inputs, outputs) = (self.names(&graph.inputs), self.names(&graph.outputs));
        let key = self.flat.text(&graph.name);
        let table = self.flat.table(&[
            (s::INPUTS, Value::Ref(inputs)),
            (s::OUTPUTS, Value::Ref(outputs)),
            (s::KEY, Value::Ref(key)),
            (s::SUBGRAPH, Value::Word(index as u32)),
        ]);
        self.signatures.push(table);
    }

    fn names(&mut self, names: &Names) -> Ref {
        let tables: Vec<Ref> = names.iter().map(|(name, t)| self.named(name, t.0)).collect();
        self.flat.refs(&tables)
    }

    fn named(&mut self, name: &str, index: usize) -> Ref {
        let name = self.flat.text(name);
        self.flat.table(&[(slot::named::NAME, Value::Ref(name)), (slot::named::INDEX, Value::Word(index as u32))])
    }

    /// Completes the flatbuffer with texts about it.
    pub(crate) fn finish(mut self, description: &str, metadata: &[(&str, Vec<u8>)]) -> Flat {
        use slot::{code, model as s};
        let mut about = Vec::new();
        for (name, bytes) in metadata {
            let buffer = self.constant(bytes.clone());
            about.push(self.named(name, buffer.0));
        }
        let codes: Vec<Ref> = std::mem::take(&mut self.codes)
            .into_iter()
            .map(|(op, version)| {
                self.flat.table(&[
                    (code::OLD_BUILTIN, Value::Byte((op as u32).min(127) as u8)),
                    (code::VERSION, Value::int(version)),
                    (code::BUILTIN, Value::int(op as i32)),
                ])
            })
            .collect();
        let subgraphs: Vec<Ref> = self.subgraphs.iter().flatten().copied().collect();
        let lists = [
            (s::OPERATOR_CODES, codes),
            (s::SUBGRAPHS, subgraphs),
            (s::BUFFERS, std::mem::take(&mut self.buffers)),
            (s::METADATA, about),
            (s::SIGNATURES, std::mem::take(&mut self.signatures)),
        ];
        let mut fields: Vec<(u16, Value)> =
            lists.into_iter().map(|(slot, refs)| (slot, Value::Ref(self.flat.refs(&refs)))).collect();
        fields.push((s::VERSION, Value::Word(3)));
        fields.push((s::DESCRIPTION, Value::Ref(self.flat.text(description))));
        self.flat.table(&fields);
        self.flat
    }
}
