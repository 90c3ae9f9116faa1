//! Models in several files.

#[path = "../../wire/tests/build/mod.rs"]
mod build;
#[path = "support/make.rs"]
mod make;

use build::key;
use lfmq_core::{Activation, Executor, Want};
use lfmq_gguf_run::{Gguf, Options, RunError};
use lfmq_kernels::Kernels;
use lfmq_testkit::golden;
use make::Model;
use std::path::Path;

/// The model in three parts: keys in the first, tensors dealt out in order.
fn parts() -> Vec<Model> {
    let whole = Model::from_checkpoint(&golden::load("moe-published").unwrap().model);
    let total = whole.tensors.len() as i32;
    let per_part = whole.tensors.len().div_ceil(3);
    (0u16..)
        .zip(whole.tensors.chunks(per_part))
        .map(|(no, tensors)| {
            let keys = if no == 0 { whole.keys.clone() } else { Vec::new() };
            Model { arch: whole.arch, keys, tensors: tensors.to_vec() }
                .set("split.no", key("split.no", 2, &no.to_le_bytes()))
                .set("split.count", key("split.count", 2, &3u16.to_le_bytes()))
                .set("split.tensors.count", key("split.tensors.count", 5, &total.to_le_bytes()))
        })
        .collect()
}

fn write(folder: &Path, parts: &[Model]) {
    for (no, part) in (1..).zip(parts) {
        std::fs::write(folder.join(format!("m-{no:05}-of-00003.gguf")), part.bytes()).unwrap();
    }
}

fn open(folder: &Path, name: &str) -> Result<Gguf, RunError> {
    let options = Options { activation: Activation::F32, kernels: Kernels::best() };
    Gguf::open(&folder.join(name), options)
}

fn complaint(folder: &Path, name: &str) -> String {
    open(folder, name).err().map(|e| e.to_string()).unwrap_or_default()
}

#[test]
fn three_files_are_one_model() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &parts());
    let model = open(folder.path(), "m-00001-of-00003.gguf").unwrap();
    let case = golden::load("moe-published").unwrap();
    let mut logits = Vec::new();
    model.session(case.ids.len()).unwrap().feed(&case.ids, Want::All, &mut logits).unwrap();
    assert!(logits.iter().zip(&case.prefill).all(|(a, b)| (a - b).abs() < 1e-4));
    assert_eq!(model.inspect().unwrap().files, 3);
}

#[test]
fn parts_that_do_not_fit_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let all = parts();
    write(path, &all);
    let first = "m-00001-of-00003.gguf";
    assert!(complaint(path, "m-00002-of-00003.gguf").contains("this is part 2 of 3"));

    write(path, &[all[0].clone(), all[2].clone(), all[2].clone()]);
    let said = complaint(path, first);
    assert!(said.contains("m-00002-of-00003.gguf") && said.contains("expected part 2 of 3"), "{said}");

    let mut doubled = all.clone();
    doubled[2].tensors[0] = all[0].tensors[0].clone();
    write(path, &doubled);
    let said = complaint(path, first);
    assert!(said.contains(&format!("`{}` is in two parts", all[0].tensors[0].0)), "{said}");

    let mut fewer = all.clone();
    fewer[2].tensors.pop();
    write(path, &fewer);
    assert!(complaint(path, first).contains("split.tensors.count is"));

    std::fs::remove_file(path.join("m-00003-of-00003.gguf")).unwrap();
    let said = complaint(path, first);
    assert!(said.contains("cannot open") && said.contains("m-00003-of-00003.gguf"), "{said}");

    std::fs::rename(path.join(first), path.join("other.gguf")).unwrap();
    assert!(complaint(path, "other.gguf").contains("must be named PREFIX-00001-of-00003.gguf"));
}
