//! `com.microsoft` MatMulNBits, and the standard pair DequantizeLinear and MatMul that means the same.

use super::block_rows::BlockRows;
use super::blocks::{BlockWeights, Form, Zeros};
use super::matmul::product_shape;
use super::node::{Const, Context, Inputs, Node, Run, one};
use super::quantize::Dequantized;
use crate::tensor::{Data, Kind, Tensor, Why};
use lfmq_core::Activation;
use lfmq_interpreter::Laid;
use std::sync::Arc;

pub(super) fn build(node: &mut Node<'_>) -> Result<Run, Why> {
    node.without(&[4])?;
    node.only("weight_prepacked", 0)?;
    let (bits, block) = (node.size("bits", Some(4))?, node.size("block_size", None)?);
    let form = Form::new(node.size("N", None)?, node.size("K", None)?, bits, block)?;
    let floats = match node.constant(3) {
        Some(Const::Stored(stored)) => stored.kind.is_float(),
        _ => false,
    };
    // The path with float zero points never rounds activations.
    let rounded = node.options.activation == Activation::Runtime && node.int("accuracy_level", 0)? == 4 && !floats;
    note_weights(node, (form.rows * form.cols) as u64, 1, &[2, 3]);

    let known = [1, 2, 3].iter().all(|i| !node.has(*i) || node.constant(*i).is_some());
    if !known {
        return one(move |inputs: Inputs, context| {
            let weights = lay_out(form, bytes(inputs.get(1)?)?, inputs.get(2)?, inputs.opt(3))?;
            multiply(&inputs, (form, &Laid::Out(Arc::new(weights))), rounded, inputs.opt(5), context)
        });
    }
    if let Some(rows) = stored_rows(node, form, [1, 2, 3])? {
        node.hold_blocks(1, 2, &rows);
    }
    let codes = node.must_be_constant(1)?.clone().into_stored();
    let (scales, zeros) = (node.must_be_constant(2)?.clone(), node.constant(3).cloned());
    if codes.kind != Kind::U8 {
        return Err(format!("packed codes as {:?}", codes.kind));
    }
    let make = move || lay_out(form, codes.bytes(), &scales.load(), zeros.as_ref().map(Const::load).as_ref());
    let weights = node.lay(form.laid_out(node.has(3)), make)?;
    [1, 2, 3].into_iter().for_each(|i| node.consume(i));
    node.by_row = node.values() == 1;
    one(move |inputs: Inputs, context| multiply(&inputs, (form, &weights), rounded, inputs.opt(5), context))
}

/// The constants of inputs `codes`, `scales` and `zeros` as the file has them; `None` where it has no codes.
pub(super) fn stored_rows(node: &Node<'_>, form: Form, inputs: [usize; 3]) -> Result<Option<Arc<BlockRows>>, Why> {
    let [Some(Const::Stored(codes)), Some(scales), zeros] = inputs.map(|i| node.constant(i).cloned()) else {
        return Ok(None);
    };
    let rows = BlockRows::new(form, codes, scales.into_stored(), zeros.map(Const::into_stored))?;
    Ok(Some(Arc::new(rows)))
}

/// Tells how many weights input `codes` stands for, and that the other inputs are none.
pub(super) fn note_weights(node: &mut Node<'_>, weights: u64, codes: usize, others: &[usize]) {
    let place = |node: &Node<'_>, i: usize| match node.constant(i) {
        Some(Const::Stored(stored)) => Some(stored.place()),
        _ => None,
    };
    if let Some(place) = place(node, codes) {
        node.weights.insert(place, weights);
    }
    for i in others {
        if let Some(place) = place(node, *i) {
            node.weights.insert(place, 0);
        }
    }
}

pub(super) fn bytes(tensor: &Tensor) -> Result<&[u8], Why> {
    match &tensor.data {
        Data::U8(bytes) => Ok(bytes),
        other => Err(format!("packed codes as {:?}", other.kind())),
    }
}

pub(super) fn lay_out(form: Form, codes: &[u8], scales: &Tensor, zeros: Option<&Tensor>) -> Result<BlockWeights, Why> {
    let wide;
    let zeros = match zeros {
        None => Zeros::Middle,
        Some(zeros) if zeros.kind().is_float() => {
            wide = zeros.floats()?;
            Zeros::Floats(&wide)
        }
        Some(zeros) => Zeros::Packed(bytes(zeros)?),
    };
    BlockWeights::new(form, codes, &scales.floats()?, zeros)
}

fn multiply(
    inputs: &Inputs,
    (form, weights): (Form, &Laid<BlockWeights>),
    rounded: bool,
    bias: Option<&Tensor>,
    context: &Context,
) -> Result<Tensor, Why> {
    let x = inputs.get(0)?;
    let shape = product_shape(x, form.cols, form.rows, context.limit)?;
    let mut out = Vec::new();
    if x.len() > 0 {
        let weights = weights.get()?;
        out = if rounded {
            weights.multiply_rounded(&*context.rounded.of(x, &weights)?, context.kernels)?
        } else {
            weights.multiply(&x.floats()?, context.kernels)?
        };
    }
    if let Some(bias) = bias {
        if bias.len() != form.rows {
            return Err(format!("a bias of {:?} for {} outputs", bias.shape, form.rows));
        }
        lfmq_ops::conv::add_bias(&mut out, Some(&bias.floats()?));
    }
    Ok(Tensor::floats_of(x.kind(), shape, out))
}

/// The same product when the right side of a MatMul is a constant that DequantizeLinear makes block by block along its
/// first axis. ONNX Runtime fuses the two at level 4.
pub(super) fn of_blocks(node: &mut Node<'_>) -> Result<Option<Run>, Why> {
    let Some(Const::Dequantized(source)) = node.constant(1) else { return Ok(None) };
    let Some((form, weights)) = in_blocks(source)? else { return Ok(None) };
    let (rounded, weights) = (node.options.activation == Activation::Runtime, Laid::Out(Arc::new(weights)));
    node.consume(1);
    one(move |inputs: Inputs, context| multiply(&inputs, (form, &weights), rounded, None, context)).map(Some)
}

/// Blocks of `[K, N]` along K, turned to rows. Signed codes are moved up to the unsigned ones of the same meaning.
fn in_blocks(source: &Dequantized) -> Result<Option<(Form, BlockWeights)>, Why> {
    let [k, n] = *source.codes.shape else { return Ok(None) };
    let up: i64 = match (source.codes.kind(), source.bits) {
        (Kind::U8, _) => 0,
        (Kind::I8, 4) => 8,
        (Kind::I8, _) => 128,
        _ => return Ok(None),
    };
    let fits = source.axis == 0 && source.block >= 16 && k > 0 && k.is_multiple_of(source.block);
    if !fits || source.scales.shape != [k / source.block, n] {
        return Ok(None);
    }
    let form = Form::new(n, k, source.bits, source.block)?;
    let scales = source.scales.floats()?;
    let zeros = source.zeros.as_ref().map(Tensor::ints).transpose()?;
    if zeros.as_ref().is_some_and(|z| z.len() != scales.len()) {
        return Err("zero points and scales differ in number".into());
    }
    let codes: Vec<u8> = source.codes.ints()?.iter().map(|c| (c + up) as u8).collect();
    let zero = |row: usize, block: usize| (zeros.as_ref().map_or(0, |z| z[block * n + row]) + up) as f32;
    let column = |row: usize, out: &mut [u8]| out.iter_mut().enumerate().for_each(|(i, c)| *c = codes[i * n + row]);
    Ok(Some((form, BlockWeights::from_codes(form, column, |row, b| scales[b * n + row], zero))))
}
