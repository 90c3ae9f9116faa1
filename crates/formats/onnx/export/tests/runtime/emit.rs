//! Writes a case: the exported folder, the tokens, and the logits that are to come out.

use lfmq_checkpoint::Checkpoint;
use lfmq_core::{
    Executor, ExportJob, Exporter, ModelSpec, QuantPlan, QuantizedRows, Silent, Sink, SourceError, SourceTensor,
    TensorSource, Want,
};
use lfmq_kernels::Kernels;
use lfmq_onnx_export::{OnnxExporter, OnnxOptions};
use lfmq_quant::{Recipe, dequantize, scheme};
use lfmq_reference::Reference;
use lfmq_testkit::golden::Golden;
use lfmq_testkit::sink::Folder;
use serde_json::json;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// A checkpoint with the values that a plan gives it.
struct Rounded<'a> {
    source: &'a Checkpoint,
    plan: &'a QuantPlan,
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
        let scheme = scheme(planned.scheme.0).unwrap();
        scheme.quantize(out, planned.shape.1, None, &mut quantized).unwrap();
        dequantize(&planned.grid, &quantized, out).unwrap();
        Ok(())
    }

    fn sidecar(&self, name: &str) -> Option<&[u8]> {
        self.source.sidecar(name)
    }
}

/// One export and how it is run.
pub struct Case {
    pub name: &'static str,
    /// The checkpoint's folder.
    pub model: PathBuf,
    pub recipe: &'static str,
    pub options: OnnxOptions,
    /// Replaces every `accuracy_level` of the graph before it is run.
    pub accuracy: Option<i64>,
    /// What another program computed for this checkpoint; else our own forward pass over the rounded weights.
    pub golden: Option<Golden>,
}

/// Tokens a continuation has.
const CONTINUE: usize = 12;

/// Tokens of a case: prompt-like, no two steps alike.
const STEPS: [usize; 6] = [1, 2, 1, 5, 10, 5];

fn ids(vocab: u32) -> Vec<u32> {
    let count: usize = STEPS.iter().sum();
    (0..count as u32).map(|i| if i == 0 { 1 } else { (i * i * 37 + 11 * i + 6) % vocab }).collect()
}

impl Case {
    /// A case of a checkpoint among the fixtures.
    pub fn new(name: &'static str, model: &str, recipe: &'static str) -> Self {
        let model = lfmq_testkit::fixtures().join(model);
        Self { name, model, recipe, options: OnnxOptions::default(), accuracy: None, golden: None }
    }

    /// Writes everything; returns the case's file.
    pub fn write(&self) -> PathBuf {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("onnx-cases").join(self.name);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let source = Checkpoint::open(&self.model).unwrap();
        let plan = self.plan(&source);
        let graph = self.export(&source, &plan, &folder);

        let (ids, logits) = match &self.golden {
            Some(golden) => (golden.ids.clone(), golden.prefill.clone()),
            None => {
                let ids = ids(source.spec().vocab as u32);
                let logits = self.forward(&source, &plan, &ids, Want::All);
                (ids, logits)
            }
        };
        let count = ids.len();
        let bytes: Vec<u8> = logits.iter().flat_map(|v| v.to_le_bytes()).collect();
        fs::write(folder.join("expected.f32"), bytes).unwrap();
        let case = json!({
            "graph": graph,
            "ids": ids,
            "steps": [vec![count], vec![1; count], STEPS],
            "expected": "expected.f32",
            "accuracy": self.accuracy,
            "threads": 1,
            "continue": CONTINUE,
        });
        let file = folder.join("case.json");
        fs::write(&file, case.to_string()).unwrap();
        file
    }

    /// Logits of the checkpoint's own forward pass, its weights as the plan rounds them.
    fn forward(&self, source: &Checkpoint, plan: &QuantPlan, ids: &[u32], want: Want) -> Vec<f32> {
        let rounded = Rounded { source, plan };
        let reference = Reference::open(&rounded, Kernels::best()).unwrap();
        let mut logits = Vec::new();
        reference.session(ids.len()).unwrap().feed(ids, want, &mut logits).unwrap();
        logits
    }

    /// The likeliest tokens after those of the case, up to the end of the text.
    pub fn continuation(&self) -> Vec<u32> {
        let source = Checkpoint::open(&self.model).unwrap();
        let plan = self.plan(&source);
        let mut all = ids(source.spec().vocab as u32);
        let start = all.len();
        while all.len() < start + CONTINUE {
            let logits = self.forward(&source, &plan, &all, Want::Last);
            let best = (0..logits.len()).max_by(|a, b| logits[*a].total_cmp(&logits[*b])).unwrap() as u32;
            all.push(best);
            if source.spec().tokens.eos.contains(&best) {
                break;
            }
        }
        all.split_off(start)
    }

    fn plan(&self, source: &Checkpoint) -> QuantPlan {
        lfmq_quant::plan(source, &Recipe::named(self.recipe).unwrap(), None).unwrap()
    }

    /// Writes the folder; returns the graph's path in it.
    fn export(&self, source: &Checkpoint, plan: &QuantPlan, folder: &Path) -> String {
        let exporter = OnnxExporter { options: self.options.clone() };
        let export = exporter.plan(&ExportJob { source, plan, stem: "x" }).unwrap();
        let sink = Folder::of(&*export, folder).unwrap();
        export.write_frame(&sink).unwrap();
        let outputs: [(&dyn lfmq_core::ExportPlan, &dyn Sink); 1] = [(&*export, &sink)];
        lfmq_quant::quantize(source, plan, None, &outputs, &|_| false, &|_| Ok(()), 1 << 26, &Silent).unwrap();
        export.files().iter().find(|f| f.name.ends_with(".onnx")).unwrap().name.clone()
    }
}
