//! What an exporter promises, whatever the bytes: exact sizes, every byte once, and errors before any weight.

use lfmq_checkpoint::{Checkpoint, disk_name, spec_from_config};
use lfmq_core::{
    ExportJob, ExportPlan, Exporter, Fault, Kind as Blame, Payload, QuantPlan, QuantizedRows, TensorSource,
};
use lfmq_quant::{Recipe, scheme};
use lfmq_testkit::hollow::Hollow;
use lfmq_testkit::kit::{self, Kind};
use lfmq_testkit::sink::{self, Counting};
use lfmq_testkit::synth::Size;
use lfmq_tflite_export::{Files, TfliteExporter, TfliteOptions};

fn open(kind: Kind) -> (tempfile::TempDir, Checkpoint) {
    let parent = tempfile::tempdir().unwrap();
    let folder = kit::write(parent.path(), kind).unwrap();
    let source = Checkpoint::open(&folder).unwrap();
    (parent, source)
}

fn plan_of(source: &dyn TensorSource, recipe: &str) -> QuantPlan {
    lfmq_quant::plan(source, &Recipe::named(recipe).unwrap(), None).unwrap()
}

fn export<'a>(
    source: &'a dyn TensorSource,
    plan: &'a QuantPlan,
    options: TfliteOptions,
) -> Result<Box<dyn ExportPlan + 'a>, Fault> {
    TfliteExporter { options }.plan(&ExportJob { source, plan, stem: "x" })
}

/// Writes everything in slabs of `rows` rows, the last slab first if `backwards`.
fn write(source: &Checkpoint, plan: &QuantPlan, export: &dyn ExportPlan, rows: usize, backwards: bool) -> Vec<Vec<u8>> {
    sink::write(source, export, (rows, backwards), |index, x| {
        let planned = &plan.tensors[index];
        let mut rows = QuantizedRows::default();
        scheme(planned.scheme.0).unwrap().quantize(x, planned.shape.1, None, &mut rows).unwrap();
        rows
    })
}

#[test]
fn every_byte_is_written_once_in_any_order_and_slab() {
    let (_folder, source) = open(Kind::Moe);
    let inline = TfliteOptions { inline_weights: true, ..TfliteOptions::default() };
    for (recipe, options) in [
        ("tflite-q4", TfliteOptions::default()),
        ("tflite-q4-mixed", inline.clone()),
        ("tflite-q8", inline),
        ("tflite-fp16", TfliteOptions::default()),
    ] {
        let plan = plan_of(&source, recipe);
        let made = export(&source, &plan, options).unwrap();
        let whole = write(&source, &plan, &*made, usize::MAX / 2, false);
        assert!(whole == write(&source, &plan, &*made, 37, true), "{recipe}");
        let stored: u64 = (0..source.tensors().len()).map(|i| made.tensor_bytes(i)).sum();
        let model = whole[0].len() as u64;
        assert!(stored < model && model - stored < 1 << 20, "{recipe}: {stored} of {model}");
        // The bundle ends with the very model.
        assert!(whole[1].ends_with(&whole[0]) && (whole[1].len() - whole[0].len()).is_multiple_of(16_384), "{recipe}");
        assert_eq!((&whole[0][4..8], &whole[1][..8]), (&b"TFL3"[..], &b"LITERTLM"[..]));
    }
}

#[test]
fn files_are_those_asked_for() {
    let (_folder, source) = open(Kind::Dense);
    let plan = plan_of(&source, "tflite-q8");
    for (files, models, tokenizer, runtimes) in [
        (Files::Both, vec!["x.tflite", "x.litertlm"], true, 2),
        (Files::Tflite, vec!["x.tflite"], true, 1),
        (Files::Litertlm, vec!["x.litertlm"], false, 1),
    ] {
        let made = export(&source, &plan, TfliteOptions { files, ..TfliteOptions::default() }).unwrap();
        let names: Vec<&str> = made.files().iter().map(|f| f.name.as_str()).collect();
        assert_eq!(names[..models.len()], models);
        assert_eq!(names.contains(&"tokenizer.json"), tokenizer, "{names:?}");
        assert_eq!(made.runtimes().len(), runtimes);
    }
}

#[test]
fn grids_that_no_kernel_reads_are_refused_by_tensor() {
    let (_folder, source) = open(Kind::Moe);
    for (recipe, part) in [
        ("Q4_K_M", "int8-row"),
        ("Q4_0", "int8-row"),
        ("onnx-q4", "int8-row"),
        ("IQ4_NL", "int8-row"),
        ("lfm2-4bit", "int8-row"),
    ] {
        let plan = plan_of(&source, recipe);
        let found = export(&source, &plan, TfliteOptions::default()).err().unwrap();
        let text = found.to_string();
        assert!(text.starts_with("tensor `model.") && text.ends_with(part), "{recipe}: {text}");
        assert!(found.hint.is_some());
    }
    // A matrix that stays in bfloat16 is kept as it is, as binary32.
    assert!(export(&source, &plan_of(&source, "BF16"), TfliteOptions::default()).is_ok());
}

#[test]
fn numbers_that_make_no_model_are_refused() {
    let (_folder, source) = open(Kind::Dense);
    let plan = plan_of(&source, "tflite-q8");
    let base = TfliteOptions::default();
    for (options, part) in [
        (TfliteOptions { context: Some(0), ..base.clone() }, "a context of 0"),
        (TfliteOptions { context: Some(1 << 30), ..base.clone() }, "positions"),
        (TfliteOptions { prefill: vec![8, 0], ..base.clone() }, "a prefill step of 0"),
        (TfliteOptions { prefill: vec![64], context: Some(32), ..base.clone() }, "1 to 32 tokens"),
        (TfliteOptions { prefill: vec![8, 8], ..base }, "differ"),
    ] {
        let found = export(&source, &plan, options).err().unwrap();
        assert!(found.to_string().contains(part), "{found}");
        assert_eq!(found.kind, Blame::Usage);
    }
}

#[test]
fn rows_that_do_not_belong_are_refused() {
    let (_folder, source) = open(Kind::Dense);
    let mut plan = plan_of(&source, "tflite-q8");
    let made = export(&source, &plan, TfliteOptions::default()).unwrap();
    let out = Counting::of(&*made);
    let rows = |rows: usize, cols, scale| {
        let payload = Payload::Codes { codes: vec![0; rows * cols], scales: vec![scale; rows], zeros: Vec::new() };
        QuantizedRows { rows, cols, payload }
    };
    let index = source.tensors().iter().position(|t| t.rows == 512 && t.cols == 256).unwrap();
    let name = &source.tensors()[index].name;
    let floats = QuantizedRows { rows: 1, cols: 256, payload: Payload::Float(vec![0.0; 256]) };
    for (first, given, part) in [
        (512, rows(1, 256, 1.0), "512"),
        (511, rows(2, 256, 1.0), "512"),
        (0, rows(1, 255, 1.0), "255"),
        (9, rows(3, 256, 0.0), "row 9: a scale"),
        (0, floats, "floats"),
    ] {
        let error = made.write_rows(index, first, &given, &out).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains(part), "{error}");
    }
    assert!(made.write_rows(10_000, 0, &rows(1, 1, 1.0), &out).is_err());
    assert_eq!(made.tensor_bytes(index), 512 * 256 + 512 * 4);
    drop(made);

    plan.tensors.swap(0, 1);
    let found = export(&source, &plan, TfliteOptions::default()).err().unwrap();
    assert!(found.to_string().contains("does not belong"), "{found}");
}

/// The largest published mixture, 8.3 billion weights: the flatbuffer stays small beside them, and what does not fit
/// into one is refused.
#[test]
fn a_plan_of_full_size_reads_no_weight() {
    let source = Hollow::new(spec_from_config(&Size::B8A1.config()).unwrap(), disk_name);
    let plan = plan_of(&source, "tflite-q8");
    let alone = TfliteOptions { files: Files::Tflite, ..TfliteOptions::default() };
    let made = export(&source, &plan, alone.clone()).unwrap();
    let stored: u64 = (0..source.tensors.len()).map(|i| made.tensor_bytes(i)).sum();
    let rest = made.files()[0].bytes - stored;
    assert!(stored > 8_300_000_000 && rest < 16 << 20, "{rest} bytes beside {stored}");

    let inline = TfliteOptions { inline_weights: true, ..alone };
    let found = export(&source, &plan, inline).err().unwrap();
    assert!(found.to_string().contains("more than its limit of 2147483647") && found.hint.is_some(), "{found}");
    // Without a tokenizer there is no bundle.
    let found = export(&source, &plan, TfliteOptions::default()).err().unwrap();
    assert!(found.to_string().contains("tokenizer.json"), "{found}");
}
