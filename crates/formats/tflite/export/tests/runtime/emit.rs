//! Writes a case: the exported folder, the tokens, and the logits that are to come out.

use lfmq_checkpoint::Checkpoint;
use lfmq_core::{
    Executor, ExportJob, ExportPlan, Exporter, ModelSpec, QuantPlan, QuantizedRows, Silent, Sink, SourceError,
    SourceTensor, TensorSource, Want,
};
use lfmq_kernels::Kernels;
use lfmq_quant::{Recipe, dequantize, scheme};
use lfmq_reference::Reference;
use lfmq_testkit::golden::Golden;
use lfmq_testkit::sink::Folder;
use lfmq_tflite_export::{TfliteExporter, TfliteOptions};
use serde_json::json;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// A checkpoint with the values that a plan gives it.
pub struct Rounded<'a> {
    pub source: &'a Checkpoint,
    pub plan: &'a QuantPlan,
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

/// One export and how it is run.
pub struct Case {
    pub name: String,
    /// The checkpoint's folder.
    pub model: PathBuf,
    pub recipe: &'static str,
    /// Changes to the recipe, as typed after `--set`.
    pub sets: Vec<String>,
    pub options: TfliteOptions,
    /// Sets of kernels to run on.
    pub kernels: &'static [&'static str],
    /// What another program computed for this checkpoint; else our own forward pass over the rounded weights.
    pub golden: Option<Golden>,
}

/// Kernels that compute every type right; the runtime's reference kernels do not know blocks.
pub const FAST: &[&str] = &["xnnpack", "builtin"];
pub const ALL: &[&str] = &["xnnpack", "builtin", "reference"];

/// Positions of a sequence.
const CONTEXT: usize = 64;
/// Tokens of a case, and how many of them are prefilled where there is prefill.
const TOKENS: u32 = 30;
const PREFILL: usize = 21;

fn ids(vocab: u32) -> Vec<u32> {
    (0..TOKENS).map(|i| if i == 0 { 1 } else { (i * i * 37 + 11 * i + 6) % vocab }).collect()
}

impl Case {
    /// A case of a checkpoint among the fixtures.
    pub fn new(model: &str, recipe: &'static str) -> Self {
        let folder = lfmq_testkit::fixtures().join(model);
        let options = TfliteOptions { context: Some(CONTEXT), prefill: vec![8], ..TfliteOptions::default() };
        Self {
            name: format!("{model}-{recipe}"),
            model: folder,
            recipe,
            sets: Vec::new(),
            options,
            kernels: FAST,
            golden: None,
        }
    }

    /// Where it is written.
    pub fn folder(&self) -> PathBuf {
        Path::new(env!("CARGO_TARGET_TMPDIR")).join("tflite-cases").join(&self.name)
    }

    pub fn source(&self) -> Checkpoint {
        Checkpoint::open(&self.model).unwrap()
    }

    /// Writes everything; returns the case's file.
    pub fn write(&self) -> PathBuf {
        let (source, folder) = (self.source(), self.folder());
        let plan = self.write_model();
        let (ids, logits, prefill) = match &self.golden {
            Some(golden) => (golden.ids.clone(), golden.prefill.clone(), golden.ids.len() * 2 / 3),
            None => {
                let ids = ids(source.spec().vocab as u32);
                let logits = self.forward(&source, &plan, &ids);
                (ids, logits, PREFILL)
            }
        };
        let bytes: Vec<u8> = logits.iter().flat_map(|v| v.to_le_bytes()).collect();
        fs::write(folder.join("expected.f32"), bytes).unwrap();
        let case = json!({
            "model": "x.tflite",
            "ids": ids,
            "prefill": prefill,
            "expected": "expected.f32",
            "kernels": self.kernels,
        });
        let file = folder.join("case.json");
        fs::write(&file, case.to_string()).unwrap();
        file
    }

    /// Writes the export alone; returns its plan.
    pub fn write_model(&self) -> QuantPlan {
        let folder = self.folder();
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let source = self.source();
        let plan = self.plan(&source);
        self.export(&source, &plan, &folder);
        plan
    }

    /// Quantizes for nobody.
    pub fn quantize_only(&self) {
        let source = self.source();
        let plan = self.plan(&source);
        quantize(&source, &plan, &[]);
    }

    /// Logits of the checkpoint's own forward pass, its weights as the plan rounds them.
    fn forward(&self, source: &Checkpoint, plan: &QuantPlan, ids: &[u32]) -> Vec<f32> {
        let rounded = Rounded { source, plan };
        let reference = Reference::open(&rounded, Kernels::best()).unwrap();
        let mut logits = Vec::new();
        reference.session(ids.len()).unwrap().feed(ids, Want::All, &mut logits).unwrap();
        logits
    }

    pub fn plan(&self, source: &Checkpoint) -> QuantPlan {
        let mut recipe = Recipe::named(self.recipe).unwrap();
        self.sets.iter().for_each(|set| recipe.set(set).unwrap());
        lfmq_quant::plan(source, &recipe, None).unwrap()
    }

    fn export(&self, source: &Checkpoint, plan: &QuantPlan, folder: &Path) {
        let exporter = TfliteExporter { options: self.options.clone() };
        let export = exporter.plan(&ExportJob { source, plan, stem: "x" }).unwrap();
        let sink = Folder::of(&*export, folder).unwrap();
        export.write_frame(&sink).unwrap();
        quantize(source, plan, &[(&*export, &sink)]);
    }
}

fn quantize(source: &Checkpoint, plan: &QuantPlan, outputs: &[(&dyn ExportPlan, &dyn Sink)]) {
    lfmq_quant::quantize(source, plan, None, outputs, &|_| false, &|_| Ok(()), 1 << 26, &Silent).unwrap();
}
