//! Convolutions over time, one channel at a time.

use super::node::{Inputs, Node, Run, many, one};
use super::unary;
use crate::tensor::{Tensor, Why, elements};
use rayon::prelude::*;

/// Depthwise cross-correlation of `x [B, C, T]` with `w [C, 1, L]` without padding: `[B, C, T - L + 1]`. Taps are added
/// from the oldest to the newest, each product and sum rounded, then the bias.
fn depthwise(x: &Tensor, w: &Tensor, bias: Option<&Tensor>, dilation: usize, limit: usize) -> Result<Tensor, Why> {
    let ([b, c, t], [c_w, 1, taps]) = (&*x.shape, &*w.shape) else {
        return Err(format!("taps {:?} over {:?}: only one channel at a time along one axis", w.shape, x.shape));
    };
    let reach = taps.checked_sub(1).and_then(|n| n.checked_mul(dilation)).ok_or("no taps")?;
    if c != c_w || *t < reach {
        return Err(format!("taps {:?} over {:?}", w.shape, x.shape));
    }
    let length = t - reach;
    let n = elements(&[*b, *c, length], limit)?;
    let (values, w) = (x.floats()?, w.floats()?);
    let bias = bias.map(Tensor::floats).transpose()?;
    if bias.as_ref().is_some_and(|bias| bias.len() != *c) {
        return Err(format!("a bias that is not [{c}]"));
    }
    let mut out = vec![0.0; n];
    if n > 0 {
        out.par_chunks_mut(length).enumerate().for_each(|(row, out)| {
            let (x, channel) = (&values[row * t..(row + 1) * t], row % c);
            for (j, tap) in w[channel * taps..(channel + 1) * taps].iter().enumerate() {
                for (o, x) in out.iter_mut().zip(&x[j * dilation..]) {
                    *o += tap * x;
                }
            }
            if let Some(bias) = &bias {
                out.iter_mut().for_each(|o| *o += bias[channel]);
            }
        });
    }
    Ok(Tensor::floats_of(x.kind(), vec![*b, *c, length], out))
}

/// Conv, as far as it is depthwise, along one axis, of stride 1; padding with zeros on either side.
pub(super) fn build(node: &mut Node<'_>) -> Result<Run, Why> {
    if node.text("auto_pad", "NOTSET")? != "NOTSET" {
        return Err("auto_pad is not supported".into());
    }
    if node.ints("strides")?.is_some_and(|s| s.iter().any(|s| *s != 1)) {
        return Err("a stride is not supported".into());
    }
    let dilation = match node.ints("dilations")?.as_deref() {
        None => 1,
        Some([one]) => super::layout::size(*one, "a dilation")?,
        Some(other) => return Err(format!("dilations {other:?}")),
    };
    let pads = match node.ints("pads")?.as_deref() {
        None => (0, 0),
        Some([before, after]) => (super::layout::size(*before, "a pad")?, super::layout::size(*after, "a pad")?),
        Some(other) => return Err(format!("pads {other:?}")),
    };
    let group = node.size("group", Some(1))?;
    one(move |inputs: Inputs, context| {
        let (x, w) = (inputs.get(0)?, inputs.get(1)?);
        if w.shape.first() != Some(&group) {
            return Err(format!("{group} groups of {:?}: only one channel at a time", w.shape));
        }
        let padded = if pads == (0, 0) { None } else { Some(pad(x, pads, context.limit)?) };
        depthwise(padded.as_ref().unwrap_or(x), w, inputs.opt(2), dilation, context.limit)
    })
}

/// Zeros before and after along the last axis.
fn pad(x: &Tensor, (before, after): (usize, usize), limit: usize) -> Result<Tensor, Why> {
    let mut shape = x.shape.clone();
    let Some(last) = shape.last_mut() else { return Err("a scalar".into()) };
    let t = *last;
    *last = t.saturating_add(before).saturating_add(after);
    let (wide, n) = (*last, elements(&shape, limit)?);
    let (values, mut out) = (x.floats()?, vec![0.0; n]);
    if t > 0 {
        for (from, to) in values.chunks_exact(t).zip(out.chunks_exact_mut(wide)) {
            to[before..before + t].copy_from_slice(from);
        }
    }
    Ok(Tensor::floats_of(x.kind(), shape, out))
}

/// CausalConvWithState: a depthwise convolution of `past` followed by the input; the last columns are the state.
pub(super) fn causal(node: &mut Node<'_>) -> Result<Run, Why> {
    node.only("ndim", 1)?;
    let last = node.int("channels_last", 0)? != 0;
    let dilation = node.size("dilation", Some(1))?;
    let silu = match node.text("activation", "none")? {
        "none" => false,
        "silu" | "swish" => true,
        other => return Err(format!("activation {other} is not supported")),
    };
    many(move |inputs: Inputs, context| {
        let turned = |t: &Tensor| if last { super::transpose::permute(t, &[0, 2, 1]) } else { Ok(t.clone()) };
        let (x, w) = (turned(inputs.get(0)?)?, inputs.get(1)?);
        let ([b, c, _], [_, _, taps]) = (&*x.shape, &*w.shape) else {
            return Err(format!("taps {:?} over {:?}", w.shape, x.shape));
        };
        let width = taps.saturating_sub(1).saturating_mul(dilation);
        let past = match inputs.opt(3) {
            Some(past) => turned(past)?,
            None => {
                let n = elements(&[*b, *c, width], context.limit)?;
                Tensor::floats_of(x.kind(), vec![*b, *c, width], vec![0.0; n])
            }
        };
        if past.shape != [*b, *c, width] {
            return Err(format!("a state of {:?} before {:?}", past.shape, x.shape));
        }
        let all = super::concat::concat(vec![past, x], 2, context.limit)?;
        let mut y = depthwise(&all, w, inputs.opt(2), dilation, context.limit)?;
        if silu {
            y = unary::silu(y, context)?;
        }
        let end = all.shape[2];
        let present = super::concat::cut(&all, 2, end - width, end);
        Ok(vec![turned(&y)?, turned(&present)?])
    })
}
