//! From the format-neutral graph to TFLite operators: one subgraph for a step of one token, which gives logits, and one
//! for each size of a prefill step, which gives none.

mod attention;
mod conv;
mod experts;
mod linear;
mod step;
mod weights;

use crate::TfliteExportError;
use crate::flat::Flat;
use crate::model::Model;
use crate::options::TfliteOptions;
use crate::store::Store;
use crate::subgraph::{Subgraph, T};
use lfmq_core::{ExportJob, TensorId, WriteError};
use lfmq_graph::{Graph, Op};
use lfmq_moe::Banks;
use std::collections::HashMap;
use step::Step;
use weights::Weights;

pub(crate) use step::{conv_state, key_state, value_state};

/// The flatbuffer and where everything else goes.
pub(crate) struct Lowered {
    pub(crate) flat: Flat,
    pub(crate) store: Store,
    pub(crate) runtime: Runtime,
}

/// The oldest runtime that has every operator version in use and reads weights behind the flatbuffer.
#[derive(Clone, Copy)]
pub(crate) struct Runtime {
    /// By LiteRT's own count.
    pub(crate) litert: &'static str,
    /// By TensorFlow's, which files carry.
    tensorflow: &'static str,
}

const WITHOUT_BLOCKS: Runtime = Runtime { litert: "1.0.1", tensorflow: "2.18.0" };
/// LiteRT 1.4 and 2.0 load blocks and compute nonsense with XNNPACK, older ones with all kernels.
const WITH_BLOCKS: Runtime = Runtime { litert: "2.1.0", tensorflow: "2.21.0" };

/// Spells out the model of `job`.
pub(crate) fn lower(job: &ExportJob<'_>, options: &TfliteOptions) -> Result<Lowered, TfliteExportError> {
    let spec = job.source.spec();
    let graph = lfmq_graph::build(spec);
    let chunks = options.chunks(spec);
    let mut lower = Lower {
        graph: &graph,
        model: Model::new(),
        weights: Weights::new(job, options.inline_weights),
        banks: Banks::of(job)?,
        room: options.room(spec),
        skips: HashMap::new(),
    };
    lower.step("decode", 1, true)?;
    for n in chunks {
        lower.step(&format!("prefill_{n}"), n, false)?;
    }
    let Lower { model, weights, .. } = lower;
    let runtime = if weights.blocks() { WITH_BLOCKS } else { WITHOUT_BLOCKS };
    let mut version = runtime.tensorflow.as_bytes().to_vec();
    // Readers take it for a string that ends, in a buffer of 16 bytes.
    version.resize(16, 0);
    let about = [("min_runtime_version", version), ("lfmq.recipe", job.plan.recipe.as_bytes().to_vec())];
    let description = format!("{} {} by lfmq {}", job.source.name(), job.plan.recipe, env!("CARGO_PKG_VERSION"));
    Ok(Lowered { flat: model.finish(&description, &about), store: weights.store, runtime })
}

struct Lower<'a> {
    graph: &'a Graph,
    model: Model,
    weights: Weights<'a>,
    banks: Banks,
    /// Positions of the caches.
    room: usize,
    /// Subgraphs that leave an expert out, by tokens of a step.
    skips: HashMap<usize, usize>,
}

impl Lower<'_> {
    /// A signature for `n` tokens.
    fn step(&mut self, name: &str, n: usize, logits: bool) -> Result<(), TfliteExportError> {
        let index = self.model.reserve();
        let graph = self.graph;
        let mut s = Step::new(name, n, self.room, graph);
        let needed = needed(graph, logits);
        for (node, needed) in graph.nodes.iter().zip(needed) {
            s.g.scope = node.layer.map(|l| format!("layers.{l}/")).unwrap_or_default();
            let value = self.node(&mut s, node, needed)?;
            s.values.push(value);
        }
        if let (true, Some(Some(last))) = (logits, s.values.last()) {
            let last = *last;
            s.g.output("logits", last);
        }
        self.model.place(index, s.g, true);
        Ok(())
    }

    /// The value of a node; a state is moved on even if nothing else reads the node.
    fn node(&mut self, s: &mut Step, node: &lfmq_graph::Node, needed: bool) -> Result<Option<T>, TfliteExportError> {
        let inputs: Vec<Option<T>> = node.inputs.iter().map(|v| s.values.get(v.0).copied().flatten()).collect();
        let value = match (node.op, inputs.as_slice()) {
            (Op::Attention { state }, [q, Some(k), Some(v)]) => {
                let (keys, values) = self.keep(s, *k, *v, state);
                let Some(q) = q else { return Ok(None) };
                self.attend(s, *q, keys, values, state)
            }
            (Op::ShortConv { kernel, bias, state }, [Some(x)]) => return self.conv(s, *x, kernel, bias, state, needed),
            _ if !needed => return Ok(None),
            (Op::Embed { table }, _) => self.embed(s, table)?,
            (Op::Norm { weight, width, heads }, [Some(x)]) => self.norm(s, *x, weight, width, heads)?,
            (Op::Linear { weight, bias, .. }, [Some(x)]) => self.biased(&mut s.g, *x, weight, bias)?,
            (Op::SwiGlu, [Some(gate), Some(up)]) => swiglu(&mut s.g, *gate, *up),
            (Op::Experts { layer, moe, hidden }, [Some(x)]) => self.experts(s, *x, layer, &moe, hidden)?,
            (Op::Add, [Some(a), Some(b)]) => s.g.add(*a, *b),
            _ => {
                let (expected, found) = ("a complete graph".to_owned(), format!("{node:?}"));
                return Err(WriteError::Plan { expected, found }.into());
            }
        };
        Ok(Some(value))
    }

    fn biased(
        &mut self,
        g: &mut Subgraph,
        x: T,
        weight: TensorId,
        bias: Option<TensorId>,
    ) -> Result<T, TfliteExportError> {
        let y = self.linear(g, x, weight)?;
        let Some(bias) = bias else { return Ok(y) };
        let bias = self.vector(g, bias)?;
        Ok(g.add(y, bias))
    }
}

fn swiglu(g: &mut Subgraph, gate: T, up: T) -> T {
    let sigmoid = g.each(crate::schema::Op::Logistic, gate);
    let silu = g.mul(gate, sigmoid);
    g.mul(silu, up)
}

/// Which nodes a step computes: all that leads to a state or, if they are wanted, to the logits.
fn needed(graph: &Graph, logits: bool) -> Vec<bool> {
    let mut needed = vec![false; graph.nodes.len()];
    if let Some(last) = needed.last_mut() {
        *last = logits;
    }
    for (i, node) in graph.nodes.iter().enumerate().rev() {
        let wanted = needed.get(i).copied().unwrap_or_default();
        let kept: &[_] = match node.op {
            // Keys and values.
            Op::Attention { .. } if !wanted => node.inputs.get(1..).unwrap_or_default(),
            Op::Attention { .. } | Op::ShortConv { .. } => &node.inputs,
            _ if wanted => &node.inputs,
            _ => &[],
        };
        for input in kept {
            if let Some(place) = needed.get_mut(input.0) {
                *place = true;
            }
        }
    }
    needed
}
