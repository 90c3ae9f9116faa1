use super::{Lower, Said};
use crate::OnnxExportError;
use crate::model::Node;
use lfmq_core::TensorId;
use lfmq_graph::ValueId;

impl Lower<'_> {
    /// The norm of a whole row, together with the sum it is of.
    pub(super) fn norm(&mut self, x: ValueId, weight: TensorId) -> Result<String, OnnxExportError> {
        let gamma = self.vector(weight)?;
        let Some(Said::Sum(a, b)) = self.values.get(x.0) else {
            let x = self.value(x);
            return Ok(self.plain_norm(&x, &gamma));
        };
        let node = Node::microsoft("SkipSimplifiedLayerNormalization", &[a, b, &gamma]);
        let node = node.float("epsilon", self.graph.norm_eps as f32);
        let index = self.values.len();
        let (out, sum) = (format!("norm_{index}"), format!("sum_{index}"));
        // Mean and deviation, between the two, are not wanted.
        let [..] = self.model.add_many::<4>(node.outputs(&[&out, "", "", &sum]));
        self.say(x, sum);
        Ok(out)
    }

    fn plain_norm(&mut self, x: &str, gamma: &str) -> String {
        let node = Node::standard("SimplifiedLayerNormalization", &[x, gamma]);
        let node = node.int("axis", -1).float("epsilon", self.graph.norm_eps as f32);
        self.model.add(node.int("stash_type", 1))
    }

    /// The norm of each head alone.
    pub(super) fn head_norm(
        &mut self,
        x: &str,
        weight: TensorId,
        width: usize,
        heads: usize,
    ) -> Result<String, OnnxExportError> {
        let gamma = self.vector(weight)?;
        let (apart, together) = ([0, -1, heads as i64, width as i64], [0, -1, (heads * width) as i64]);
        let (apart, together) = (self.model.ints(&apart), self.model.ints(&together));
        let x = self.model.op("Reshape", &[x, &apart]);
        let y = self.plain_norm(&x, &gamma);
        Ok(self.model.op("Reshape", &[&y, &together]))
    }
}
