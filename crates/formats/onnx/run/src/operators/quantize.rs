//! The standard quantization operators.

use super::layout::{self, around};
use super::node::{Const, Inputs, Node, Run, many, one};
use crate::tensor::{Data, Kind, Tensor, Why};
use std::sync::Arc;

/// A constant that is widened only where it must be: `(code - zero) * scale`.
pub(crate) struct Dequantized {
    pub codes: Tensor,
    pub scales: Tensor,
    pub zeros: Option<Tensor>,
    pub axis: usize,
    /// Elements under one scale along `axis`; 0 for one scale a slice, or one in all.
    pub block: usize,
    /// Bits of a code in the file.
    pub bits: usize,
}

impl Dequantized {
    /// For each element the place of its scale.
    fn place(&self) -> Result<impl Fn(usize) -> usize + use<>, Why> {
        let (shape, scales) = (&self.codes.shape, &self.scales.shape);
        let (outer, extent, inner) = if shape.is_empty() { (1, 1, 1) } else { around(shape, self.axis) };
        let blocks =
            extent.checked_div(self.block).unwrap_or(0) + usize::from(self.block > 0 && extent % self.block > 0);
        let count = self.scales.len();
        let (single, block) = (count == 1 && self.block == 0, self.block);
        let fits = single
            || (block == 0 && count == extent)
            || (block > 0 && scales.len() == shape.len() && count == outer * blocks * inner);
        if !fits || self.zeros.as_ref().is_some_and(|z| z.len() != count) {
            return Err(format!("scales {scales:?} for {shape:?} in blocks of {block} along axis {}", self.axis));
        }
        Ok(move |i: usize| match (single, block) {
            (true, _) => 0,
            (_, 0) => i / inner % extent,
            _ => (i / (extent * inner) * blocks + i / inner % extent / block) * inner + i % inner,
        })
    }

    pub fn load(&self) -> Result<Tensor, Why> {
        let place = self.place()?;
        let (codes, scales) = (self.codes.ints()?, self.scales.floats()?);
        let zeros = self.zeros.as_ref().map(Tensor::ints).transpose()?;
        let zero = |at: usize| zeros.as_ref().map_or(0, |z| z[at]);
        let value = |(i, code): (usize, &i64)| {
            let at = place(i);
            (code.wrapping_sub(zero(at))) as f32 * scales[at]
        };
        let out = codes.iter().enumerate().map(value).collect();
        Ok(Tensor::floats_of(self.scales.kind(), self.codes.shape.clone(), out))
    }
}

fn axis_of(node: &Node<'_>, rank: usize) -> Result<usize, Why> {
    let axis = node.int("axis", 1)?;
    // With a single scale the axis means nothing and may lie outside.
    Ok(layout::axis(axis, rank).unwrap_or(0))
}

/// A DequantizeLinear of constants, not widened yet.
pub(crate) fn constant(node: &Node<'_>) -> Result<Option<Dequantized>, Why> {
    let Some((codes, scales)) = node.constant(0).zip(node.constant(1)) else { return Ok(None) };
    if node.has(2) && node.constant(2).is_none() {
        return Ok(None);
    }
    let bits = match codes {
        Const::Stored(stored) if matches!(stored.kind, Kind::U4 | Kind::I4) => 4,
        _ => 8,
    };
    let source = Dequantized {
        axis: axis_of(node, codes.shape().len())?,
        block: node.size("block_size", Some(0))?,
        bits,
        codes: codes.load(),
        scales: scales.load(),
        zeros: node.constant(2).map(Const::load),
    };
    drop(source.place()?);
    Ok(Some(source))
}

/// DequantizeLinear: `(x - zero) * scale`, per tensor, per axis or per block.
pub(super) fn dequantize(node: &mut Node<'_>) -> Result<Run, Why> {
    let (axis, block) = (node.int("axis", 1)?, node.size("block_size", Some(0))?);
    one(move |mut inputs: Inputs, _| {
        let (codes, scales) = (inputs.take(0)?, inputs.take(1)?);
        let axis = layout::axis(axis, codes.shape.len()).unwrap_or(0);
        Dequantized { codes, scales, zeros: inputs.take(2).ok(), axis, block, bits: 8 }.load()
    })
}

/// QuantizeLinear to 8 bits: `round(x / scale) + zero`, cut to the range; unsigned without a zero point.
pub(super) fn quantize(node: &mut Node<'_>) -> Result<Run, Why> {
    let (axis, block) = (node.int("axis", 1)?, node.size("block_size", Some(0))?);
    let signed = node.int("output_dtype", 0)? == 3;
    one(move |mut inputs: Inputs, _| {
        let (x, scales, zeros) = (inputs.take(0)?, inputs.take(1)?, inputs.take(2).ok());
        let signed = zeros.as_ref().map_or(signed, |z| z.kind() == Kind::I8);
        let axis = layout::axis(axis, x.shape.len()).unwrap_or(0);
        let form = Dequantized { codes: x, scales, zeros, axis, block, bits: 8 };
        let place = form.place()?;
        let (values, scales) = (form.codes.floats()?, form.scales.floats()?);
        let zeros = form.zeros.as_ref().map(Tensor::ints).transpose()?;
        let code = |(i, x): (usize, &f32), low: f32, high: f32| {
            let at = place(i);
            let zero = zeros.as_ref().map_or(0, |z| z[at]) as f32;
            ((x / scales[at]).round_ties_even() + zero).clamp(low, high)
        };
        let each = values.iter().enumerate();
        let data = if signed {
            Data::I8(Arc::new(each.map(|x| code(x, -128.0, 127.0) as i8).collect()))
        } else {
            Data::U8(Arc::new(each.map(|x| code(x, 0.0, 255.0) as u8).collect()))
        };
        Ok(Tensor::new(form.codes.shape.clone(), data))
    })
}

/// DynamicQuantizeLinear: one unsigned 8-bit scale for the whole tensor, the range widened to hold 0.
pub(super) fn dynamic(_: &mut Node<'_>) -> Result<Run, Why> {
    many(|inputs: Inputs, _| {
        let x = inputs.get(0)?;
        let values = x.floats()?;
        let low = values.iter().fold(0.0_f32, |m, v| if *v < m { *v } else { m });
        let high = values.iter().fold(0.0_f32, |m, v| if *v > m { *v } else { m });
        let scale = if high == low { 1.0 } else { (high - low) / 255.0 };
        let zero = (-low / scale).round_ties_even().clamp(0.0, 255.0);
        let codes = values.iter().map(|v| ((v / scale).round_ties_even() + zero).clamp(0.0, 255.0) as u8).collect();
        Ok(vec![
            Tensor::new(x.shape.clone(), Data::U8(Arc::new(codes))),
            Tensor::f32(vec![], vec![scale]),
            Tensor::new(vec![], Data::U8(Arc::new(vec![zero as u8]))),
        ])
    })
}
