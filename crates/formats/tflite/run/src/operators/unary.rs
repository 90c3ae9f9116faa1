//! Functions of one element.

use super::layout::GRAIN;
use super::node::{Built, Node, f32_out, job};
use crate::tensor::{Kind, Why};
use lfmq_kernels::Kernels;
use rayon::prelude::*;

/// ABS, COS, EXP, LOG, LOGISTIC, NEG, RELU, RSQRT, SIN, SQRT, SQUARE, TANH of floats.
pub(super) fn build(node: &Node<'_>) -> Result<Built, Why> {
    let of = node.expect(0, Kind::F32)?.clone();
    let (len, f, kernels) = (of.len(), function(node.op), node.kernels());
    job(node, of, vec![0], move |x, outputs| {
        let out = f32_out(outputs, 0, len)?;
        let from = if x.over.is_some() { None } else { Some(x.f32(0)?) };
        out.par_chunks_mut(GRAIN).enumerate().for_each(|(i, out)| {
            if let Some(from) = from {
                out.copy_from_slice(&from[i * GRAIN..][..out.len()]);
            }
            f(out, kernels);
        });
        Ok(())
    })
}

type Function = fn(&mut [f32], &Kernels);

fn function(op: i32) -> Function {
    macro_rules! each {
        ($f:expr) => {
            |v, _| {
                let f: fn(f32) -> f32 = $f;
                v.iter_mut().for_each(|x| *x = f(*x));
            }
        };
    }
    match op {
        14 => |v, kernels| (kernels.sigmoid_f32)(v),
        47 => |v, kernels| (kernels.exp_f32)(v),
        66 => each!(libm::sinf),
        108 => each!(libm::cosf),
        76 => |v, _| v.iter_mut().for_each(|x| *x = 1.0 / x.sqrt()),
        75 => |v, _| v.iter_mut().for_each(|x| *x = x.sqrt()),
        92 => |v, _| v.iter_mut().for_each(|x| *x *= *x),
        59 => |v, _| v.iter_mut().for_each(|x| *x = -*x),
        101 => |v, _| v.iter_mut().for_each(|x| *x = x.abs()),
        19 => |v, _| v.iter_mut().for_each(|x| *x = if *x < 0.0 { 0.0 } else { *x }),
        73 => each!(libm::logf),
        _ => each!(libm::tanhf),
    }
}

/// LOGICAL_NOT.
pub(super) fn not(node: &Node<'_>) -> Result<Built, Why> {
    let of = node.expect(0, Kind::Bool)?.clone();
    let len = of.len();
    job(node, of, vec![], move |x, outputs| {
        let out = outputs.first_mut().ok_or("an output is missing")?.bytes_mut()?;
        out.iter_mut().zip(x.bytes(0)?).take(len).for_each(|(o, b)| *o = u8::from(*b == 0));
        Ok(())
    })
}
