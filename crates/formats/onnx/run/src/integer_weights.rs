//! Weights of one scale a row. No operator knows codes and scales together: the codes are multiplied or looked up by one
//! node, and what comes of it meets the scales some nodes later.

use crate::held::{Held, common_name};
use crate::ready::{Draft, Draw, Ready};
use crate::stored::Stored;
use crate::tensor::Kind;

/// Nodes between codes and their scales, at most.
const REACH: usize = 6;

/// The matrices of MatMulInteger nodes that are `needed`, and the tables of codes that Gather nodes look up, each with its
/// scales.
pub(crate) fn integer_weights(ready: &Ready, needed: &[bool]) -> Vec<Held> {
    let one = |step: &Draft| {
        let value = step.outputs.first().copied().flatten()?;
        let matrix = |(_, s): &&(String, Stored)| matches!(s.kind, Kind::U8 | Kind::I8) && s.shape.len() == 2;
        let (name, codes) = origins(ready, step).find(matrix)?;
        let zero = match step.op.as_str() {
            "MatMulInteger" => Some(step.codes_zero?),
            "Gather" => None,
            _ => return None,
        };
        let rows = *codes.shape.first()?;
        let (zero, (scales_name, scales)) = follow(ready, value, rows, zero)?;
        Held::rows(common_name(name, scales_name), codes, zero, scales)
    };
    ready.steps.iter().zip(needed).filter(|(_, needed)| **needed).filter_map(|(step, _)| one(step)).collect()
}

fn origins<'r>(ready: &'r Ready, step: &'r Draft) -> impl Iterator<Item = &'r (String, Stored)> {
    step.origins.iter().filter_map(|i| ready.stored.get(*i))
}

/// Follows `value` through casts, products and the subtraction of a zero point to the first product with `rows` scales.
fn follow(ready: &Ready, mut value: usize, rows: usize, zero: Option<i64>) -> Option<(i64, &(String, Stored))> {
    let mut zero = zero;
    for _ in 0..REACH {
        let step = ready.steps.iter().find(|s| s.inputs.contains(&Draw::Value(value)))?;
        match step.op.as_str() {
            "Cast" => {}
            "Sub" if zero.is_none() => {
                let constant =
                    step.inputs.iter().find_map(|d| if let Draw::Constant(c) = d { Some(*c) } else { None })?;
                zero = Some(ready.constants.get(constant)?.floats().ok()?.first().copied()? as i64);
            }
            "Mul" => {
                if let Some(scales) = scales_of(ready, step, value, rows) {
                    return Some((zero.unwrap_or(0), scales));
                }
            }
            _ => return None,
        }
        value = step.outputs.first().copied().flatten()?;
    }
    None
}

/// The initializer of `rows` floats that a product multiplies `value` with: itself, or looked up row by row.
fn scales_of<'r>(ready: &'r Ready, mul: &'r Draft, value: usize, rows: usize) -> Option<&'r (String, Stored)> {
    let other = mul.inputs.iter().find(|d| **d != Draw::Value(value))?;
    let mut step = mul;
    let mut from = *other;
    while let Draw::Value(v) = from {
        step = ready.steps.iter().find(|s| s.outputs.contains(&Some(v)))?;
        if !matches!(step.op.as_str(), "Unsqueeze" | "Gather" | "Reshape") {
            return None;
        }
        from = match step.op.as_str() {
            "Gather" => break,
            _ => *step.inputs.first()?,
        };
    }
    origins(ready, step).find(|(_, s)| s.kind.is_float() && s.count() == rows)
}
