//! Models to run: checkpoints exported to a folder of their own.
#![allow(dead_code, reason = "each test file uses its part")]

use lfmq_checkpoint::Checkpoint;
use lfmq_core::{
    Activation, Executor, ExportJob, ExportPlan, Exporter, ModelSpec, QuantPlan, QuantizedRows, Silent, Sink,
    SourceError, SourceTensor, TensorSource, Want,
};
use lfmq_kernels::Kernels;
use lfmq_onnx_export::{OnnxExporter, OnnxOptions};
use lfmq_onnx_run::{Onnx, Options};
use lfmq_quant::{Recipe, dequantize, scheme};
use lfmq_testkit::sink::Folder;
use std::ops::Range;
use std::path::Path;

/// A checkpoint with the values that a plan gives it.
pub struct Rounded<'a> {
    source: &'a Checkpoint,
    plan: QuantPlan,
}

impl<'a> Rounded<'a> {
    pub fn new(source: &'a Checkpoint, recipe: &str) -> Self {
        Self { source, plan: lfmq_quant::plan(source, &Recipe::named(recipe).unwrap(), None).unwrap() }
    }

    /// Writes `model.onnx` and its data.
    pub fn export(&self, mut options: OnnxOptions, folder: &Path) {
        options.name = Some("model".to_owned());
        let exporter = OnnxExporter { options };
        let plan = exporter.plan(&ExportJob { source: self.source, plan: &self.plan, stem: "x" }).unwrap();
        let sink = Folder::of(&*plan, folder).unwrap();
        plan.write_frame(&sink).unwrap();
        let outputs: [(&dyn ExportPlan, &dyn Sink); 1] = [(&*plan, &sink)];
        lfmq_quant::quantize(self.source, &self.plan, None, &outputs, &|_| false, &|_| Ok(()), 1 << 26, &Silent)
            .unwrap();
    }
}

impl TensorSource for Rounded<'_> {
    fn spec(&self) -> &ModelSpec {
        self.source.spec()
    }

    fn name(&self) -> &str {
        self.source.name()
    }

    fn tensors(&self) -> &[SourceTensor] {
        self.source.tensors()
    }

    fn read_rows(&self, index: usize, rows: Range<usize>, out: &mut [f32]) -> Result<(), SourceError> {
        self.source.read_rows(index, rows, out)?;
        let planned = &self.plan.tensors[index];
        let mut quantized = QuantizedRows::default();
        scheme(planned.scheme.0).unwrap().quantize(out, planned.shape.1, None, &mut quantized).unwrap();
        dequantize(&planned.grid, &quantized, out).unwrap();
        Ok(())
    }

    fn sidecar(&self, name: &str) -> Option<&[u8]> {
        self.source.sidecar(name)
    }
}

pub fn open(folder: &Path, activation: Activation, kernels: &'static Kernels) -> Onnx {
    let path = folder.join("model.onnx");
    Onnx::open(&path, Options { activation, kernels }).unwrap_or_else(|e| panic!("{e}"))
}

/// Logits of `ids` fed in pieces of these sizes.
pub fn logits(executor: &dyn Executor, ids: &[u32], pieces: &[usize]) -> Vec<f32> {
    let mut session = executor.session(ids.len()).unwrap();
    let (mut out, mut rest) = (Vec::new(), ids);
    for piece in pieces {
        let (now, later) = rest.split_at(*piece);
        session.feed(now, Want::All, &mut out).unwrap();
        rest = later;
    }
    assert_eq!(session.position(), ids.len());
    out
}

pub fn worst(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).fold(0.0, |m, (a, b)| if (a - b).abs() <= m { m } else { (a - b).abs() })
}

pub fn deviation(v: &[f32]) -> f32 {
    let mean = v.iter().sum::<f32>() / v.len() as f32;
    (v.iter().map(|x| (x - mean).powi(2)).sum::<f32>() / v.len() as f32).sqrt()
}
