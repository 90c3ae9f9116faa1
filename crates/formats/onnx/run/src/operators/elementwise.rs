//! Arithmetic of two or more tensors, element by element, broadcast.

use super::layout::{broadcast, broadcast_strides, rows};
use super::node::{Inputs, Node, Run, one};
use crate::tensor::{Data, Kind, Tensor, Why, elements};
use std::sync::Arc;

/// `f` of each pair of elements under the broadcast shape.
pub(super) fn zip<T: Copy, U>(
    (a, a_shape): (&[T], &[usize]),
    (b, b_shape): (&[T], &[usize]),
    limit: usize,
    f: impl Fn(T, T) -> U,
) -> Result<(Vec<usize>, Vec<U>), Why> {
    let shape = broadcast(a_shape, b_shape)?;
    let n = elements(&shape, limit)?;
    let mut out = Vec::with_capacity(n);
    if a_shape == b_shape {
        out.extend(a.iter().zip(b).map(|(a, b)| f(*a, *b)));
        return Ok((shape, out));
    }
    let (sa, sb) = (broadcast_strides(a_shape, &shape), broadcast_strides(b_shape, &shape));
    let length = shape.last().copied().unwrap_or(1);
    let step = |s: &[usize]| s.last().copied().unwrap_or(0);
    let (step_a, step_b) = (step(&sa), step(&sb));
    rows(&shape, [&sa, &sb], |[i, j]| match (step_a, step_b) {
        (0, 0) => out.extend((0..length).map(|_| f(a[i], b[j]))),
        (0, _) => out.extend(b[j..j + length].iter().map(|b| f(a[i], *b))),
        (_, 0) => out.extend(a[i..i + length].iter().map(|a| f(*a, b[j]))),
        _ => out.extend(a[i..i + length].iter().zip(&b[j..j + length]).map(|(a, b)| f(*a, *b))),
    });
    Ok((shape, out))
}

#[derive(Clone, Copy)]
enum Op {
    Add,
    Sub,
    Mul,
    Div,
    Pow,
    /// With the sign of the divisor, as Python's `%`.
    Mod,
    /// With the sign of the dividend, as C's.
    Fmod,
    Min,
    Max,
    And,
    Or,
    Xor,
}

/// Add, Sub, Mul, Div, Pow, Mod, and Min and Max of any number of tensors; And, Or, Xor.
pub(super) fn build(node: &mut Node<'_>) -> Result<Run, Why> {
    let op = match node.op() {
        "Add" => Op::Add,
        "Sub" => Op::Sub,
        "Mul" => Op::Mul,
        "Div" => Op::Div,
        "Pow" => Op::Pow,
        "Mod" if node.int("fmod", 0)? == 1 => Op::Fmod,
        "Mod" => Op::Mod,
        "Min" => Op::Min,
        "Max" => Op::Max,
        "And" => Op::And,
        "Or" => Op::Or,
        _ => Op::Xor,
    };
    node.by_row = node.values() == 1;
    one(move |mut inputs: Inputs, context| {
        let mut sum = inputs.take(0)?;
        for i in 1..inputs.0.len() {
            sum = apply(op, &sum, inputs.get(i)?, context.limit)?;
        }
        Ok(sum)
    })
}

fn apply(op: Op, a: &Tensor, b: &Tensor, limit: usize) -> Result<Tensor, Why> {
    let kind = a.kind();
    if matches!(op, Op::Pow) && kind.is_float() {
        // The exponent may be of any type.
        let exponents = if b.kind().is_float() { b.floats()? } else { b.ints()?.iter().map(|v| *v as f32).collect() };
        let (shape, out) = zip((&a.floats()?, &a.shape), (&exponents, &b.shape), limit, power)?;
        return Ok(Tensor::floats_of(kind, shape, out));
    }
    if kind != b.kind() {
        return Err(format!("operands of types {kind:?} and {:?}", b.kind()));
    }
    match kind {
        Kind::F32 | Kind::F16 => {
            let (x, y) = (a.floats()?, b.floats()?);
            let (x, y) = ((&*x, &*a.shape), (&*y, &*b.shape));
            // Each arm has its own loop: a match inside the loop would cost more than the arithmetic.
            let (shape, out) = match op {
                Op::Add => zip(x, y, limit, |a, b| a + b),
                Op::Sub => zip(x, y, limit, |a, b| a - b),
                Op::Mul => zip(x, y, limit, |a, b| a * b),
                Op::Div => zip(x, y, limit, |a, b| a / b),
                Op::Mod | Op::Fmod => zip(x, y, limit, |a, b| a % b),
                Op::Min => zip(x, y, limit, |a, b| if a < b || a.is_nan() { a } else { b }),
                Op::Max => zip(x, y, limit, |a, b| if a > b || a.is_nan() { a } else { b }),
                Op::Pow | Op::And | Op::Or | Op::Xor => return Err("needs booleans or integers".into()),
            }?;
            Ok(Tensor::floats_of(kind, shape, out))
        }
        Kind::Bool => {
            let f: fn(bool, bool) -> bool = match op {
                Op::And => |a, b| a & b,
                Op::Or => |a, b| a | b,
                Op::Xor => |a, b| a ^ b,
                _ => return Err("arithmetic of booleans".into()),
            };
            let (shape, out) = zip((a.bools()?, &a.shape), (b.bools()?, &b.shape), limit, f)?;
            Ok(Tensor::bool(shape, out))
        }
        _ => integers(op, a, b, limit),
    }
}

fn integers(op: Op, a: &Tensor, b: &Tensor, limit: usize) -> Result<Tensor, Why> {
    let (x, y) = (a.ints()?, b.ints()?);
    if matches!(op, Op::Div | Op::Mod | Op::Fmod) && y.contains(&0) {
        return Err("division by zero".into());
    }
    let f: fn(i64, i64) -> i64 = match op {
        Op::Add => i64::wrapping_add,
        Op::Sub => i64::wrapping_sub,
        Op::Mul => i64::wrapping_mul,
        Op::Div => i64::wrapping_div,
        Op::Mod => |a, b| {
            let rest = a.wrapping_rem(b);
            if rest != 0 && (rest < 0) != (b < 0) { rest + b } else { rest }
        },
        Op::Fmod => i64::wrapping_rem,
        Op::Min => i64::min,
        Op::Max => i64::max,
        Op::Pow => |a, b| a.wrapping_pow(u32::try_from(b).unwrap_or(0)),
        Op::And => |a, b| a & b,
        Op::Or => |a, b| a | b,
        Op::Xor => |a, b| a ^ b,
    };
    let (shape, out) = zip((&x, &a.shape), (&y, &b.shape), limit, f)?;
    Ok(Tensor::new(shape, integers_as(a.kind(), out)?))
}

/// Integers cut to `kind`.
pub(super) fn integers_as(kind: Kind, values: Vec<i64>) -> Result<Data, Why> {
    Ok(match kind {
        Kind::I64 => Data::I64(Arc::new(values)),
        Kind::I32 => Data::I32(Arc::new(values.into_iter().map(|v| v as i32).collect())),
        Kind::U8 => Data::U8(Arc::new(values.into_iter().map(|v| v as u8).collect())),
        Kind::I8 => Data::I8(Arc::new(values.into_iter().map(|v| v as i8).collect())),
        other => return Err(format!("integers as {other:?}")),
    })
}

fn power(a: f32, b: f32) -> f32 {
    if b == 2.0 { a * a } else { libm::pow(f64::from(a), f64::from(b)) as f32 }
}
