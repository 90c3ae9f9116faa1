//! `com.microsoft` QMoE: routing and quantized experts in one node.

use super::blocks::{BlockWeights, Form};
use super::matmul_nbits::{bytes, lay_out, note_weights, stored_rows};
use super::node::{Const, Context, Inputs, Node, Run, one};
use crate::held::{Held, common_name};
use crate::tensor::{Data, Tensor, Why};
use lfmq_core::{Activation, stack_members};
use lfmq_kernels::Kernels;
use std::sync::Arc;

/// How a token's gate and up become what enters the second product.
#[derive(Clone, Copy)]
struct Swiglu {
    alpha: f32,
    beta: f32,
    limit: f32,
    /// Rows g0, u0, g1, u1, ..; else all gates, then all ups.
    interleaved: bool,
}

struct Experts {
    k: usize,
    normalize: bool,
    swiglu: Swiglu,
    /// Activations become 8-bit codes in front of every product.
    rounded: bool,
    experts: Vec<Expert>,
}

struct Expert {
    first: BlockWeights,
    first_bias: Vec<f32>,
    second: BlockWeights,
    second_bias: Vec<f32>,
}

pub(super) fn build(node: &mut Node<'_>) -> Result<Run, Why> {
    node.without(&[8, 9, 10, 13])?;
    let activation = node.text("activation_type", "relu")?.to_owned();
    let fusion = node.int("swiglu_fusion", 0)?;
    if activation != "swiglu" || !matches!(fusion, 1 | 2) {
        return Err(format!("activation {activation} with swiglu_fusion {fusion} is not supported"));
    }
    if node.int("weights_prepacked", 0)? == 1 {
        return Err("weights packed for another device are not supported".into());
    }
    let bits = node.size("expert_weight_bits", Some(4))?;
    let swiglu = Swiglu {
        alpha: node.float("activation_alpha", 1.0)?,
        beta: node.float("activation_beta", 0.0)?,
        limit: node.float("swiglu_limit", f32::INFINITY)?,
        interleaved: fusion == 1,
    };
    let level = node.int("accuracy_level", 0)?;
    let rounded = node.options.activation == Activation::Runtime && (level == 4 || bits == 8);
    let op = Experts {
        k: node.size("k", Some(1))?,
        normalize: node.int("normalize_routing_weights", 0)? != 0,
        swiglu,
        rounded,
        experts: experts(node, bits)?,
    };
    for i in [2, 3, 4, 5, 6, 7, 11, 12] {
        node.consume(i);
    }
    one(move |inputs, context| op.run(&inputs, context))
}

/// Cuts the stacks into experts and lays each out.
fn experts(node: &mut Node<'_>, bits: usize) -> Result<Vec<Expert>, Why> {
    let block = node.size("block_size", Some(0))?;
    let mut stacks = Vec::new();
    for (codes, bias, zeros) in [(2, 4, 11), (5, 7, 12)] {
        let shape = node.must_be_constant(codes)?.shape().to_vec();
        let [e, rows, packed] = *shape else { return Err(format!("experts of shape {shape:?}")) };
        let cols = packed.saturating_mul(8) / bits.max(1);
        let form = Form::new(rows, cols, bits, if block == 0 { cols } else { block })?;
        hold(node, (e, form), [codes, codes + 1, zeros])?;
        note_weights(node, e.saturating_mul(rows).saturating_mul(cols) as u64, codes, &[codes + 1, zeros]);
        let load = |i: usize| node.constant(i).map(Const::load);
        let scales = load(codes + 1).ok_or("no scales")?;
        let (zeros, bias) = (load(zeros), load(bias));
        let stack = load(codes).ok_or("no experts")?;
        let weights = (0..e)
            .map(|i| {
                let part = |t: &Tensor| slice(t, i, e);
                let zeros = zeros.as_ref().map(part).transpose()?;
                let weights = lay_out(form, bytes(&part(&stack)?)?, &part(&scales)?, zeros.as_ref())?;
                let bias = bias.as_ref().map(part).transpose()?.map_or(Ok(Vec::new()), Tensor::into_floats)?;
                if !bias.is_empty() && bias.len() != rows {
                    return Err(format!("a bias of {} for {rows} outputs", bias.len()));
                }
                Ok((weights, bias))
            })
            .collect::<Result<Vec<_>, Why>>()?;
        stacks.push(weights);
    }
    let (second, first) = (stacks.pop().unwrap_or_default(), stacks.pop().unwrap_or_default());
    if first.len() != second.len() {
        return Err(format!("{} experts, then {}", first.len(), second.len()));
    }
    let pairs = first.into_iter().zip(second);
    pairs
        .map(|((first, first_bias), (second, second_bias))| {
            if first.rows() != 2 * second.cols() {
                return Err(format!("{} outputs into {} inputs", first.rows(), second.cols()));
            }
            Ok(Expert { first, first_bias, second, second_bias })
        })
        .collect()
}

/// Tells of the experts of a stack, each a tensor of its own. If its name names twice as many, each is two: a gate and an
/// up, whose rows alternate or follow each other.
fn hold(node: &mut Node<'_>, (count, form): (usize, Form), inputs: [usize; 3]) -> Result<(), Why> {
    let all = Form { rows: form.rows.saturating_mul(count), ..form };
    let Some(rows) = stored_rows(node, all, inputs)? else { return Ok(()) };
    let name = common_name(node.input(inputs[0]), node.input(inputs[1])).to_owned();
    let mut members = stack_members(&name);
    if members.len() != count && members.len() != 2 * count {
        members = (0..count).map(|e| format!("{name}[{e}]")).collect();
    }
    let parts = members.len() / count.max(1);
    let alternate = node.int("swiglu_fusion", 0)? == 1;
    for (i, member) in members.iter().enumerate() {
        let (expert, part, each) = (i / parts, i % parts, form.rows / parts);
        let (first, step) = if alternate { (part, parts) } else { (part * each, 1) };
        node.held.push(Held::part(member, &rows, (expert * form.rows + first, step), each));
    }
    Ok(())
}

/// Part `i` of `count` along the first axis.
fn slice(stack: &Tensor, i: usize, count: usize) -> Result<Tensor, Why> {
    if stack.shape.first() != Some(&count) {
        return Err(format!("{:?} for {count} experts", stack.shape));
    }
    let each = stack.len() / count;
    let span = i * each..(i + 1) * each;
    let data = match &stack.data {
        Data::U8(v) => Data::U8(Arc::new(v[span].to_vec())),
        _ => Data::F32(Arc::new(stack.floats()?[span].to_vec())),
    };
    Ok(Tensor::new(stack.shape[1..].to_vec(), data))
}

impl Experts {
    fn run(&self, inputs: &Inputs, context: &Context) -> Result<Tensor, Why> {
        let (x, router) = (inputs.get(0)?, inputs.get(1)?);
        let (count, width) = (self.experts.len(), self.experts.first().map_or(0, |e| e.first.cols()));
        let tokens = x.len().checked_div(width).unwrap_or(0);
        let mixing = inputs.opt(14);
        let fits = |t: &Tensor| t.shape.last() == Some(&count) && t.len() == tokens * count;
        if x.shape.last() != Some(&width) || !fits(router) || !mixing.is_none_or(fits) || self.k > count {
            return Err(format!("router {:?} for {:?} and {count} experts, k {}", router.shape, x.shape, self.k));
        }
        let (values, logits) = (x.floats()?, router.floats()?);
        let mixing = mixing.map(Tensor::floats).transpose()?;
        let mut groups: Vec<Vec<(usize, f32)>> = vec![Vec::new(); count];
        for t in 0..tokens {
            let row = t * count..(t + 1) * count;
            let mixing = mixing.as_ref().map(|m| &m[row.clone()]);
            for (expert, weight) in self.route(&logits[row.clone()], mixing, context.kernels) {
                groups[expert].push((t, weight));
            }
        }
        let mut out = vec![0.0; tokens * width];
        for (expert, group) in self.experts.iter().zip(&groups).filter(|(_, group)| !group.is_empty()) {
            let gathered: Vec<f32> =
                group.iter().flat_map(|(t, _)| &values[t * width..(t + 1) * width]).copied().collect();
            let y = self.feed(expert, &gathered, context.kernels)?;
            for ((t, weight), y) in group.iter().zip(y.chunks_exact(width)) {
                out[t * width..(t + 1) * width].iter_mut().zip(y).for_each(|(o, y)| *o += weight * y);
            }
        }
        Ok(Tensor::floats_of(x.kind(), x.shape.clone(), out))
    }

    /// The k experts of greatest `logits` with their weights: softmax over the chosen, or what `mixing` says.
    fn route(&self, logits: &[f32], mixing: Option<&[f32]>, kernels: &Kernels) -> Vec<(usize, f32)> {
        let mut order: Vec<usize> = (0..logits.len()).collect();
        order.sort_by(|a, b| logits[*b].total_cmp(&logits[*a]));
        order.truncate(self.k);
        let mut weights: Vec<f32> = order.iter().map(|e| mixing.unwrap_or(logits)[*e]).collect();
        if mixing.is_none() {
            (kernels.softmax_f32)(&mut weights);
        } else if self.normalize {
            let sum: f32 = weights.iter().sum();
            weights.iter_mut().for_each(|w| *w /= sum);
        }
        order.into_iter().zip(weights).collect()
    }

    fn feed(&self, expert: &Expert, x: &[f32], kernels: &Kernels) -> Result<Vec<f32>, Why> {
        let product = |w: &BlockWeights, x: &[f32]| {
            if self.rounded { w.multiply_rounded(&w.round(x), kernels) } else { w.multiply(x, kernels) }
        };
        let mut both = product(&expert.first, x)?;
        lfmq_ops::conv::add_bias(&mut both, Some(&expert.first_bias));
        let half = expert.second.cols();
        let Swiglu { alpha, beta, limit, interleaved } = self.swiglu;
        let mut mixed = Vec::with_capacity(both.len() / 2);
        for row in both.chunks_exact(2 * half) {
            let (gate, up): (Vec<f32>, Vec<f32>) = if interleaved {
                row.as_chunks::<2>().0.iter().map(|[g, u]| (*g, *u)).unzip()
            } else {
                (row[..half].to_vec(), row[half..].to_vec())
            };
            let gate: Vec<f32> = gate.into_iter().map(|g| g.min(limit)).collect();
            let mut open: Vec<f32> = gate.iter().map(|g| alpha * g).collect();
            (kernels.sigmoid_f32)(&mut open);
            let up = up.iter().map(|u| u.clamp(-limit, limit) + beta);
            mixed.extend(gate.iter().zip(open).zip(up).map(|((g, o), u)| g * o * u));
        }
        let mut out = product(&expert.second, &mixed)?;
        lfmq_ops::conv::add_bias(&mut out, Some(&expert.second_bias));
        Ok(out)
    }
}
