//! From the format-neutral graph to ONNX operators.

mod attention;
mod conv;
mod experts;
mod linear;
mod norm;
mod qmoe;
mod weights;

use crate::OnnxExportError;
use crate::model::{Dim, Model, Node, Type};
use crate::options::{Float, OnnxOptions};
use crate::store::Store;
use lfmq_core::{ExportJob, TensorId};
use lfmq_graph::{Graph, Op, StateKind, ValueId};
use lfmq_moe::Banks;
use std::collections::HashMap;
use weights::Weights;

/// The graph's file and where everything else goes.
pub(crate) struct Lowered {
    pub(crate) graph: Vec<u8>,
    pub(crate) store: Store,
}

/// Spells out the model of `job`.
pub(crate) fn lower(job: &ExportJob<'_>, options: &OnnxOptions) -> Result<Lowered, OnnxExportError> {
    let graph = lfmq_graph::build(job.source.spec());
    let weights = Weights::new(job, options);
    let mut lower = Lower {
        graph: &graph,
        options,
        model: Model::default(),
        weights,
        banks: Banks::of(job)?,
        values: Vec::new(),
        rows: HashMap::new(),
        attention: None,
        casts: HashMap::new(),
    };
    lower.whole()?;
    let Lower { mut model, weights, .. } = lower;
    model.metadata("lfmq.recipe", &job.plan.recipe);
    model.metadata("lfmq.min_onnxruntime", options.min_ort.word());
    Ok(Lowered { graph: model.encode(job.source.name()), store: weights.store })
}

/// A value of the graph: said, or a sum that its first reader says together with something else.
enum Said {
    Name(String),
    Sum(String, String),
}

struct Lower<'a> {
    graph: &'a Graph,
    options: &'a OnnxOptions,
    model: Model,
    weights: Weights<'a>,
    banks: Banks,
    /// By node.
    values: Vec<Said>,
    /// Values already turned into bytes with one scale a row.
    rows: HashMap<String, (String, String)>,
    /// What all attention layers share.
    attention: Option<attention::Shared>,
    /// Weights already turned into the graph's float.
    casts: HashMap<String, String>,
}

impl Lower<'_> {
    fn float(&self) -> Type {
        match self.options.float {
            Float::F32 => Type::F32,
            Float::F16 => Type::F16,
        }
    }

    fn half(&self) -> bool {
        self.options.float == Float::F16
    }

    /// An f32 value in the type of the graph.
    fn lowered(&mut self, x: String) -> String {
        if self.half() { self.model.cast(&x, Type::F16) } else { x }
    }

    /// A weight stored as f32 in the type of the graph; the cast is folded when a session is made.
    fn cast_weight(&mut self, name: String) -> String {
        if !self.half() {
            return name;
        }
        if let Some(found) = self.casts.get(&name) {
            return found.clone();
        }
        let cast = self.model.cast(&name, Type::F16);
        self.casts.insert(name, cast.clone());
        cast
    }

    fn value(&mut self, id: ValueId) -> String {
        let (a, b) = match self.values.get(id.0) {
            Some(Said::Name(name)) => return name.clone(),
            Some(Said::Sum(a, b)) => (a.clone(), b.clone()),
            None => return String::new(),
        };
        let sum = self.model.op("Add", &[&a, &b]);
        self.say(id, sum.clone());
        sum
    }

    fn say(&mut self, id: ValueId, name: String) {
        if let Some(value) = self.values.get_mut(id.0) {
            *value = Said::Name(name);
        }
    }

    fn whole(&mut self) -> Result<(), OnnxExportError> {
        self.borders();
        let graph = self.graph;
        for (index, node) in graph.nodes.iter().enumerate() {
            self.model.scope = node.layer.map(|l| format!("layers.{l}/")).unwrap_or_default();
            let last = index + 1 == graph.nodes.len();
            if node.op == Op::Add {
                let inputs: Vec<String> = node.inputs.iter().map(|v| self.value(*v)).collect();
                let mut inputs = inputs.into_iter();
                let said = Said::Sum(inputs.next().unwrap_or_default(), inputs.next().unwrap_or_default());
                self.values.push(said);
                continue;
            }
            let name = if last { self.head(node)? } else { self.node(node)? };
            self.values.push(Said::Name(name));
        }
        Ok(())
    }

    fn node(&mut self, node: &lfmq_graph::Node) -> Result<String, OnnxExportError> {
        if let (Op::Norm { weight, heads: 1, .. }, [x]) = (node.op, node.inputs.as_slice()) {
            return self.norm(*x, weight);
        }
        let inputs: Vec<String> = node.inputs.iter().map(|v| self.value(*v)).collect();
        match (node.op, inputs.as_slice()) {
            (Op::Embed { table }, _) => self.embed(table),
            (Op::Norm { weight, width, heads }, [x]) => self.head_norm(x, weight, width, heads),
            (Op::Linear { weight, bias, .. }, [x]) => self.biased(x, weight, bias),
            (Op::ShortConv { kernel, bias, state }, [x]) => self.conv(x, kernel, bias, state),
            (Op::Attention { state }, [q, k, v]) => self.attend([q, k, v], state),
            (Op::SwiGlu, [gate, up]) => Ok(self.swiglu(gate, up)),
            (Op::Experts { layer, moe, hidden }, [x]) => self.experts(x, layer, &moe, hidden),
            _ => Ok(String::new()),
        }
    }

    fn biased(&mut self, x: &str, weight: TensorId, bias: Option<TensorId>) -> Result<String, OnnxExportError> {
        let y = self.linear(x, weight)?;
        let Some(bias) = bias else { return Ok(y) };
        let bias = self.vector(bias)?;
        Ok(self.model.op("Add", &[&y, &bias]))
    }

    /// Two nodes and not one: the pattern that graph optimizers know.
    fn swiglu(&mut self, gate: &str, up: &str) -> String {
        let sigmoid = self.model.op("Sigmoid", &[gate]);
        let silu = self.model.op("Mul", &[gate, &sigmoid]);
        self.model.op("Mul", &[&silu, up])
    }

    /// The last node: logits, always f32.
    fn head(&mut self, node: &lfmq_graph::Node) -> Result<String, OnnxExportError> {
        let (Op::Linear { weight, .. }, [x]) = (node.op, node.inputs.as_slice()) else { return self.node(node) };
        let mut x = self.value(*x);
        if self.options.logits_to_keep {
            // Minus zero positions from the end is all of them.
            let (one, axis, end) = (self.model.ints(&[-1]), self.model.ints(&[1]), self.model.ints(&[i64::MAX]));
            let keep = self.model.op("Reshape", &["num_logits_to_keep", &one]);
            let start = self.model.op("Neg", &[&keep]);
            x = self.model.op("Slice", &[&x, &start, &end, &axis]);
        }
        let y = self.linear(&x, weight)?;
        Ok(self.model.add(Node::standard("Cast", &[&y]).int("to", Type::F32 as i64).outputs(&["logits"])))
    }

    /// Inputs and outputs, in the order and with the names that transformers.js derives from `layer_types`.
    fn borders(&mut self) {
        use Dim::{Fixed, Named};
        let float = self.float();
        let (batch, tokens) = (Named("batch_size"), Named("sequence_length"));
        let (past, total) = (Named("past_sequence_length"), Named("total_sequence_length"));
        let model = &mut self.model;
        model.input("input_ids", Type::I64, &[batch, tokens]);
        model.input("attention_mask", Type::I64, &[batch, total]);
        if self.options.logits_to_keep {
            model.input("num_logits_to_keep", Type::I64, &[]);
        }
        let kept = if self.options.logits_to_keep { Named("num_logits") } else { tokens };
        model.output("logits", Type::F32, &[batch, kept, Fixed(self.graph.vocab)]);
        for state in &self.graph.states {
            let layer = state.layer;
            match state.kind {
                StateKind::Conv { hidden, taps } => {
                    let shape = [batch, Fixed(hidden), Fixed(self.options.conv_columns(taps))];
                    model.input(&format!("past_conv.{layer}"), float, &shape);
                    model.output(&format!("present_conv.{layer}"), float, &shape);
                }
                StateKind::KeyValue { kv_heads, head_dim, .. } => {
                    for part in ["key", "value"] {
                        let shape = |n| [batch, Fixed(kv_heads), n, Fixed(head_dim)];
                        model.input(&format!("past_key_values.{layer}.{part}"), float, &shape(past));
                        model.output(&format!("present.{layer}.{part}"), float, &shape(total));
                    }
                }
            }
        }
    }
}
