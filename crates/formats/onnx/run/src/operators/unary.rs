//! Functions of one tensor, element by element.

use super::elementwise::integers_as;
use super::node::{Inputs, Node, Run, one};
use crate::tensor::{Kind, Tensor, Why};
use lfmq_kernels::Kernels;

type Apply = Box<dyn Fn(&mut [f32], &Kernels) + Send + Sync>;

fn each(f: fn(f32) -> f32) -> Apply {
    Box::new(move |x, _| x.iter_mut().for_each(|x| *x = f(*x)))
}

/// `x / (1 + e^(-alpha x))`.
fn swish(alpha: f32) -> Apply {
    Box::new(move |x, kernels| {
        let mut gate: Vec<f32> = x.iter().map(|x| alpha * x).collect();
        (kernels.sigmoid_f32)(&mut gate);
        x.iter_mut().zip(gate).for_each(|(x, g)| *x *= g);
    })
}

/// All functions that keep shape and type. Transcendental ones are ours or taken in f64 and rounded: the platform's
/// differ between machines.
pub(super) fn build(node: &mut Node<'_>) -> Result<Run, Why> {
    let op = node.op();
    node.by_row = true;
    let apply = match op {
        "Identity" => return one(|mut inputs: Inputs, _| inputs.take(0)),
        "Not" => return one(not),
        "Abs" => each(f32::abs),
        "Ceil" => each(f32::ceil),
        "Cos" => each(|x| libm::cos(f64::from(x)) as f32),
        "Erf" => each(|x| libm::erf(f64::from(x)) as f32),
        "Exp" => Box::new(|x: &mut [f32], kernels: &Kernels| (kernels.exp_f32)(x)),
        "Floor" => each(f32::floor),
        "Log" => each(|x| libm::log(f64::from(x)) as f32),
        "Neg" => each(|x| -x),
        "QuickGelu" => swish(node.float("alpha", 1.702)?),
        "Reciprocal" => each(|x| 1.0 / x),
        "Relu" => each(|x| if x < 0.0 { 0.0 } else { x }),
        "Round" => each(f32::round_ties_even),
        "Sigmoid" => Box::new(|x: &mut [f32], kernels: &Kernels| (kernels.sigmoid_f32)(x)),
        "Sign" => each(|x| {
            if x > 0.0 {
                1.0
            } else if x < 0.0 {
                -1.0
            } else {
                x * 0.0
            }
        }),
        "Sin" => each(|x| libm::sin(f64::from(x)) as f32),
        "Sqrt" => each(f32::sqrt),
        "Swish" => swish(node.float("alpha", 1.0)?),
        "Tanh" => each(|x| libm::tanh(f64::from(x)) as f32),
        other => return Err(format!("no function {other}")),
    };
    let of_integers: Option<fn(i64) -> i64> = match op {
        "Abs" => Some(i64::wrapping_abs),
        "Neg" => Some(i64::wrapping_neg),
        "Relu" => Some(|x| x.max(0)),
        "Sign" => Some(i64::signum),
        _ => None,
    };
    one(move |mut inputs: Inputs, context| {
        let x = inputs.take(0)?;
        let (kind, shape) = (x.kind(), x.shape.clone());
        match of_integers {
            Some(f) if !kind.is_float() => {
                let values = x.ints()?.iter().map(|v| f(*v)).collect();
                Ok(Tensor::new(shape, integers_as(kind, values)?))
            }
            _ => {
                let mut values = x.into_floats()?;
                apply(&mut values, context.kernels);
                Ok(Tensor::floats_of(kind, shape, values))
            }
        }
    })
}

fn not(inputs: Inputs, _: &super::Context) -> Result<Tensor, Why> {
    let x = inputs.get(0)?;
    Ok(Tensor::bool(x.shape.clone(), x.bools()?.iter().map(|b| !b).collect()))
}

/// Clip: bounds are optional inputs.
pub(super) fn clip(_: &mut Node<'_>) -> Result<Run, Why> {
    one(|mut inputs: Inputs, _| {
        let x = inputs.take(0)?;
        let (kind, shape) = (x.kind(), x.shape.clone());
        if matches!(kind, Kind::F32 | Kind::F16) {
            let bound = |i: usize, none: f32| -> Result<f32, Why> {
                let Some(bound) = inputs.opt(i) else { return Ok(none) };
                bound.floats()?.first().copied().ok_or_else(|| "an empty bound".into())
            };
            let (low, high) = (bound(1, f32::NEG_INFINITY)?, bound(2, f32::INFINITY)?);
            let mut values = x.into_floats()?;
            for v in &mut values {
                *v = if *v < low { low } else { *v };
                *v = if *v > high { high } else { *v };
            }
            return Ok(Tensor::floats_of(kind, shape, values));
        }
        let bound = |i: usize, none: i64| inputs.opt(i).map_or(Ok(none), Tensor::int);
        let (low, high) = (bound(1, i64::MIN)?, bound(2, i64::MAX)?);
        let values = x.ints()?.iter().map(|v| (*v).max(low).min(high)).collect();
        Ok(Tensor::new(shape, integers_as(kind, values)?))
    })
}

/// `x / (1 + e^-x)`.
pub(super) fn silu(x: Tensor, context: &super::Context) -> Result<Tensor, Why> {
    let (kind, shape) = (x.kind(), x.shape.clone());
    let mut values = x.into_floats()?;
    swish(1.0)(&mut values, context.kernels);
    Ok(Tensor::floats_of(kind, shape, values))
}
