//! A reader written by somebody else accepts every file: names resolve in order, and every weight's bytes lie where its
//! type and shape need them.

use crate::emit::Case;
use lfmq_onnx_export::{ConvForm, Float, MinOrt, MoeForm, OnnxOptions};
use rten_onnx::onnx::{DataLocation, DataType, GraphProto, ModelProto, TensorProto};
use serde_json::Value;
use std::collections::HashSet;
use std::fs::{self, File};
use std::path::Path;

/// Bits of one element.
fn bits(kind: DataType) -> u64 {
    match kind {
        DataType::UINT4 | DataType::INT4 => 4,
        DataType::UINT8 | DataType::INT8 | DataType::BOOL => 8,
        DataType::FLOAT16 => 16,
        DataType::FLOAT | DataType::INT32 => 32,
        DataType::INT64 => 64,
        other => panic!("{:?} is none of ours", other.name()),
    }
}

fn elements(tensor: &TensorProto) -> u64 {
    tensor.dims.iter().map(|d| u64::try_from(*d).unwrap()).product()
}

/// A weight's bytes: inside, or at its place in a file beside the graph.
fn weight(tensor: &TensorProto, folder: &Path) {
    let name = tensor.name.as_deref().unwrap();
    let needed = (elements(tensor) * bits(tensor.data_type.unwrap())).div_ceil(8);
    if tensor.data_location != Some(DataLocation::EXTERNAL) {
        let inline = tensor.raw_data.as_ref().map_or(0, |raw| raw.borrow().len() as u64);
        let lists = 8 * tensor.int64_data.len() as u64 + 4 * tensor.float_data.len() as u64;
        assert_eq!(inline + lists, needed, "{name}");
        return;
    }
    let entry = |key: &str| {
        let found = tensor.external_data.iter().find(|e| e.key.as_deref() == Some(key));
        found.and_then(|e| e.value.clone()).unwrap_or_else(|| panic!("{name} has no {key}"))
    };
    let (offset, length) = (entry("offset").parse::<u64>().unwrap(), entry("length").parse::<u64>().unwrap());
    assert_eq!((length, offset % 64), (needed, 0), "{name}");
    let location = entry("location");
    assert!(!location.contains(['/', '\\']), "{name}: {location}");
    let size = fs::metadata(folder.join(&location)).unwrap_or_else(|e| panic!("{location}: {e}")).len();
    assert!(offset + length <= size, "{name} ends at {} of {size}", offset + length);
}

/// Every input of a node was made before it, and nothing is made twice.
fn names(graph: &GraphProto) {
    let mut known: HashSet<&str> = HashSet::new();
    let inputs = graph.input.iter().map(|i| i.name.as_deref().unwrap());
    for name in inputs.chain(graph.initializer.iter().map(|t| t.name.as_deref().unwrap())) {
        assert!(known.insert(name), "{name} is there twice");
    }
    for node in &graph.node {
        let title = format!("{} {}", node.op_type.as_deref().unwrap(), node.name.as_deref().unwrap_or_default());
        for input in node.input.iter().filter(|i| !i.is_empty()) {
            assert!(known.contains(input.as_str()), "{title} takes {input} before it is made");
        }
        for output in node.output.iter().filter(|o| !o.is_empty()) {
            assert!(known.insert(output), "{title} makes {output} a second time");
        }
    }
    for output in graph.output.iter().map(|o| o.name.as_deref().unwrap()) {
        assert!(known.contains(output), "nothing makes {output}");
    }
}

fn accepted(case: &Case) {
    let file = case.write();
    let folder = file.parent().unwrap();
    let json: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    let path = folder.join(json["graph"].as_str().unwrap());
    let model = ModelProto::parse_file(File::open(&path).unwrap()).unwrap_or_else(|e| panic!("{}: {e}", case.name));
    assert_eq!(model.ir_version, Some(10), "{}", case.name);
    let domains: Vec<&str> = model.opset_import.iter().map(|o| o.domain.as_deref().unwrap_or_default()).collect();
    let graph = model.graph.unwrap();
    for domain in graph.node.iter().map(|n| n.domain.as_deref().unwrap_or_default()) {
        assert!(domains.contains(&domain), "{}: {domain} is not imported", case.name);
    }
    assert!(graph.node.len() > 50 && graph.initializer.len() > 30, "{}", case.name);
    names(&graph);
    graph.initializer.iter().for_each(|tensor| weight(tensor, path.parent().unwrap()));
}

#[test]
fn another_reader_accepts_every_flavour() {
    let plain = OnnxOptions::default();
    let half = OnnxOptions { float: Float::F16, ..plain.clone() };
    let web = OnnxOptions { logits_to_keep: true, chunk: 1 << 21, ..plain.clone() };
    let newest = OnnxOptions { conv: ConvForm::Fused, moe: MoeForm::Qmoe, min_ort: MinOrt::V1_31, ..plain.clone() };
    for (recipe, options) in [
        ("onnx-fp32", &plain),
        ("onnx-fp16", &half),
        ("onnx-q4", &plain),
        ("onnx-q4", &web),
        ("onnx-q4f16", &half),
        ("onnx-q8", &plain),
        ("onnx-quantized", &plain),
        ("phone-4bit", &newest),
    ] {
        for model in ["lfm2-tiny", "lfm2-tiny-moe"] {
            accepted(&Case { options: options.clone(), ..Case::new("witness", model, recipe) });
        }
    }
}
