//! Models to run: checkpoints exported to a folder of their own; and the Python that runs the outsider.

use lfmq_checkpoint::Checkpoint;
use lfmq_core::{
    Activation, Executor, ExportJob, ExportPlan, Exporter, ModelSpec, QuantPlan, QuantizedRows, Silent, Sink,
    SourceError, SourceTensor, TensorSource, Want,
};
use lfmq_kernels::Kernels;
use lfmq_quant::{Recipe, dequantize, scheme};
use lfmq_testkit::python::Environment;
use lfmq_testkit::sink::Folder;
use lfmq_tflite_export::{TfliteExporter, TfliteOptions};
use lfmq_tflite_run::{Options, Tflite};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// The runtime, as `pip` has it.
static LITERT: Environment = Environment::new("LFMQ_LITERT_PYTHON", include_str!("../python/requirements.txt"));

/// The interpreter that has the runtime, unless `test` is to be skipped.
#[allow(clippy::print_stderr, reason = "a skipped test must be seen")]
pub fn litert(test: &str) -> Option<PathBuf> {
    let found = LITERT.find(Path::new(env!("CARGO_TARGET_TMPDIR")));
    if found.is_none() {
        eprintln!("SKIPPED {test}: set {} or CI=true", LITERT.variable);
    }
    found
}

pub fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python").join(name)
}

/// A checkpoint with the values that a plan gives it.
pub struct Rounded<'a> {
    source: &'a Checkpoint,
    plan: QuantPlan,
}

impl<'a> Rounded<'a> {
    pub fn new(source: &'a Checkpoint, recipe: &str) -> Self {
        Self { source, plan: lfmq_quant::plan(source, &Recipe::named(recipe).unwrap(), None).unwrap() }
    }

    /// Writes `x.tflite` and `x.litertlm`.
    pub fn export(&self, options: TfliteOptions, folder: &Path) {
        let exporter = TfliteExporter { options };
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

/// Small caches and small steps.
pub fn small() -> TfliteOptions {
    TfliteOptions { context: Some(64), prefill: vec![4, 8], ..TfliteOptions::default() }
}

pub fn open(folder: &Path, activation: Activation, kernels: &'static Kernels) -> Tflite {
    Tflite::open(&folder.join("x.tflite"), Options { activation, kernels }).unwrap_or_else(|e| panic!("{e}"))
}

/// Logits of `ids` from `from` on; those before are fed in pieces of these sizes.
pub fn logits(executor: &dyn Executor, ids: &[u32], pieces: &[usize], from: usize) -> Vec<f32> {
    let mut session = executor.session(ids.len()).unwrap();
    let (mut out, mut rest) = (Vec::new(), &ids[..from]);
    for piece in pieces {
        let (now, later) = rest.split_at(*piece);
        session.feed(now, Want::Nothing, &mut out).unwrap();
        rest = later;
    }
    assert!(rest.is_empty() && out.is_empty());
    session.feed(&ids[from..], Want::All, &mut out).unwrap();
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
