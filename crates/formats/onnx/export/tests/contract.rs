//! What an exporter promises, whatever the bytes: exact sizes, every byte once, and errors before any weight.

use lfmq_checkpoint::{Checkpoint, disk_name, spec_from_config};
use lfmq_core::{
    ExportJob, ExportPlan, Exporter, Fault, Kind as Blame, Payload, QuantPlan, QuantizedRows, TensorSource,
};
use lfmq_onnx_export::{ConvForm, ConvState, Float, MinOrt, MoeForm, OnnxExporter, OnnxOptions};
use lfmq_quant::{Recipe, scheme};
use lfmq_testkit::hollow::Hollow;
use lfmq_testkit::kit::{self, Kind};
use lfmq_testkit::sink::{self, Counting};
use lfmq_testkit::synth::Size;
use serde_json::Value;

fn open(kind: Kind) -> (tempfile::TempDir, Checkpoint) {
    let parent = tempfile::tempdir().unwrap();
    let folder = kit::write(parent.path(), kind).unwrap();
    let source = Checkpoint::open(&folder).unwrap();
    (parent, source)
}

fn plan_of(source: &Checkpoint, recipe: &str) -> QuantPlan {
    lfmq_quant::plan(source, &Recipe::named(recipe).unwrap(), None).unwrap()
}

fn export<'a>(
    source: &'a Checkpoint,
    plan: &'a QuantPlan,
    options: OnnxOptions,
) -> Result<Box<dyn ExportPlan + 'a>, Fault> {
    OnnxExporter { options }.plan(&ExportJob { source, plan, stem: "x" })
}

fn error(source: &Checkpoint, plan: &QuantPlan, options: OnnxOptions) -> Fault {
    export(source, plan, options).err().unwrap()
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
    let qmoe = OnnxOptions { moe: MoeForm::Qmoe, min_ort: MinOrt::V1_28, ..OnnxOptions::default() };
    let half = OnnxOptions { float: Float::F16, ..OnnxOptions::default() };
    for (recipe, options) in [
        ("onnx-q4", OnnxOptions::default()),
        ("onnx-quantized", OnnxOptions::default()),
        ("phone-4bit", qmoe),
        ("onnx-q4f16", half),
    ] {
        let plan = plan_of(&source, recipe);
        let made = || export(&source, &plan, options.clone()).unwrap();
        let whole = write(&source, &plan, &*made(), usize::MAX / 2, false);
        assert!(whole == write(&source, &plan, &*made(), 37, true), "{recipe}");
        let stored: u64 = (0..source.tensors().len()).map(|i| made().tensor_bytes(i)).sum();
        let data = whole[0].len() as u64;
        assert!(stored <= data && data - stored < 4096 * 4 * source.tensors().len() as u64, "{recipe}");
    }
}

#[test]
fn data_is_cut_into_files_no_larger_than_asked_for() {
    let (_folder, source) = open(Kind::Dense);
    let plan = plan_of(&source, "onnx-q8");
    let options = OnnxOptions { chunk: 300_000, name: Some("model_q8".to_owned()), ..OnnxOptions::default() };
    let made = export(&source, &plan, options).unwrap();
    let data: Vec<_> = made.files().iter().filter(|f| f.name.contains("onnx_data")).collect();
    assert!(data.len() > 2 && data.iter().all(|f| f.bytes <= 300_000), "{data:?}");
    assert_eq!((&*data[0].name, &*data[1].name), ("model_q8.onnx_data", "model_q8.onnx_data_1"));
    let count = data.len();
    let files: Vec<String> = made.files().iter().map(|f| f.name.clone()).collect();
    let written = write(&source, &plan, &*made, 64, true);
    let json = |name: &str| -> Value {
        serde_json::from_slice(&written[files.iter().position(|f| f == name).unwrap()]).unwrap()
    };
    let web = &json("config.json")["transformers.js_config"]["use_external_data_format"];
    assert_eq!(web["model_q8.onnx"], count);
    let genai = json("genai_config.json");
    assert_eq!(genai["model"]["decoder"]["filename"], "model_q8.onnx");
    assert_eq!(genai["model"]["decoder"]["layer_types"], json("config.json")["layer_types"]);

    let small = OnnxOptions { chunk: 1000, ..OnnxOptions::default() };
    let error = error(&source, &plan, small);
    assert!(error.to_string().contains("data file of 1000"), "{error}");
}

#[test]
fn grids_that_no_operator_reads_are_refused_by_tensor() {
    let (_folder, source) = open(Kind::Moe);
    for (recipe, float, part) in [
        ("Q4_K_M", Float::F32, "int8-g32"),
        ("Q6_K", Float::F32, "int8-g32"),
        ("onnx-q4", Float::F16, "q8_0"),
        ("BF16", Float::F16, "f16"),
        ("onnx-quantized", Float::F16, "q8_0"),
    ] {
        let plan = plan_of(&source, recipe);
        let found = error(&source, &plan, OnnxOptions { float, ..OnnxOptions::default() });
        let text = found.to_string();
        assert!(text.starts_with("tensor `model.") && text.ends_with(part), "{recipe}: {text}");
        assert!(found.hint.is_some());
    }
    let qmoe = OnnxOptions { moe: MoeForm::Qmoe, min_ort: MinOrt::V1_31, ..OnnxOptions::default() };
    let found = error(&source, &plan_of(&source, "onnx-q4"), qmoe.clone()).to_string();
    assert!(found.contains("experts.0.") && found.contains("symmetric"), "{found}");
    let mut mixed = plan_of(&source, "phone-4bit");
    let expert = mixed.tensors.iter_mut().find(|t| t.id.role.expert() == Some(3)).unwrap();
    expert.grid = scheme("q8_0").unwrap().grid();
    let name = expert.name.clone();
    // Also where each expert is stored by itself: what one format holds all of them shall.
    for options in [qmoe, OnnxOptions::default()] {
        let found = error(&source, &mixed, options).to_string();
        assert!(found.contains(&name) && found.contains("one grid"), "{found}");
    }
}

#[test]
fn options_that_exclude_each_other_are_refused() {
    let (_folder, source) = open(Kind::Dense);
    let plan = plan_of(&source, "onnx-q4");
    let base = OnnxOptions::default();
    for (options, part) in [
        (OnnxOptions { conv: ConvForm::Fused, ..base.clone() }, "onnxruntime 1.25, not 1.23"),
        (OnnxOptions { moe: MoeForm::Qmoe, ..base.clone() }, "onnxruntime 1.25"),
        (
            OnnxOptions { conv: ConvForm::Fused, min_ort: MinOrt::V1_25, conv_state: ConvState::Wide, ..base.clone() },
            "narrow",
        ),
        (OnnxOptions { name: Some("a/../b".to_owned()), ..base.clone() }, "inside the folder"),
    ] {
        let found = error(&source, &plan, options);
        assert!(found.to_string().contains(part), "{found}");
        assert_eq!(found.kind, Blame::Usage);
    }
    assert_eq!("1.28".parse(), Ok(MinOrt::V1_28));
    assert!("1.2".parse::<MinOrt>().is_err());
}

#[test]
fn rows_that_do_not_belong_are_refused() {
    let (_folder, source) = open(Kind::Dense);
    let mut plan = plan_of(&source, "onnx-fp32");
    let made = export(&source, &plan, OnnxOptions::default()).unwrap();
    let out = Counting::of(&*made);
    let rows = |rows, cols, value| QuantizedRows { rows, cols, payload: Payload::Float(vec![value; rows * cols]) };
    let index = source.tensors().iter().position(|t| t.rows == 512 && t.cols == 256).unwrap();
    let name = &source.tensors()[index].name;
    for (first, given, part) in [
        (512, rows(1, 256, 0.0), "512"),
        (511, rows(2, 256, 0.0), "512"),
        (0, rows(1, 255, 0.0), "255"),
        (9, rows(3, 256, f32::NAN), "row 9"),
    ] {
        let error = made.write_rows(index, first, &given, &out).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains(part), "{error}");
    }
    assert!(made.write_rows(10_000, 0, &rows(1, 1, 0.0), &out).is_err());
    assert_eq!(made.tensor_bytes(index), 512 * 256 * 4);
    drop(made);

    plan.tensors.swap(0, 1);
    let found = error(&source, &plan, OnnxOptions::default());
    assert!(found.to_string().contains("does not belong"), "{found}");
}

/// The largest published mixture: 8.3 billion weights in files that a browser can hold, the graph small.
#[test]
fn a_plan_of_full_size_reads_no_weight() {
    let source = Hollow::new(spec_from_config(&Size::B8A1.config()).unwrap(), disk_name);
    let plan = lfmq_quant::plan(&source, &Recipe::named("onnx-q4").unwrap(), None).unwrap();
    let exporter = OnnxExporter::default();
    let made = exporter.plan(&ExportJob { source: &source, plan: &plan, stem: "x" }).unwrap();
    let size = |name: &str| made.files().iter().filter(|f| f.name.starts_with(name)).map(|f| f.bytes).sum::<u64>();
    let data = size("onnx/model_q4.onnx_data");
    assert!(made.files().iter().all(|f| f.bytes <= 2_000_000_000));
    // 5.125 bits a weight, and padding.
    let bits = data as f64 * 8.0 / source.spec().parameters() as f64;
    assert!((5.1..5.25).contains(&bits), "{bits} bits a weight, {:?}", made.files());
    assert!(size("onnx/model_q4.onnx") - data < 4 << 20, "{:?}", made.files());
}
