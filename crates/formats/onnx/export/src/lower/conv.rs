use super::Lower;
use crate::OnnxExportError;
use crate::model::Node;
use crate::options::ConvForm;
use lfmq_core::TensorId;
use lfmq_graph::StateKind;

impl Lower<'_> {
    /// `C * conv(B * x)` of `[B C x]`, channels first in between.
    pub(super) fn conv(
        &mut self,
        parts: &str,
        kernel: TensorId,
        bias: Option<TensorId>,
        state: usize,
    ) -> Result<String, OnnxExportError> {
        let Some(state) = self.graph.states.get(state).copied() else { return Ok(String::new()) };
        let StateKind::Conv { hidden, taps } = state.kind else { return Ok(String::new()) };
        let kernel = self.tensor(kernel, &[hidden, 1, taps])?;
        let bias = bias.map(|bias| self.vector(bias)).transpose()?.unwrap_or_default();
        let turn = |x: &str| Node::standard("Transpose", &[x]).ints("perm", &[0, 2, 1]);
        let turned = self.model.add(turn(parts));
        let split = Node::standard("Split", &[&turned]).int("axis", 1).int("num_outputs", 3);
        let [b, c, x] = self.model.add_many(split);
        let gated = self.model.op("Mul", &[&b, &x]);
        let (past, present) = (format!("past_conv.{}", state.layer), format!("present_conv.{}", state.layer));
        let y = match self.options.conv {
            ConvForm::Fused => {
                let node = Node::microsoft("CausalConvWithState", &[&gated, &kernel, &bias, &past]);
                let out = format!("layers.{}/conv", state.layer);
                let node = node.text("activation", "none").int("ndim", 1).outputs(&[&out, &present]);
                let [y, _] = self.model.add_many(node);
                y
            }
            ConvForm::Portable => self.portable(&gated, &kernel, &bias, (&past, &present), (hidden, taps)),
        };
        let y = self.model.op("Mul", &[&c, &y]);
        Ok(self.model.add(turn(&y)))
    }

    fn portable(
        &mut self,
        x: &str,
        kernel: &str,
        bias: &str,
        (past, present): (&str, &str),
        (hidden, taps): (usize, usize),
    ) -> String {
        let columns = self.options.conv_columns(taps);
        let all = self.model.add(Node::standard("Concat", &[past, x]).int("axis", 2));
        let (axis, end) = (self.model.ints(&[2]), self.model.ints(&[i64::MAX]));
        let mut seen = all.clone();
        if columns == taps {
            // The oldest column is of no use to the next step.
            let second = self.model.ints(&[1]);
            seen = self.model.op("Slice", &[&all, &second, &end, &axis]);
        }
        let inputs = [&seen, kernel, bias];
        let inputs = if bias.is_empty() { inputs.get(..2).unwrap_or_default() } else { &inputs[..] };
        let node = Node::standard("Conv", inputs).ints("kernel_shape", &[taps as i64]).int("group", hidden as i64);
        let y = self.model.add(node);
        let start = self.model.ints(&[-(columns as i64)]);
        self.model.add(Node::standard("Slice", &[&all, &start, &end, &axis]).outputs(&[present]));
        y
    }
}
