use super::Lower;
use crate::OnnxExportError;
use crate::model::{Node, Type};
use crate::options::MoeForm;
use lfmq_core::{MoeSpec, TensorId, TensorRole as R};

/// What a router decided for `[tokens]`; everything in f32.
pub(super) struct Routes {
    /// Scores of all experts, `[tokens, experts]`.
    pub(super) scores: String,
    /// Scores of the chosen, `[tokens, top_k]`.
    pub(super) chosen: String,
    /// Which they are, `[tokens, top_k]`.
    pub(super) ids: String,
    /// Their shares in the output, `[tokens, top_k]`.
    pub(super) shares: String,
}

impl Lower<'_> {
    pub(super) fn experts(
        &mut self,
        x: &str,
        layer: u16,
        moe: &MoeSpec,
        hidden: usize,
    ) -> Result<String, OnnxExportError> {
        let rows = self.model.ints(&[-1, hidden as i64]);
        let flat = self.model.op("Reshape", &[x, &rows]);
        let routes = self.route(&flat, layer, moe, hidden)?;
        match self.options.moe {
            MoeForm::Grouped => self.grouped(x, &flat, &routes, layer, moe, hidden),
            MoeForm::Qmoe => self.qmoe(x, &routes, layer, moe),
        }
    }

    /// Scores by sigmoid; the bias takes part in choosing only.
    fn route(&mut self, flat: &str, layer: u16, moe: &MoeSpec, hidden: usize) -> Result<Routes, OnnxExportError> {
        let x = if self.half() { self.model.cast(flat, Type::F32) } else { flat.to_owned() };
        let (router, _) = self.floats(TensorId::layer(layer, R::Router), &[moe.experts, hidden])?;
        let turned = self.model.add(Node::standard("Transpose", &[&router]).ints("perm", &[1, 0]));
        let logits = self.model.op("MatMul", &[&x, &turned]);
        // Spelled out: the runtime's own sigmoid errs by 6e-8, much for a very small score.
        let (one, k) = (self.model.float(1.0), self.model.ints(&[moe.top_k as i64]));
        let scores = self.model.op("Neg", &[&logits]);
        let scores = self.model.op("Exp", &[&scores]);
        let scores = self.model.op("Add", &[&scores, &one]);
        let scores = self.model.op("Reciprocal", &[&scores]);
        let mut order = scores.clone();
        if moe.use_bias {
            let (bias, _) = self.floats(TensorId::layer(layer, R::RouterBias), &[moe.experts])?;
            order = self.model.op("Add", &[&scores, &bias]);
        }
        let [_, ids] = self.model.add_many(Node::standard("TopK", &[&order, &k]).int("axis", -1));
        let chosen = self.model.add(Node::standard("GatherElements", &[&scores, &ids]).int("axis", 1));
        let mut shares = chosen.clone();
        if moe.norm_top_k {
            let (axis, tiny) = (self.model.ints(&[-1]), self.model.float(1e-6));
            let sum = self.model.add(Node::standard("ReduceSum", &[&chosen, &axis]).int("keepdims", 1));
            let sum = self.model.op("Add", &[&sum, &tiny]);
            shares = self.model.op("Div", &[&chosen, &sum]);
        }
        if moe.scale != 1.0 {
            let scale = self.model.float(moe.scale);
            shares = self.model.op("Mul", &[&shares, &scale]);
        }
        Ok(Routes { scores, chosen, ids, shares })
    }

    /// (token, slot) pairs sorted by expert, cut into one part an expert, and put back in order.
    fn grouped(
        &mut self,
        x: &str,
        flat: &str,
        routes: &Routes,
        layer: u16,
        moe: &MoeSpec,
        hidden: usize,
    ) -> Result<String, OnnxExportError> {
        let m = &mut self.model;
        let (all, one, first) = (m.ints(&[-1]), m.ints(&[1]), m.ints(&[0]));
        let ids = m.op("Reshape", &[&routes.ids, &all]);
        let count = m.op("Shape", &[&ids]);
        // Of equals the lower index comes first, so the order is stable; sorting an order gives its inverse.
        let sort = |x: &str| Node::standard("TopK", &[x, &count]).int("axis", 0).int("largest", 0).int("sorted", 1);
        let [_, order] = m.add_many(sort(&ids));
        let [_, inverse] = m.add_many(sort(&order));
        let k = m.int(moe.top_k as i64);
        let tokens = m.op("Div", &[&order, &k]);
        let sorted = m.op("Gather", &[flat, &tokens]);
        let experts: Vec<i64> = (0..moe.experts as i64).collect();
        let experts = m.ints(&experts);
        let pairs = m.op("Unsqueeze", &[&ids, &one]);
        let hits = m.op("Equal", &[&pairs, &experts]);
        let hits = m.cast(&hits, Type::I64);
        let counts = m.add(Node::standard("ReduceSum", &[&hits, &first]).int("keepdims", 0));
        let parts = m.add_counted(&Node::standard("Split", &[&sorted, &counts]).int("axis", 0), moe.experts);
        let mut outputs = Vec::new();
        for (part, expert) in parts.iter().zip(self.banks.layer(layer)?.experts()) {
            let gate = self.linear(part, expert.gate)?;
            let up = self.linear(part, expert.up)?;
            // x sigmoid(x) in one node.
            let silu = self.model.add(Node::microsoft("QuickGelu", &[&gate]).float("alpha", 1.0));
            let inner = self.model.op("Mul", &[&silu, &up]);
            outputs.push(self.linear(&inner, expert.down)?);
        }
        let outputs: Vec<&str> = outputs.iter().map(String::as_str).collect();
        let joined = self.model.add(Node::standard("Concat", &outputs).int("axis", 0));
        let shares = self.lowered(routes.shares.clone());
        let m = &mut self.model;
        let shares = m.op("Reshape", &[&shares, &all]);
        let shares = m.op("Gather", &[&shares, &order]);
        let shares = m.op("Unsqueeze", &[&shares, &one]);
        let shared = m.op("Mul", &[&joined, &shares]);
        let back = m.op("Gather", &[&shared, &inverse]);
        let slots = m.ints(&[-1, moe.top_k as i64, hidden as i64]);
        let back = m.op("Reshape", &[&back, &slots]);
        let sum = m.add(Node::standard("ReduceSum", &[&back, &one]).int("keepdims", 0));
        let shape = m.op("Shape", &[x]);
        Ok(m.op("Reshape", &[&sum, &shape]))
    }
}
