//! One subgraph as it is built: tensors, operators and what they are called.

use crate::flat::{Ref, Value};
use crate::schema::{Coding, Op, Type};
use std::collections::HashMap;

/// A tensor of a subgraph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct T(pub(crate) usize);

/// A buffer of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct BufferId(pub(crate) usize);

/// Where the values of a tensor come from.
#[derive(Clone, Debug)]
pub(crate) enum Data {
    /// They are computed, or fed.
    None,
    /// They are these.
    Constant(Vec<u8>),
    /// They lie in a buffer of weights.
    Buffer(BufferId),
}

/// Scales of a tensor.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Scales {
    None,
    /// One a row, in a table that all subgraphs share.
    Rows(Ref),
    /// One a block, in a tensor of this subgraph.
    Blocks {
        scales: T,
        block: usize,
    },
}

impl Scales {
    fn coding(self) -> Coding {
        match self {
            Self::None => Coding::None,
            Self::Rows(_) => Coding::Rows,
            Self::Blocks { .. } => Coding::Blocks,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Tensor {
    pub(crate) shape: Vec<usize>,
    pub(crate) ty: Type,
    pub(crate) name: String,
    pub(crate) data: Data,
    pub(crate) scales: Scales,
}

#[derive(Debug)]
pub(crate) struct Operator {
    pub(crate) op: Op,
    pub(crate) version: i32,
    pub(crate) inputs: Vec<T>,
    pub(crate) outputs: Vec<T>,
    pub(crate) options: Vec<(u16, Value)>,
}

/// Inputs or outputs under the names that a caller uses.
pub(crate) type Names = Vec<(String, T)>;

#[derive(Debug, Default)]
pub(crate) struct Subgraph {
    pub(crate) name: String,
    /// Stands before the names of values, e.g. `layers.3/`.
    pub(crate) scope: String,
    pub(crate) tensors: Vec<Tensor>,
    pub(crate) operators: Vec<Operator>,
    pub(crate) inputs: Names,
    pub(crate) outputs: Names,
    constants: HashMap<(Type, Vec<usize>, Vec<u8>), T>,
    /// Weights that are tensors here already, by name.
    pub(crate) weights: HashMap<String, T>,
}

impl Subgraph {
    pub(crate) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    pub(crate) fn tensor(&mut self, tensor: Tensor) -> T {
        self.tensors.push(tensor);
        T(self.tensors.len() - 1)
    }

    pub(crate) fn shape(&self, t: T) -> Vec<usize> {
        self.tensors.get(t.0).map(|t| t.shape.clone()).unwrap_or_default()
    }

    fn ty(&self, t: T) -> Type {
        self.tensors.get(t.0).map_or(Type::F32, |t| t.ty)
    }

    pub(crate) fn input(&mut self, name: &str, shape: &[usize], ty: Type) -> T {
        let unique = format!("{}_{name}", self.name);
        let made = Tensor { shape: shape.to_vec(), ty, name: unique, data: Data::None, scales: Scales::None };
        let t = self.tensor(made);
        self.inputs.push((name.to_owned(), t));
        t
    }

    pub(crate) fn output(&mut self, name: &str, t: T) {
        self.outputs.push((name.to_owned(), t));
    }

    fn constant(&mut self, ty: Type, shape: &[usize], bytes: Vec<u8>) -> T {
        let key = (ty, shape.to_vec(), bytes);
        if let Some(found) = self.constants.get(&key) {
            return *found;
        }
        let data = Data::Constant(key.2.clone());
        // Names are for what comes from the checkpoint and for what is computed.
        let made = Tensor { shape: shape.to_vec(), ty, name: String::new(), data, scales: Scales::None };
        let t = self.tensor(made);
        self.constants.insert(key, t);
        t
    }

    pub(crate) fn floats(&mut self, shape: &[usize], v: &[f32]) -> T {
        self.constant(Type::F32, shape, v.iter().flat_map(|v| v.to_le_bytes()).collect())
    }

    pub(crate) fn float(&mut self, v: f32) -> T {
        self.floats(&[1], &[v])
    }

    pub(crate) fn ints(&mut self, shape: &[usize], v: &[usize]) -> T {
        self.constant(Type::I32, shape, v.iter().flat_map(|v| (*v as i32).to_le_bytes()).collect())
    }

    /// A list of integers.
    fn list(&mut self, v: &[usize]) -> T {
        self.ints(&[v.len()], v)
    }

    /// Adds an operator with outputs of these shapes.
    pub(crate) fn add_many<const N: usize>(
        &mut self,
        op: Op,
        inputs: &[T],
        options: &[(u16, Value)],
        outputs: [(&[usize], Type); N],
    ) -> [T; N] {
        let name = format!("{}{}", self.scope, op.word());
        let outputs = outputs.map(|(shape, ty)| {
            let made = Tensor { shape: shape.to_vec(), ty, name: name.clone(), data: Data::None, scales: Scales::None };
            self.tensor(made)
        });
        let coding = inputs.iter().filter_map(|t| self.tensors.get(t.0)).map(|t| t.scales.coding()).max();
        let version = op.version(coding.unwrap_or(Coding::None));
        let (inputs, options) = (inputs.to_vec(), options.to_vec());
        self.operators.push(Operator { op, version, inputs, outputs: outputs.to_vec(), options });
        outputs
    }

    pub(crate) fn add_one(&mut self, op: Op, inputs: &[T], options: &[(u16, Value)], shape: &[usize], ty: Type) -> T {
        let [t] = self.add_many(op, inputs, options, [(shape, ty)]);
        t
    }

    /// An operator of two values of which one may be wider in any dimension.
    pub(crate) fn both(&mut self, op: Op, a: T, b: T) -> T {
        let (x, y) = (self.shape(a), self.shape(b));
        let rank = x.len().max(y.len());
        let dim = |s: &[usize], i: usize| (i + s.len()).checked_sub(rank).and_then(|i| s.get(i)).copied().unwrap_or(1);
        let shape: Vec<usize> = (0..rank).map(|i| dim(&x, i).max(dim(&y, i))).collect();
        self.add_one(op, &[a, b], &[], &shape, self.ty(a))
    }

    pub(crate) fn add(&mut self, a: T, b: T) -> T {
        self.both(Op::Add, a, b)
    }

    pub(crate) fn mul(&mut self, a: T, b: T) -> T {
        self.both(Op::Mul, a, b)
    }

    /// An operator of one value, element by element.
    pub(crate) fn each(&mut self, op: Op, x: T) -> T {
        let (shape, ty) = (self.shape(x), self.ty(x));
        self.add_one(op, &[x], &[], &shape, ty)
    }

    pub(crate) fn reshape(&mut self, x: T, shape: &[usize]) -> T {
        if self.shape(x) == shape {
            return x;
        }
        let (to, ty) = (self.list(shape), self.ty(x));
        self.add_one(Op::Reshape, &[x, to], &[], shape, ty)
    }

    pub(crate) fn transpose(&mut self, x: T, order: &[usize]) -> T {
        let from = self.shape(x);
        let shape: Vec<usize> = order.iter().filter_map(|i| from.get(*i)).copied().collect();
        let (order, ty) = (self.list(order), self.ty(x));
        self.add_one(Op::Transpose, &[x, order], &[], &shape, ty)
    }

    pub(crate) fn slice(&mut self, x: T, begin: &[usize], shape: &[usize]) -> T {
        let (begin, size, ty) = (self.list(begin), self.list(shape), self.ty(x));
        self.add_one(Op::Slice, &[x, begin, size], &[], shape, ty)
    }

    pub(crate) fn concat(&mut self, parts: &[T], axis: usize) -> T {
        let shapes: Vec<_> = parts.iter().map(|t| self.shape(*t)).collect();
        let mut shape = shapes.first().cloned().unwrap_or_default();
        if let Some(total) = shape.get_mut(axis) {
            *total = shapes.iter().filter_map(|s| s.get(axis)).sum();
        }
        let ty = parts.first().map_or(Type::F32, |t| self.ty(*t));
        self.add_one(Op::Concatenation, parts, &[(0, Value::int(axis as i32))], &shape, ty)
    }

    /// Cuts the last dimension into three equal parts.
    pub(crate) fn thirds(&mut self, x: T) -> [T; 3] {
        let mut shape = self.shape(x);
        let axis = shape.len().saturating_sub(1);
        if let Some(last) = shape.last_mut() {
            *last /= 3;
        }
        let axis = self.ints(&[], &[axis]);
        self.add_many(Op::Split, &[axis, x], &[(0, Value::int(3))], [(&shape, Type::F32); 3])
    }

    /// A reduction over `axes`, which stay as ones if `keep`.
    pub(crate) fn reduce(&mut self, op: Op, x: T, axes: &[usize], keep: bool) -> T {
        let (from, ty) = (self.shape(x), self.ty(x));
        let dims = from.iter().enumerate().filter(|(i, _)| keep || !axes.contains(i));
        let shape: Vec<usize> = dims.map(|(i, n)| if axes.contains(&i) { 1 } else { *n }).collect();
        let axes = self.list(axes);
        self.add_one(op, &[x, axes], &[(0, Value::bool(keep))], &shape, ty)
    }

    pub(crate) fn gather(&mut self, x: T, indices: T, axis: usize) -> T {
        let (from, of) = (self.shape(x), self.shape(indices));
        let (before, after) = (from.get(..axis).unwrap_or_default(), from.get(axis + 1..).unwrap_or_default());
        let shape: Vec<usize> = before.iter().chain(&of).chain(after).copied().collect();
        let ty = self.ty(x);
        self.add_one(Op::Gather, &[x, indices], &[(0, Value::int(axis as i32))], &shape, ty)
    }

    /// Integers as floats.
    pub(crate) fn cast_to_float(&mut self, x: T) -> T {
        let shape = self.shape(x);
        let options = [(0, Value::Byte(Type::I32 as u8)), (1, Value::Byte(Type::F32 as u8))];
        self.add_one(Op::Cast, &[x], &options, &shape, Type::F32)
    }

    /// `a b^T` in the last two dimensions.
    pub(crate) fn matmul_turned(&mut self, a: T, b: T) -> T {
        let (mut shape, of) = (self.shape(a), self.shape(b));
        if let (Some(last), Some(columns)) = (shape.last_mut(), of.iter().rev().nth(1)) {
            *last = *columns;
        }
        let options = [(0, Value::bool(false)), (1, Value::bool(true))];
        self.add_one(Op::BatchMatmul, &[a, b], &options, &shape, Type::F32)
    }

    /// `cache` with `rows` put at `place`.
    pub(crate) fn update(&mut self, cache: T, rows: T, place: T) -> T {
        let shape = self.shape(cache);
        self.add_one(Op::DynamicUpdateSlice, &[cache, rows, place], &[], &shape, Type::F32)
    }
}
