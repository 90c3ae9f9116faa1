//! Subgraphs that nodes name: composites, which are lowered in place, and branches, which are called.

use crate::RunError;
use crate::draft::{Draft, Known, Lowered};
use crate::lower::{DEPTH, Lowering};
use crate::model::SubGraph;
use crate::operators::{Operand, Place};
use crate::program::{Doing, Program};
use crate::stored::shape;
use crate::tensor::{Class, Kind, Type, Why};
use std::collections::HashMap;

impl Lowering<'_> {
    /// Lowers a subgraph in place of the node that names it.
    pub fn inline(
        &mut self,
        index: usize,
        inputs: &[Option<Known>],
        lowered: &mut Lowered,
        depth: usize,
        fault: &dyn Fn(Why) -> RunError,
    ) -> Result<Vec<Known>, RunError> {
        if depth >= DEPTH {
            return Err(fault(format!("subgraphs nested deeper than {DEPTH}")));
        }
        let graph = self.subgraph(index)?;
        let (names, outputs) = (self.indices(graph, &graph.inputs)?, self.indices(graph, &graph.outputs)?);
        if names.len() != inputs.len() {
            return Err(fault(format!("{} inputs for `{}`, which has {}", inputs.len(), graph.name, names.len())));
        }
        let mut known = HashMap::new();
        for (name, input) in names.iter().zip(inputs) {
            let input = input.clone().ok_or_else(|| fault("an input is missing".into()))?;
            self.agrees(graph, *name, &input).map_err(fault)?;
            known.insert(*name, input);
        }
        let mut known = self.body(index, known, lowered, depth + 1)?;
        let lost = || fault(format!("`{}` does not give all its outputs", graph.name));
        outputs.iter().map(|o| known.remove(o).ok_or_else(lost)).collect()
    }

    /// An error unless `given` is of the type that the subgraph declares.
    fn agrees(&self, graph: &SubGraph<'_>, name: usize, given: &Known) -> Result<(), Why> {
        let of = given.of();
        let Some(tensor) = graph.tensors.get(name) else { return Err("an input that is no tensor".into()) };
        let declared = Type::new(Kind::of(tensor.dtype)?, shape(&tensor.dims)?);
        if of == declared {
            return Ok(());
        }
        Err(format!(
            "`{}` is {:?} {:?}, given {:?} {:?}",
            tensor.name, declared.kind, declared.shape, of.kind, of.shape
        ))
    }

    pub fn branch(
        &mut self,
        title: &str,
        (then, otherwise): (usize, usize),
        inputs: &[Option<Known>],
        lowered: &mut Lowered,
        depth: usize,
        fault: &dyn Fn(Why) -> RunError,
    ) -> Result<Vec<Known>, RunError> {
        let mut programs = [0; 2];
        let mut types: Vec<Type> = Vec::new();
        for (program, index) in programs.iter_mut().zip([then, otherwise]) {
            let graph = self.subgraph(index)?;
            let names = self.indices(graph, &graph.inputs)?;
            if names.len() + 1 != inputs.len() {
                return Err(fault(format!("{} inputs for `{}`", inputs.len() - 1, graph.name)));
            }
            for (name, input) in names.iter().zip(inputs.iter().skip(1)) {
                let input = input.as_ref().ok_or_else(|| fault("an input is missing".into()))?;
                self.agrees(graph, *name, input).map_err(fault)?;
            }
            *program = self.callee(index, depth + 1)?;
            let given: Vec<Type> = self.types(graph, index).map_err(fault)?;
            if !types.is_empty() && types != given {
                return Err(fault(format!("the branches give {types:?} and {given:?}")));
            }
            types = given;
        }
        let operands: Vec<Operand> = (0..inputs.len()).map(Operand::Input).collect();
        let draws = self.draw_all(&operands, inputs, title, lowered).map_err(fault)?;
        let mut values = Vec::new();
        for of in types {
            values.push(lowered.value(of).map_err(fault)?);
        }
        let over = programs.iter().filter_map(|p| self.programs.get(*p)).filter_map(Program::passes).map(|i| i + 1);
        lowered.drafts.push(Draft {
            title: title.to_owned(),
            operator: "IF",
            draws,
            outputs: values.iter().map(|v| v.root).collect(),
            over: over.collect(),
            work: Doing::Branch { then: programs[0], otherwise: programs[1] },
            hint: None,
        });
        Ok(values.into_iter().map(Known::Value).collect())
    }

    /// Types of the outputs of a subgraph as it declares them, checked against what its program gives.
    fn types(&self, graph: &SubGraph<'_>, index: usize) -> Result<Vec<Type>, Why> {
        let program = self.made.get(&index).copied().flatten().and_then(|p| self.programs.get(p));
        let views = program.map(|p| p.outputs.as_slice()).unwrap_or_default();
        let declared = graph.outputs.iter().zip(views).map(|(output, view)| {
            let tensor = usize::try_from(*output).ok().and_then(|i| graph.tensors.get(i)).ok_or("no such output")?;
            let of = Type::new(Kind::of(tensor.dtype)?, shape(&tensor.dims)?);
            match view.place {
                Place::Slot(class, _) if class == Class::of(of.kind)? && view.len == of.len() => Ok(of),
                _ => Err(format!("output `{}` is not {:?} {:?}", tensor.name, of.kind, of.shape)),
            }
        });
        declared.collect()
    }
}
