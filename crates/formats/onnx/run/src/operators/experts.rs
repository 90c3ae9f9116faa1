//! `com.microsoft` QMoE: routing and quantized experts in one node.

use super::blocks::{BlockWeights, Form};
use super::matmul_nbits::{lay_out, note_weights, stored_rows};
use super::node::{Const, Context, Inputs, Node, Run, one};
use crate::held::{Held, common_name};
use crate::stored::Stored;
use crate::tensor::{Kind, Tensor, Why};
use lfmq_core::{Activation, stack_members};
use lfmq_interpreter::Laid;
use lfmq_kernels::Kernels;

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
    /// Columns of the first product and of the second.
    widths: [usize; 2],
    experts: Vec<Expert>,
}

/// Both products of an expert.
type Expert = [Laid<Half>; 2];

/// One product of an expert.
struct Half {
    weights: BlockWeights,
    /// Empty without one.
    bias: Vec<f32>,
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
    // Those that no token is sent to have nothing to do.
    node.idles = true;
    let ([first, second], experts) = experts(node, bits)?;
    let op = Experts {
        k: node.size("k", Some(1))?,
        normalize: node.int("normalize_routing_weights", 0)? != 0,
        swiglu,
        rounded,
        widths: [first.cols, second.cols],
        experts,
    };
    for i in [2, 3, 4, 5, 6, 7, 11, 12] {
        node.consume(i);
    }
    one(move |inputs, context| op.run(&inputs, context))
}

/// Cuts both stacks into experts; also tells what a matrix of each is.
fn experts(node: &mut Node<'_>, bits: usize) -> Result<([Form; 2], Vec<Expert>), Why> {
    let (form, first) = stack(node, bits, [2, 3, 11, 4])?;
    let (other, second) = stack(node, bits, [5, 6, 12, 7])?;
    if first.len() != second.len() {
        return Err(format!("{} experts, then {}", first.len(), second.len()));
    }
    if form.rows != other.cols.saturating_mul(2) {
        return Err(format!("{} outputs into {} inputs", form.rows, other.cols));
    }
    Ok(([form, other], first.into_iter().zip(second).map(|(first, second)| [first, second]).collect()))
}

/// The experts in inputs `codes`, `scales`, `zeros` and `bias`, to be laid out.
fn stack(node: &mut Node<'_>, bits: usize, inputs: [usize; 4]) -> Result<(Form, Vec<Laid<Half>>), Why> {
    let [codes, scales, zeros, _] = inputs;
    let block = node.size("block_size", Some(0))?;
    let shape = node.must_be_constant(codes)?.shape().to_vec();
    let [e, rows, packed] = *shape else { return Err(format!("experts of shape {shape:?}")) };
    if e > usize::from(u16::MAX) {
        return Err(format!("{e} experts"));
    }
    let cols = packed.saturating_mul(8) / bits.max(1);
    let form = Form::new(rows, cols, bits, if block == 0 { cols } else { block })?;
    hold(node, (e, form), [codes, scales, zeros])?;
    note_weights(node, e.saturating_mul(rows).saturating_mul(cols) as u64, codes, &[scales, zeros]);
    node.must_be_constant(scales)?;
    let all = inputs.map(|i| node.constant(i).cloned().map(Const::into_stored));
    let bytes = form.laid_out(all[2].is_some());
    let one = |i: usize| {
        let parts = all.each_ref().map(|stored| stored.as_ref().map(|s| s.part(i, e)).transpose());
        let [codes, scales, zeros, bias] = parts;
        let (codes, scales, zeros, bias) = (codes?, scales?, zeros?, bias?);
        let Some((codes, scales)) = codes.zip(scales) else { return Err("no experts".into()) };
        if codes.kind != Kind::U8 {
            return Err(format!("packed codes as {:?}", codes.kind));
        }
        if let Some(bias) = bias.as_ref().filter(|bias| bias.count() != rows) {
            return Err(format!("a bias of {} for {rows} outputs", bias.count()));
        }
        node.lay(bytes, move || {
            let zeros = zeros.as_ref().map(Stored::load);
            let weights = lay_out(form, codes.bytes(), &scales.load(), zeros.as_ref())?;
            let bias = bias.as_ref().map_or(Ok(Vec::new()), |bias| bias.load().into_floats())?;
            Ok(Half { weights, bias })
        })
    };
    Ok((form, (0..e).map(one).collect::<Result<_, _>>()?))
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

impl Experts {
    fn run(&self, inputs: &Inputs, context: &Context) -> Result<Tensor, Why> {
        let (x, router) = (inputs.get(0)?, inputs.get(1)?);
        let (count, [width, _]) = (self.experts.len(), self.widths);
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

    fn feed(&self, [first, second]: &Expert, x: &[f32], kernels: &Kernels) -> Result<Vec<f32>, Why> {
        let product = |half: &Laid<Half>, x: &[f32]| {
            let half = half.get()?;
            let w = &half.weights;
            let mut out = if self.rounded { w.multiply_rounded(&w.round(x), kernels) } else { w.multiply(x, kernels) }?;
            lfmq_ops::conv::add_bias(&mut out, Some(&half.bias));
            Ok::<_, Why>(out)
        };
        let both = product(first, x)?;
        let [_, half] = self.widths;
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
        product(second, &mixed)
    }
}
