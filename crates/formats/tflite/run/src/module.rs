use crate::flat::{Budget, WireFault};
use crate::lower::Lowering;
use crate::model::Model;
use crate::operators::Place;
use crate::program::{Memory, Programs};
use crate::tensor::Buffer;
use crate::{Options, RunError, container};
use lfmq_core::Mapped;
use lfmq_interpreter::Bank;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The elements of a tensor, row-major.
#[derive(Clone, Debug, PartialEq)]
pub enum Array {
    /// Floats.
    F32(Vec<f32>),
    /// Integers.
    I32(Vec<i32>),
    /// Booleans, a byte each.
    Bool(Vec<u8>),
}

/// A file as a set of functions, whatever they compute: each signature is one.
pub struct Module {
    programs: Programs,
    signatures: Vec<Function>,
    path: PathBuf,
}

struct Function {
    key: String,
    inputs: Vec<String>,
    outputs: Vec<String>,
    program: usize,
}

impl Module {
    /// Opens a `.tflite` file.
    ///
    /// # Errors
    /// See [`RunError`]; the file and the tensor or node are named.
    pub fn open(path: &Path, options: Options) -> Result<Self, RunError> {
        let file = Mapped::open(path).map_err(|source| RunError::Open { path: path.to_owned(), source })?;
        let file = Arc::new(file);
        let wire = |fault: WireFault| RunError::Wire { path: path.to_owned(), at: fault.at, why: fault.why };
        let part =
            if container::is_container(&file) { container::parse(&file).map_err(wire)?.model } else { 0..file.len() };
        let start = part.start;
        let (budget, bytes) = (Budget::new(), file.get(part).unwrap_or_default());
        let model = Model::parse(bytes, start, &budget).map_err(wire)?;
        let mut lowering = Lowering::new(path.to_owned(), &model, file.clone(), options, Bank::ROOM);
        let mut signatures = Vec::new();
        for signature in &model.signatures {
            let of = |all: &[(&str, usize)]| all.iter().map(|(_, i)| *i).collect::<Vec<_>>();
            let names = |all: &[(&str, usize)]| all.iter().map(|(n, _)| (*n).to_owned()).collect();
            let (inputs, outputs) = (of(&signature.inputs), of(&signature.outputs));
            let program = lowering.signature(signature.subgraph, &inputs, &outputs, &vec![None; inputs.len()])?;
            signatures.push(Function {
                key: signature.key.to_owned(),
                inputs: names(&signature.inputs),
                outputs: names(&signature.outputs),
                program,
            });
        }
        let (programs, _) = lowering.finish()?;
        Ok(Self { programs, signatures, path: path.to_owned() })
    }

    /// The outputs of a signature by name, for inputs by name.
    ///
    /// # Errors
    /// When there is no such signature, an input is missing or of another size, or a node cannot do its work.
    pub fn call(&self, key: &str, inputs: &[(&str, Array)]) -> Result<Vec<(String, Array)>, RunError> {
        let fault = |why: String| RunError::Graph { path: self.path.clone(), why };
        let function = self.signatures.iter().find(|f| f.key == key);
        let function = function.ok_or_else(|| fault(format!("no signature `{key}`")))?;
        let program = self.programs.all.get(function.program).ok_or_else(|| fault("no program".into()))?;
        let mut memory = Memory::new(&self.programs, Vec::new());
        for (name, view) in function.inputs.iter().zip(&program.inputs) {
            let given = inputs.iter().find(|(n, _)| n == name).map(|(_, array)| array.clone());
            let buffer = given.map(Array::into_buffer).ok_or_else(|| fault(format!("no input `{name}` is given")))?;
            let fits =
                matches!(view.place, Place::Slot(class, _) if class == buffer.class() && buffer.len() == view.len);
            let place = memory.at(0, view.place).filter(|_| fits);
            *place.ok_or_else(|| fault(format!("input `{name}` takes {} elements of another type", view.len)))? =
                buffer;
        }
        self.programs.run(function.program, &mut memory, &mut |_, _, _| ())?;
        let mut results = Vec::new();
        for (name, view) in function.outputs.iter().zip(&program.outputs) {
            let lost = || fault(format!("output `{name}` was not computed"));
            let class = match view.place {
                Place::Slot(class, _) => class,
                _ => return Err(lost()),
            };
            let mut part = class.empty();
            let buffer = memory.at(0, view.place).ok_or_else(lost)?;
            part.copy_from(buffer, view.start, view.len).map_err(fault)?;
            results.push((name.clone(), Array::of(part).ok_or_else(lost)?));
        }
        Ok(results)
    }
}

impl Array {
    fn into_buffer(self) -> Buffer {
        match self {
            Self::F32(v) => Buffer::F32(v),
            Self::I32(v) => Buffer::I32(v),
            Self::Bool(v) => Buffer::Bytes(v),
        }
    }

    fn of(buffer: Buffer) -> Option<Self> {
        match buffer {
            Buffer::F32(v) => Some(Self::F32(v)),
            Buffer::I32(v) => Some(Self::I32(v)),
            Buffer::Bytes(v) => Some(Self::Bool(v)),
            Buffer::I64(_) | Buffer::Acts(_) => None,
        }
    }
}

impl Buffer {
    fn len(&self) -> usize {
        match self {
            Self::F32(v) => v.len(),
            Self::I32(v) => v.len(),
            Self::I64(v) => v.len(),
            Self::Bytes(v) => v.len(),
            Self::Acts(_) => 0,
        }
    }
}
