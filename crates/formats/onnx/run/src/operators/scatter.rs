//! Writing at places.

use super::gather::places;
use super::layout;
use super::node::{Inputs, Node, Run, one};
use crate::tensor::{Data, Tensor, Why};
use std::sync::Arc;

/// ScatterElements without reduction; where two indices name one place the later one stays.
pub(super) fn elements(node: &mut Node<'_>) -> Result<Run, Why> {
    let axis = node.int("axis", 0)?;
    if node.text("reduction", "none")? != "none" {
        return Err("a reduction is not supported".into());
    }
    one(move |mut inputs: Inputs, _| {
        let mut x = inputs.take(0)?;
        let (indices, updates) = (inputs.get(1)?, inputs.get(2)?);
        if indices.shape != updates.shape {
            return Err(format!("{:?} indices for {:?} updates", indices.shape, updates.shape));
        }
        let at = layout::axis(axis, x.shape.len())?;
        let places = places(&x.shape, indices, at)?;
        macro_rules! write {
            ($($variant:ident),*) => {
                match (&mut x.data, &updates.data) {
                    $((Data::$variant(x), Data::$variant(u)) => {
                        let x = Arc::make_mut(x);
                        places.iter().zip(u.iter()).for_each(|(p, u)| x[*p] = *u);
                    })*
                    (x, u) => return Err(format!("{:?} updates of {:?}", u.kind(), x.kind())),
                }
            };
        }
        write!(F32, F16, I64, I32, U8, I8, Bool);
        Ok(Tensor::new(x.shape, x.data))
    })
}
