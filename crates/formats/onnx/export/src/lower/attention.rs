use super::Lower;
use crate::OnnxExportError;
use crate::model::{Node, Type};
use lfmq_graph::StateKind;

/// What all attention layers read.
#[derive(Clone)]
pub(super) struct Shared {
    /// Tokens of each sequence - 1, i32 `[batch]`.
    lengths: String,
    /// Tokens of the longest, i32.
    total: String,
    cos: String,
    sin: String,
}

impl Lower<'_> {
    pub(super) fn attend(&mut self, [q, k, v]: [&str; 3], state: usize) -> Result<String, OnnxExportError> {
        let Some(state) = self.graph.states.get(state).copied() else { return Ok(String::new()) };
        let StateKind::KeyValue { heads, kv_heads, head_dim } = state.kind else { return Ok(String::new()) };
        let shared = self.shared();
        let past = |part| format!("past_key_values.{}.{part}", state.layer);
        let present = |part| format!("present.{}.{part}", state.layer);
        let (key, value) = (past("key"), past("value"));
        let Shared { lengths, total, cos, sin } = &shared;
        let node = Node::microsoft("GroupQueryAttention", &[q, k, v, &key, &value, lengths, total, cos, sin]);
        let node = node.int("num_heads", heads as i64).int("kv_num_heads", kv_heads as i64);
        let node = node.int("do_rotary", 1).int("rotary_interleaved", 0);
        let node = node.float("scale", (1.0 / (head_dim as f64).sqrt()) as f32);
        let out = format!("layers.{}/attention", state.layer);
        let [out, _, _] = self.model.add_many(node.outputs(&[&out, &present("key"), &present("value")]));
        Ok(out)
    }

    fn shared(&mut self) -> Shared {
        if let Some(shared) = &self.attention {
            return shared.clone();
        }
        let scope = std::mem::take(&mut self.model.scope);
        let (cos, sin) = self.rotation();
        let model = &mut self.model;
        let (axis, one, second) = (model.ints(&[1]), model.ints(&[1]), model.int(1));
        let sum = model.add(Node::standard("ReduceSum", &["attention_mask", &axis]).int("keepdims", 0));
        let lengths = model.op("Sub", &[&sum, &one]);
        let lengths = model.cast(&lengths, Type::I32);
        let shape = model.op("Shape", &["attention_mask"]);
        let total = model.op("Gather", &[&shape, &second]);
        let total = model.cast(&total, Type::I32);
        model.scope = scope;
        let shared = Shared { lengths, total, cos, sin };
        self.attention = Some(shared.clone());
        shared
    }

    /// Cosines and sines `[positions, head_dim / 2]`, worked out from constants when a session is made.
    fn rotation(&mut self) -> (String, String) {
        let rope = self.graph.rope;
        let model = &mut self.model;
        let (zero, end, step) = (model.int(0), model.int(rope.positions as i64), model.int(1));
        let positions = model.op("Range", &[&zero, &end, &step]);
        let positions = model.cast(&positions, Type::F32);
        let axis = model.ints(&[1]);
        let positions = model.op("Unsqueeze", &[&positions, &axis]);
        let frequencies = model.float_row(&rope.inverse_frequencies());
        let angles = model.op("Mul", &[&positions, &frequencies]);
        let (cos, sin) = (model.op("Cos", &[&angles]), model.op("Sin", &[&angles]));
        (self.lowered(cos), self.lowered(sin))
    }
}
