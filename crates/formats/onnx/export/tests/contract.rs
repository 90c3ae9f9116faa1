//! What an exporter promises, whatever the bytes: exact sizes, every byte once, and errors before any weight.

use lfmq_checkpoint::{Checkpoint, disk_name, spec_from_config};
use lfmq_core::{
    DType, ExportJob, ExportPlan, Exporter, Fault, Kind as Blame, ModelSpec, Payload, QuantPlan, QuantizedRows, Sink,
    SourceError, SourceTensor, TensorSource,
};
use lfmq_onnx_export::{ConvForm, ConvState, Float, MinOrt, MoeForm, OnnxExporter, OnnxOptions};
use lfmq_quant::{Recipe, scheme};
use lfmq_testkit::kit::{self, Kind};
use serde_json::{Value, json};
use std::io;
use std::ops::Range;
use std::sync::Mutex;

/// Files in memory that count how often each byte was written.
struct Counting(Vec<Mutex<(Vec<u8>, Vec<u8>)>>);

impl Counting {
    fn of(plan: &dyn ExportPlan) -> Self {
        let file = |bytes: u64| Mutex::new((vec![0; bytes as usize], vec![0; bytes as usize]));
        Self(plan.files().iter().map(|f| file(f.bytes)).collect())
    }

    /// The files, each byte of which was written once.
    fn once(self) -> Vec<Vec<u8>> {
        let files = self.0.into_iter().map(|file| file.into_inner().unwrap());
        files
            .map(|(bytes, counts)| {
                assert!(counts.iter().all(|n| *n == 1));
                bytes
            })
            .collect()
    }
}

impl Sink for Counting {
    fn write_at(&self, file: usize, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut file = self.0[file].lock().unwrap();
        let range = offset as usize..offset as usize + bytes.len();
        file.0[range.clone()].copy_from_slice(bytes);
        file.1[range].iter_mut().for_each(|n| *n += 1);
        Ok(())
    }
}

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
    let out = Counting::of(export);
    let mut slabs: Vec<(usize, usize)> = source
        .tensors()
        .iter()
        .enumerate()
        .flat_map(|(index, t)| (0..t.rows).step_by(rows).map(move |first| (index, first)))
        .collect();
    if backwards {
        slabs.reverse();
    }
    for (index, first) in slabs {
        let tensor = &source.tensors()[index];
        let last = (first + rows).min(tensor.rows);
        let mut x = vec![0.0; (last - first) * tensor.cols];
        source.read_rows(index, first..last, &mut x).unwrap();
        let mut quantized = QuantizedRows::default();
        scheme(plan.tensors[index].scheme.0).unwrap().quantize(&x, tensor.cols, None, &mut quantized).unwrap();
        export.write_rows(index, first, &quantized, &out).unwrap();
    }
    export.write_frame(&out).unwrap();
    out.once()
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
    let found = error(&source, &mixed, qmoe).to_string();
    assert!(found.contains(&name) && found.contains("one grid"), "{found}");
    // Experts by themselves may differ.
    assert!(export(&source, &mixed, OnnxOptions::default()).is_ok());
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

/// A model of which there is nothing but the shape.
struct Hollow(ModelSpec, Vec<SourceTensor>);

impl Hollow {
    fn new(config: &Value) -> Self {
        let spec = spec_from_config(config).unwrap();
        let tensor =
            |(id, (rows, cols))| SourceTensor { id, name: disk_name(id), shard: 0, dtype: DType::BF16, rows, cols };
        let tensors = spec.tensors().into_iter().map(tensor).collect();
        Self(spec, tensors)
    }
}

impl TensorSource for Hollow {
    fn spec(&self) -> &ModelSpec {
        &self.0
    }

    fn name(&self) -> &str {
        "hollow"
    }

    fn tensors(&self) -> &[SourceTensor] {
        &self.1
    }

    fn read_rows(&self, _: usize, _: Range<usize>, _: &mut [f32]) -> Result<(), SourceError> {
        panic!("a plan reads no weight")
    }

    fn sidecar(&self, _: &str) -> Option<&[u8]> {
        None
    }
}

/// The largest published mixture: 8.3 billion weights in files that a browser can hold, the graph small.
#[test]
fn a_plan_of_full_size_reads_no_weight() {
    let layers: Vec<_> =
        (0..24).map(|i| if [2, 6, 10, 14, 18, 21].contains(&i) { "full_attention" } else { "conv" }).collect();
    let source = Hollow::new(&json!({
        "architectures": ["Lfm2MoeForCausalLM"], "model_type": "lfm2_moe", "layer_types": layers,
        "vocab_size": 65536, "hidden_size": 2048, "intermediate_size": 7168, "moe_intermediate_size": 1792,
        "num_hidden_layers": 24, "num_attention_heads": 32, "num_key_value_heads": 8, "num_dense_layers": 2,
        "num_experts": 32, "num_experts_per_tok": 4, "conv_L_cache": 3, "norm_eps": 1e-5, "rope_theta": 1e6,
        "max_position_embeddings": 128000, "norm_topk_prob": true, "use_expert_bias": true,
        "routed_scaling_factor": 1.0, "conv_bias": false, "bos_token_id": 1, "eos_token_id": 7, "pad_token_id": 0,
        "tie_word_embeddings": true,
    }));
    let plan = lfmq_quant::plan(&source, &Recipe::named("onnx-q4").unwrap(), None).unwrap();
    let exporter = OnnxExporter::default();
    let made = exporter.plan(&ExportJob { source: &source, plan: &plan, stem: "x" }).unwrap();
    let size = |name: &str| made.files().iter().filter(|f| f.name.starts_with(name)).map(|f| f.bytes).sum::<u64>();
    let data = size("onnx/model_q4.onnx_data");
    assert!(made.files().iter().all(|f| f.bytes <= 2_000_000_000));
    // 5.125 bits a weight, and padding.
    let bits = data as f64 * 8.0 / source.0.parameters() as f64;
    assert!((5.1..5.25).contains(&bits), "{bits} bits a weight, {:?}", made.files());
    assert!(size("onnx/model_q4.onnx") - data < 4 << 20, "{:?}", made.files());
}
