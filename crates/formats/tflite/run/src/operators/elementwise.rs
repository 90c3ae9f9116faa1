//! Operators of two operands, element by element, broadcast as numpy does.

use super::layout::{Walk, broadcast};
use super::node::{Built, Hint, Inputs, Node, hinted, job};
use crate::tensor::{Buffer, Kind, Type, Why, elements};

/// One side of an operator along a row.
enum Side<'a, T> {
    /// What the output already has.
    Own,
    Row(&'a [T]),
    One(T),
}

/// `out = f(a, b)`, element by element.
fn each<T: Copy, O: Copy>(a: Side<'_, T>, b: Side<'_, T>, out: &mut [O], own: fn(O) -> T, f: impl Fn(T, T) -> O) {
    let cells = out.iter_mut();
    match (a, b) {
        (Side::Row(a), Side::Row(b)) => cells.zip(a.iter().zip(b)).for_each(|(o, (a, b))| *o = f(*a, *b)),
        (Side::Row(a), Side::One(b)) => cells.zip(a).for_each(|(o, a)| *o = f(*a, b)),
        (Side::One(a), Side::Row(b)) => cells.zip(b).for_each(|(o, b)| *o = f(a, *b)),
        (Side::One(a), Side::One(b)) => cells.for_each(|o| *o = f(a, b)),
        (Side::Own, Side::Row(b)) => cells.zip(b).for_each(|(o, b)| *o = f(own(*o), *b)),
        (Side::Own, Side::One(b)) => cells.for_each(|o| *o = f(own(*o), b)),
        (Side::Row(a), Side::Own) => cells.zip(a).for_each(|(o, a)| *o = f(*a, own(*o))),
        (Side::One(a), Side::Own) => cells.for_each(|o| *o = f(a, own(*o))),
        (Side::Own, Side::Own) => cells.for_each(|o| *o = f(own(*o), own(*o))),
    }
}

/// Both operands of one operator.
struct Pair<'a, T> {
    sides: [Option<&'a [T]>; 2],
}

impl<'a, T: Copy + Sync> Pair<'a, T> {
    fn new(x: &Inputs<'a>, read: impl Fn(usize) -> Result<&'a [T], Why>) -> Result<Self, Why> {
        let side = |i| if x.over == Some(i) { Ok(None) } else { read(i).map(Some) };
        Ok(Self { sides: [side(0)?, side(1)?] })
    }

    fn run<O: Copy + Send>(&self, walk: &Walk<2>, out: &mut [O], own: fn(O) -> T, f: impl Fn(T, T) -> O + Sync) {
        let part = |side: Option<&'a [T]>, at: usize, step: usize, len: usize| match side {
            None => Side::Own,
            Some(v) if step == 0 => Side::One(v[at]),
            Some(v) => Side::Row(&v[at..at + len]),
        };
        walk.fill(out, |[a, b], out| {
            let len = out.len();
            let a = part(self.sides[0], a, walk.steps[0], len);
            each(a, part(self.sides[1], b, walk.steps[1], len), out, own, &f);
        });
    }
}

/// Where output and operands lie, and which operands may be written over.
fn walk(node: &Node<'_>) -> Result<(Vec<usize>, Walk<2>, Vec<usize>), Why> {
    let (a, b) = (node.shape(0)?, node.shape(1)?);
    let shape = broadcast(a, b)?;
    elements(&shape)?;
    let over = [a, b].iter().enumerate().filter(|(_, s)| **s == shape).map(|(i, _)| i).collect();
    let walk = Walk::broadcast(&shape, [a, b]);
    Ok((shape, walk, over))
}

fn greater<T: PartialOrd>(a: T, b: T) -> T {
    if a > b { a } else { b }
}

fn less<T: PartialOrd>(a: T, b: T) -> T {
    if a < b { a } else { b }
}

/// ADD, SUB, MUL, DIV, MAXIMUM, MINIMUM, SQUARED_DIFFERENCE.
pub(super) fn arithmetic(node: &Node<'_>) -> Result<Built, Why> {
    for (options, field) in [(11, 0), (21, 0), (28, 0), (29, 0)] {
        node.plain(options, field)?;
    }
    let kind = node.of(0)?.kind;
    node.expect(1, kind)?;
    let (shape, walk, over) = walk(node)?;
    let (op, len) = (node.op, elements(&shape)?);
    let matrix = |of: &[usize]| {
        let (outer, last) = of.split_at(of.len().saturating_sub(2));
        last.len() == 2 && shape.ends_with(last) && outer.iter().all(|d| *d == 1)
    };
    let hint = (op == 0).then_some(Hint::Sum([matrix(node.shape(0)?), matrix(node.shape(1)?)]));
    let output = Type::new(kind, shape.clone());
    let built = match kind {
        Kind::F32 => job(node, output, over, move |x, outputs| {
            let pair = Pair::new(x, |i| x.f32(i))?;
            let out = super::node::f32_out(outputs, 0, len)?;
            let own = |o: f32| o;
            match op {
                0 => pair.run(&walk, out, own, |a, b| a + b),
                18 => pair.run(&walk, out, own, |a, b| a * b),
                41 => pair.run(&walk, out, own, |a, b| a - b),
                42 => pair.run(&walk, out, own, |a, b| a / b),
                55 => pair.run(&walk, out, own, greater),
                57 => pair.run(&walk, out, own, less),
                _ => pair.run(&walk, out, own, |a, b| (a - b) * (a - b)),
            }
            Ok(())
        }),
        Kind::I32 => job(node, output, over, move |x, outputs| {
            let pair = Pair::new(x, |i| x.i32(i))?;
            let out = first(outputs)?.i32_mut()?.get_mut(..len).ok_or("an output is too short")?;
            let own = |o: i32| o;
            match op {
                0 => pair.run(&walk, out, own, i32::wrapping_add),
                18 => pair.run(&walk, out, own, i32::wrapping_mul),
                41 => pair.run(&walk, out, own, i32::wrapping_sub),
                42 => pair.run(&walk, out, own, |a, b| a.checked_div(b).unwrap_or(0)),
                55 => pair.run(&walk, out, own, greater),
                57 => pair.run(&walk, out, own, less),
                _ => pair.run(&walk, out, own, |a, b| a.wrapping_sub(b).wrapping_mul(a.wrapping_sub(b))),
            }
            Ok(())
        }),
        other => Err(format!("operands of {other:?} are not supported")),
    }?;
    Ok(match hint {
        Some(hint) if kind == Kind::F32 => hinted(built, hint),
        _ => built,
    })
}

fn first(outputs: &mut [Buffer]) -> Result<&mut Buffer, Why> {
    outputs.first_mut().ok_or_else(|| "an output is missing".into())
}

/// GREATER, GREATER_EQUAL, LESS, LESS_EQUAL, EQUAL, NOT_EQUAL.
pub(super) fn compare(node: &Node<'_>) -> Result<Built, Why> {
    fn by<T: Copy + PartialOrd + Sync>(op: i32, pair: &Pair<'_, T>, walk: &Walk<2>, out: &mut [u8], own: fn(u8) -> T) {
        match op {
            61 => pair.run(walk, out, own, |a, b| u8::from(a > b)),
            62 => pair.run(walk, out, own, |a, b| u8::from(a >= b)),
            58 => pair.run(walk, out, own, |a, b| u8::from(a < b)),
            63 => pair.run(walk, out, own, |a, b| u8::from(a <= b)),
            71 => pair.run(walk, out, own, |a, b| u8::from(a == b)),
            _ => pair.run(walk, out, own, |a, b| u8::from(a != b)),
        }
    }
    let kind = node.of(0)?.kind;
    node.expect(1, kind)?;
    let (shape, walk, _) = walk(node)?;
    let (op, len) = (node.op, elements(&shape)?);
    if !matches!(kind, Kind::F32 | Kind::I32 | Kind::Bool) {
        return Err(format!("operands of {kind:?} are not supported"));
    }
    // The output never lies over an operand of another type, so nobody asks for an element of its own.
    job(node, Type::new(Kind::Bool, shape), vec![], move |x, outputs| {
        let out = first(outputs)?.bytes_mut()?.get_mut(..len).ok_or("an output is too short")?;
        match kind {
            Kind::F32 => by(op, &Pair::new(x, |i| x.f32(i))?, &walk, out, f32::from),
            Kind::I32 => by(op, &Pair::new(x, |i| x.i32(i))?, &walk, out, i32::from),
            _ => by(op, &Pair::new(x, |i| x.bytes(i))?, &walk, out, |o| o),
        }
        Ok(())
    })
}

/// LOGICAL_AND, LOGICAL_OR.
pub(super) fn logical(node: &Node<'_>) -> Result<Built, Why> {
    node.expect(0, Kind::Bool)?;
    node.expect(1, Kind::Bool)?;
    let (shape, walk, over) = walk(node)?;
    let (and, len) = (node.op == 86, elements(&shape)?);
    job(node, Type::new(Kind::Bool, shape), over, move |x, outputs| {
        let pair = Pair::new(x, |i| x.bytes(i))?;
        let out = first(outputs)?.bytes_mut()?.get_mut(..len).ok_or("an output is too short")?;
        pair.run(&walk, out, |o| o, |a, b| if and { a & b } else { a | b });
        Ok(())
    })
}

/// SELECT_V2 of floats.
pub(super) fn select(node: &Node<'_>) -> Result<Built, Why> {
    node.expect(0, Kind::Bool)?;
    node.expect(1, Kind::F32)?;
    node.expect(2, Kind::F32)?;
    let shape = broadcast(&broadcast(node.shape(0)?, node.shape(1)?)?, node.shape(2)?)?;
    let walk = Walk::broadcast(&shape, [node.shape(0)?, node.shape(1)?, node.shape(2)?]);
    let len = elements(&shape)?;
    job(node, Type::f32(shape), vec![], move |x, outputs| {
        let (which, yes, no) = (x.bytes(0)?, x.f32(1)?, x.f32(2)?);
        let [w, y, n] = walk.steps;
        walk.fill(super::node::f32_out(outputs, 0, len)?, |[at, yes_at, no_at], out| {
            for (i, out) in out.iter_mut().enumerate() {
                *out = if which[at + i * w] != 0 { yes[yes_at + i * y] } else { no[no_at + i * n] };
            }
        });
        Ok(())
    })
}
