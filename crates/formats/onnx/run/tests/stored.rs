//! The weights an ONNX file stores, read back: every tensor of the checkpoint under its name, with the values its plan
//! gave it.

mod support;

use lfmq_checkpoint::Checkpoint;
use lfmq_core::{Activation, Executor, TensorSource};
use lfmq_kernels::Kernels;
use lfmq_onnx_export::{Float, MinOrt, MoeForm, OnnxOptions};
use lfmq_testkit::fixtures;
use std::collections::BTreeSet;
use support::{Rounded, open};

#[test]
fn every_tensor_comes_back_by_name() {
    let plain = OnnxOptions::default();
    let half = OnnxOptions { float: Float::F16, ..OnnxOptions::default() };
    let qmoe = OnnxOptions { moe: MoeForm::Qmoe, min_ort: MinOrt::V1_31, ..OnnxOptions::default() };
    for (model, recipe, options, schemes) in [
        ("lfm2-tiny", "onnx-q4", &plain, &["f32", "int4-g32-zp", "int8-g32"][..]),
        ("lfm2-tiny", "onnx-q8", &plain, &["f32", "int8-g32"]),
        ("lfm2-tiny", "onnx-q4f16", &half, &["f32", "int4-g32", "int8-g32"]),
        ("lfm2-tiny", "onnx-fp16", &half, &["f16", "f32"]),
        ("lfm2-tiny", "onnx-fp32", &plain, &["f32"]),
        ("lfm2-tiny", "onnx-quantized", &plain, &["f32", "int8-row"]),
        ("lfm2-tiny-moe", "onnx-q4", &plain, &["f32", "int4-g32-zp", "int8-g32"]),
        (
            "lfm2-tiny-moe",
            "onnx-q4f16",
            &OnnxOptions { float: Float::F16, ..qmoe.clone() },
            &["f32", "int4-g32", "int8-g32"],
        ),
        ("lfm2-tiny-moe", "onnx-q8", &qmoe, &["f32", "int8-g32"]),
    ] {
        let checkpoint = Checkpoint::open(&fixtures().join(model)).unwrap();
        let rounded = Rounded::new(&checkpoint, recipe);
        let folder = tempfile::tempdir().unwrap();
        rounded.export(options.clone(), folder.path());
        let onnx = open(folder.path(), Activation::F32, Kernels::best());
        let weights = onnx.weights().unwrap();
        let stored = weights.tensors();
        let names: BTreeSet<&str> = stored.iter().map(|t| t.name.as_str()).collect();
        let expected: BTreeSet<&str> = checkpoint.tensors().iter().map(|t| t.name.as_str()).collect();
        assert!(names == expected, "{model} {recipe}: {:?}", names.symmetric_difference(&expected).collect::<Vec<_>>());
        let found: BTreeSet<&str> = stored.iter().map(|t| t.scheme.as_str()).collect();
        assert_eq!(found, schemes.iter().copied().collect(), "{model} {recipe}");
        for (index, tensor) in stored.iter().enumerate() {
            assert_eq!(tensor.id, None);
            let place = checkpoint.tensors().iter().position(|t| t.name == tensor.name).unwrap();
            let own = &checkpoint.tensors()[place];
            assert_eq!((tensor.rows, tensor.cols), (own.rows, own.cols), "{}", tensor.name);
            let (mut expected, mut found) = (vec![0.0; own.rows * own.cols], vec![0.0; own.rows * own.cols]);
            rounded.read_rows(place, 0..own.rows, &mut expected).unwrap();
            weights.read_rows(index, 0..own.rows, &mut found).unwrap();
            assert!(expected == found, "{model} {recipe}: `{}` ({})", tensor.name, tensor.scheme);
        }
        // What all tensors take together is what the file takes, a tied matrix once.
        let bytes: u64 = stored.iter().map(|t| t.bytes).sum();
        let file = std::fs::metadata(folder.path().join("model.onnx_data")).unwrap().len();
        assert!(bytes <= file && file < bytes + 4096 * 4 * stored.len() as u64, "{model} {recipe}: {bytes} of {file}");
    }
}

#[test]
fn rows_that_are_not_there_are_refused() {
    let checkpoint = Checkpoint::open(&fixtures().join("lfm2-tiny")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    Rounded::new(&checkpoint, "onnx-q4").export(OnnxOptions::default(), folder.path());
    let onnx = open(folder.path(), Activation::F32, Kernels::best());
    let weights = onnx.weights().unwrap();
    let (rows, cols) = (weights.tensors()[0].rows, weights.tensors()[0].cols);
    let mut out = vec![0.0; 2 * cols];
    assert!(weights.read_rows(0, rows - 2..rows, &mut out).is_ok());
    for (index, range) in [(0, rows - 1..rows + 1), (0, 0..1), (weights.tensors().len(), 0..2)] {
        assert!(weights.read_rows(index, range, &mut out).is_err());
    }
}
