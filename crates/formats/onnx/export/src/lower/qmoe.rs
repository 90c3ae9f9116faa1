//! Routed experts as one node, whose weights are stacks of all experts.

use super::Lower;
use super::experts::Routes;
use crate::OnnxExportError;
use crate::grids::Form;
use crate::model::{Node, Type};
use crate::options::MinOrt;
use crate::pack::Pack;
use lfmq_core::{MoeSpec, WriteError, stack_name};
use lfmq_moe::{Part, Stack};

/// The score of an expert that is not chosen, far below the logarithm of any share.
const NEVER: f32 = -1e4;
/// Least share whose logarithm is taken.
const LEAST: f32 = 1e-30;

/// A stack as the operator takes it: its codes and scales, by name.
struct Operand {
    codes: String,
    scales: String,
    bits: u8,
    group: usize,
}

impl Lower<'_> {
    /// The operator's own softmax over the logarithms of the chosen scores gives each score over their sum; what is
    /// left of the shares is their total, a factor on the output.
    pub(super) fn qmoe(
        &mut self,
        x: &str,
        routes: &Routes,
        layer: u16,
        moe: &MoeSpec,
    ) -> Result<String, OnnxExportError> {
        let bank = self.banks.layer(layer)?;
        let (first, second) = (bank.gate_up()?, bank.stack(Part::Down));
        let (first, second) = (self.stack(&first)?, self.stack(&second)?);
        if (first.bits, first.group) != (second.bits, second.group) {
            let (name, why) = (format!("layer {layer} experts"), "QMoE takes gate, up and down on one grid".to_owned());
            return Err(OnnxExportError::Grid { tensor: name, why });
        }
        let scores = self.masked(routes);
        let inputs = [x, &scores, &first.codes, &first.scales, "", &second.codes, &second.scales];
        let mut node = Node::microsoft("QMoE", &inputs)
            .int("k", moe.top_k as i64)
            .int("normalize_routing_weights", 1)
            .int("use_sparse_mixer", 0)
            .text("activation_type", "swiglu")
            .int("swiglu_fusion", 1)
            .float("activation_alpha", 1.0)
            .float("activation_beta", 0.0)
            .int("expert_weight_bits", first.bits.into())
            .int("block_size", first.group as i64);
        if self.options.min_ort >= MinOrt::V1_28 {
            node = node.int("weights_prepacked", 0);
        }
        if self.options.min_ort >= MinOrt::V1_31 {
            node = node.int("accuracy_level", self.accuracy(first.bits));
        }
        let y = self.model.add(node);
        let total = self.total_share(x, routes);
        Ok(self.model.op("Mul", &[&y, &total]))
    }

    /// Logarithms of the chosen scores, `[tokens, experts]`.
    fn masked(&mut self, routes: &Routes) -> String {
        let m = &mut self.model;
        let shape = m.op("Shape", &[&routes.scores]);
        let never = m.add(Node::standard("ConstantOfShape", &[&shape]).tensor("value", NEVER));
        let least = m.float(LEAST);
        let logs = m.op("Clip", &[&routes.chosen, &least]);
        let logs = m.op("Log", &[&logs]);
        let scores = m.add(Node::standard("ScatterElements", &[&never, &routes.ids, &logs]).int("axis", 1));
        self.lowered(scores)
    }

    /// Sum of each token's shares, `[batch, tokens, 1]`.
    fn total_share(&mut self, x: &str, routes: &Routes) -> String {
        let m = &mut self.model;
        let (last, start, end, one) = (m.ints(&[-1]), m.ints(&[0]), m.ints(&[2]), m.ints(&[1]));
        let total = m.add(Node::standard("ReduceSum", &[&routes.shares, &last]).int("keepdims", 1));
        let shape = m.op("Shape", &[x]);
        let shape = m.op("Slice", &[&shape, &start, &end]);
        let shape = m.add(Node::standard("Concat", &[&shape, &one]).int("axis", 0));
        let total = m.op("Reshape", &[&total, &shape]);
        self.lowered(total)
    }

    /// Codes and scales of a stack.
    fn stack(&mut self, stack: &Stack) -> Result<Operand, OnnxExportError> {
        let weights = stack.members().map(|m| self.weights.at(m.index)).collect::<Result<Vec<_>, _>>()?;
        let missing = || WriteError::Plan { expected: "experts".to_owned(), found: "none".to_owned() };
        let first = *weights.first().ok_or_else(missing)?;
        let Form::Blocks { bits, group, shift, zeros: false } = first.form else {
            let why = "QMoE holds symmetric groups only; the nearest it holds is int4-g32".to_owned();
            return Err(OnnxExportError::Grid { tensor: first.name.to_owned(), why });
        };
        let (half, float) = (self.half(), self.float());
        // Readers tell the members apart by it.
        let name = stack_name(&weights.iter().map(|w| w.name).collect::<Vec<_>>());
        let (wide, groups) = (first.cols * usize::from(bits) / 8, first.groups());
        let size = if half { 2 } else { 4 };
        let [experts, rows, _] = stack.shape();
        let codes = self.weights.stacked(&name, stack, Pack::Codes { bits, shift }, wide)?;
        let scales = self.weights.stacked(&name, stack, Pack::Scales { half }, groups * size)?;
        let model = &mut self.model;
        let codes = self.weights.name(model, format!("{name}.codes"), Type::U8, &[experts, rows, wide], codes);
        let scales = self.weights.name(model, format!("{name}.scales"), float, &[experts, rows, groups], scales);
        Ok(Operand { codes, scales, bits, group })
    }
}
