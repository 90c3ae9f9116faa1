//! Routed experts as one node, whose weights are stacks of all experts.

use super::Lower;
use super::experts::Routes;
use super::weights::Weight;
use crate::OnnxExportError;
use crate::grids::Form;
use crate::model::{Node, Type};
use crate::options::MinOrt;
use crate::pack::Pack;
use crate::store::{Piece, Place};
use lfmq_core::{MoeSpec, TensorId, TensorRole as R, WriteError, stack_name};

/// The score of an expert that is not chosen, far below the logarithm of any share.
const NEVER: f32 = -1e4;
/// Least share whose logarithm is taken.
const LEAST: f32 = 1e-30;

/// Codes and scales of a stack, by name.
struct Stack {
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
        let first = self.stack(layer, moe.experts, &[R::ExpertGate, R::ExpertUp])?;
        let second = self.stack(layer, moe.experts, &[R::ExpertDown])?;
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

    /// The experts of a layer one after another; the rows of `roles` alternate.
    fn stack(&mut self, layer: u16, experts: usize, roles: &[fn(u16) -> R]) -> Result<Stack, OnnxExportError> {
        let mut members = Vec::new();
        for e in (0u16..).take(experts) {
            for role in roles {
                members.push(self.weights.get(TensorId::layer(layer, role(e)))?);
            }
        }
        let missing = || WriteError::Plan { expected: format!("experts of layer {layer}"), found: "none".into() };
        let first = *members.first().ok_or_else(missing)?;
        let refuse = |w: &Weight<'_>, why: &str| {
            Err(OnnxExportError::Grid { tensor: w.name.to_owned(), why: format!("QMoE {why}") })
        };
        let Form::Blocks { bits, group, shift, zeros: false } = first.form else {
            return refuse(&first, "holds symmetric groups only; the nearest it holds is int4-g32");
        };
        if let Some(other) = members.iter().find(|w| w.form != first.form) {
            return refuse(other, "takes all experts of a layer on one grid");
        }
        let half = self.half();
        // Readers tell the members apart by it.
        let name = stack_name(&members.iter().map(|w| w.name).collect::<Vec<_>>());
        let (wide, groups) = (first.cols * usize::from(bits) / 8, first.groups());
        let codes = self.interleave(&members, roles.len(), &name, Pack::Codes { bits, shift }, wide)?;
        let size = if half { 2 } else { 4 };
        let scales = self.interleave(&members, roles.len(), &name, Pack::Scales { half }, groups * size)?;
        let rows = first.rows * roles.len();
        let float = self.float();
        let model = &mut self.model;
        let codes = self.weights.name(model, format!("{name}.codes"), Type::U8, &[experts, rows, wide], codes);
        let scales = self.weights.name(model, format!("{name}.scales"), float, &[experts, rows, groups], scales);
        Ok(Stack { codes, scales, bits, group })
    }

    /// One place for all members, each `among` of them row by row in turn.
    fn interleave(
        &mut self,
        members: &[Weight<'_>],
        among: usize,
        name: &str,
        pack: Pack,
        row: usize,
    ) -> Result<Place, OnnxExportError> {
        let (row_bytes, among) = (row as u64, among as u64);
        let rows: u64 = members.iter().map(|w| w.rows as u64).sum();
        let place = self.weights.store.take(name, rows * row_bytes)?;
        let mut offset = place.offset;
        for (n, w) in (0u64..).zip(members) {
            let piece = Piece { pack, file: place.file, offset, row_bytes, stride: among * row_bytes };
            self.weights.store.assign(w.index, piece);
            // The next role begins a row later; the next expert after all rows of this one.
            let last = n % among + 1 == among;
            offset += if last { row_bytes * (among * w.rows as u64 - (among - 1)) } else { row_bytes };
        }
        Ok(place)
    }
}
