use super::Lower;
use super::weights::Weight;
use crate::OnnxExportError;
use crate::grids::Form;
use crate::model::{Node, Type};
use crate::options::Accuracy;
use lfmq_core::TensorId;

/// `accuracy_level` of int8 activations.
const INT8: i64 = 4;

impl Lower<'_> {
    /// Rows of the table by token id.
    pub(super) fn embed(&mut self, table: TensorId) -> Result<String, OnnxExportError> {
        let w = self.weights.get(table)?;
        match w.form {
            Form::Float { .. } => {
                let (name, half) = self.floats(table, &[w.rows, w.cols])?;
                let x = self.model.op("Gather", &[&name, "input_ids"]);
                Ok(if half { x } else { self.lowered(x) })
            }
            Form::Blocks { bits, group, .. } => {
                // The bytes of the head under other dimensions, if the model is tied.
                let codes = self.codes(&w, "table", &[w.rows, w.cols * usize::from(bits) / 8])?;
                let (scales, zeros) = (self.scales(&w)?, self.zeros(&w)?);
                let inputs = [&codes, "input_ids", &scales, &zeros];
                let inputs = if zeros.is_empty() { inputs.get(..3).unwrap_or_default() } else { &inputs[..] };
                let node = Node::microsoft("GatherBlockQuantized", inputs);
                let node = node.int("bits", bits.into()).int("block_size", group as i64);
                Ok(self.model.add(node.int("gather_axis", 0).int("quantize_axis", 1)))
            }
            Form::Rows => {
                let codes = self.codes(&w, "codes", &[w.rows, w.cols])?;
                let scales = self.scales(&w)?;
                let rows = self.model.op("Gather", &[&codes, "input_ids"]);
                let rows = self.model.cast(&rows, Type::F32);
                let (middle, last) = (self.model.float(128.0), self.model.ints(&[-1]));
                let rows = self.model.op("Sub", &[&rows, &middle]);
                let scale = self.model.op("Gather", &[&scales, "input_ids"]);
                let scale = self.model.op("Unsqueeze", &[&scale, &last]);
                Ok(self.model.op("Mul", &[&rows, &scale]))
            }
        }
    }

    /// `x W^T`.
    pub(super) fn linear(&mut self, x: &str, weight: TensorId) -> Result<String, OnnxExportError> {
        let w = self.weights.get(weight)?;
        match w.form {
            Form::Float { .. } => {
                let name = self.tensor(weight, &[w.rows, w.cols])?;
                // Rows as in the checkpoint, so that they can be written as they come; folded when a session is made.
                let turned = self.model.add(Node::standard("Transpose", &[&name]).ints("perm", &[1, 0]));
                Ok(self.model.op("MatMul", &[x, &turned]))
            }
            Form::Blocks { bits, group, .. } => {
                let codes = self.codes(&w, "codes", &[w.rows, w.groups(), group * usize::from(bits) / 8])?;
                let (scales, zeros) = (self.scales(&w)?, self.zeros(&w)?);
                let inputs = [x, &codes, &scales, &zeros];
                let inputs = if zeros.is_empty() { inputs.get(..3).unwrap_or_default() } else { &inputs[..] };
                let node = Node::microsoft("MatMulNBits", inputs).int("K", w.cols as i64).int("N", w.rows as i64);
                let node = node.int("bits", bits.into()).int("block_size", group as i64);
                Ok(self.model.add(node.int("accuracy_level", self.accuracy(bits))))
            }
            Form::Rows => self.matmul_integer(x, &w),
        }
    }

    pub(super) fn accuracy(&self, bits: u8) -> i64 {
        if bits == 8 || self.options.accuracy == Accuracy::Int8 { INT8 } else { 0 }
    }

    /// Bytes times bytes, both with zero at 128: products of unsigned numbers do not saturate on any processor.
    fn matmul_integer(&mut self, x: &str, w: &Weight<'_>) -> Result<String, OnnxExportError> {
        let (bytes, row_scale) = self.bytes(x);
        let codes = self.codes(w, "codes", &[w.rows, w.cols])?;
        let scales = self.scales(w)?;
        let turned = self.model.add(Node::standard("Transpose", &[&codes]).ints("perm", &[1, 0]));
        let middle = self.model.byte(128);
        let sums = self.model.op("MatMulInteger", &[&bytes, &turned, &middle, &middle]);
        let sums = self.model.cast(&sums, Type::F32);
        let y = self.model.op("Mul", &[&sums, &row_scale]);
        Ok(self.model.op("Mul", &[&y, &scales]))
    }

    /// Activations as bytes around 128 with one scale a row, `max |x| / 127`, once for all readers.
    fn bytes(&mut self, x: &str) -> (String, String) {
        if let Some(found) = self.rows.get(x) {
            return found.clone();
        }
        let (axis, tiny) = (self.model.ints(&[-1]), self.model.float(1e-12));
        let (unit, middle) = (self.model.float(1.0 / 127.0), self.model.float(128.0));
        let size = self.model.op("Abs", &[x]);
        let top = self.model.add(Node::standard("ReduceMax", &[&size, &axis]).int("keepdims", 1));
        let top = self.model.op("Max", &[&top, &tiny]);
        let scale = self.model.op("Mul", &[&top, &unit]);
        let steps = self.model.op("Div", &[x, &scale]);
        let steps = self.model.op("Round", &[&steps]);
        let codes = self.model.op("Add", &[&steps, &middle]);
        let found = (self.model.cast(&codes, Type::U8), scale);
        self.rows.insert(x.to_owned(), found.clone());
        found
    }
}
