//! A subgraph on its way to become a program: what is known of each tensor, and steps whose values have no place yet.

use crate::operators::{Const, Hint};
use crate::tensor::{Class, Type, Why, elements};
use std::collections::HashMap;
use std::sync::Arc;

/// What one tensor of a subgraph is known to be.
#[derive(Clone)]
pub(crate) enum Known {
    Constant(Const),
    Value(Value),
}

/// A part of a root, with its type.
#[derive(Clone)]
pub(crate) struct Value {
    pub root: usize,
    pub start: usize,
    pub of: Type,
}

/// What needs room of its own.
pub(crate) struct Root {
    pub class: Class,
    pub len: usize,
    /// The state it is the beginning of.
    pub state: Option<usize>,
}

/// Where an operand comes from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Draw {
    Constant { index: usize, len: usize },
    Root { root: usize, start: usize, len: usize },
}

pub(crate) struct Draft {
    pub title: String,
    pub operator: &'static str,
    pub draws: Vec<Draw>,
    pub outputs: Vec<usize>,
    /// Operands that output 0 may lie over.
    pub over: Vec<usize>,
    pub work: crate::program::Doing,
    pub hint: Option<Hint>,
}

/// One subgraph as it becomes a program.
#[derive(Default)]
pub(crate) struct Lowered {
    pub drafts: Vec<Draft>,
    pub roots: Vec<Root>,
    pub inputs: Vec<Value>,
    pub outputs: Vec<Value>,
    /// Rounded forms by (root, start, columns).
    pub rounded: HashMap<(usize, usize, usize), usize>,
}

impl Lowered {
    pub fn root(&mut self, class: Class, len: usize) -> usize {
        self.roots.push(Root { class, len, state: None });
        self.roots.len() - 1
    }

    pub fn value(&mut self, of: Type) -> Result<Value, Why> {
        let root = self.root(Class::of(of.kind)?, elements(&of.shape)?);
        Ok(Value { root, start: 0, of })
    }
}

impl Known {
    pub fn of(&self) -> Type {
        match self {
            Self::Constant(constant) => constant.of(),
            Self::Value(value) => value.of.clone(),
        }
    }
}

/// Outputs that are parts of inputs.
pub(crate) fn parts_of(
    inputs: &[Option<Known>],
    outputs: &[Type],
    parts: &[(usize, usize)],
) -> Result<Vec<Known>, Why> {
    let part = |(of, (input, at)): (&Type, &(usize, usize))| {
        let known = inputs.get(*input).and_then(Option::as_ref).ok_or("an input is missing")?;
        Ok(match known {
            Known::Value(v) => Known::Value(Value { root: v.root, start: v.start + at, of: of.clone() }),
            Known::Constant(constant) => {
                let whole = constant.load()?;
                let mut part = Class::of(of.kind)?.empty();
                part.copy_from(&whole, *at, of.len())?;
                Known::Constant(Const::Ready(of.clone(), Arc::new(part)))
            }
        })
    };
    outputs.iter().zip(parts).map(part).collect()
}
