//! What an exporter promises, whatever the bytes: exact sizes, every byte once, and errors before any weight.

use lfmq_checkpoint::Checkpoint;
use lfmq_core::{ExportJob, ExportPlan, Exporter, Fault, Payload, QuantPlan, QuantizedRows, TensorSource};
use lfmq_gguf_export::{GgufExporter, GgufOptions, Split, SplitLimit};
use lfmq_quant::{Recipe, scheme};
use lfmq_testkit::kit::{self, Kind};
use lfmq_testkit::sink::{self, Counting};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

fn plan_of(source: &Checkpoint, recipe: &str) -> QuantPlan {
    lfmq_quant::plan(source, &Recipe::named(recipe).unwrap(), None).unwrap()
}

fn export<'a>(
    source: &'a Checkpoint,
    plan: &'a QuantPlan,
    options: GgufOptions,
) -> Result<Box<dyn ExportPlan + 'a>, Fault> {
    GgufExporter { options }.plan(&ExportJob { source, plan, stem: "x" })
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
    let parent = tempfile::tempdir().unwrap();
    let source = Checkpoint::open(&kit::write(parent.path(), Kind::Moe).unwrap()).unwrap();
    let plan = plan_of(&source, "Q4_0");
    let whole = write(&source, &plan, &*export(&source, &plan, GgufOptions::default()).unwrap(), usize::MAX / 2, false);
    assert_eq!(whole.len(), 1);
    let slabs = write(&source, &plan, &*export(&source, &plan, GgufOptions::default()).unwrap(), 37, true);
    assert!(whole == slabs);

    let split = Some(Split { limit: SplitLimit::Bytes(1_000_000), no_tensor_first: false });
    let sharded = export(&source, &plan, GgufOptions { split, ..GgufOptions::default() }).unwrap();
    assert!(sharded.files().len() > 3);
    write(&source, &plan, &*sharded, 64, true);
}

#[test]
fn rows_that_do_not_belong_are_refused() {
    let parent = tempfile::tempdir().unwrap();
    let source = Checkpoint::open(&kit::write(parent.path(), Kind::Dense).unwrap()).unwrap();
    let mut plan = plan_of(&source, "F32");
    let made = export(&source, &plan, GgufOptions::default()).unwrap();
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
    let error = export(&source, &plan, GgufOptions::default()).err().unwrap();
    assert!(error.to_string().contains("does not belong"), "{error}");
}

#[test]
fn a_stack_of_two_grids_is_refused() {
    let parent = tempfile::tempdir().unwrap();
    let source = Checkpoint::open(&kit::write(parent.path(), Kind::Moe).unwrap()).unwrap();
    let mut plan = plan_of(&source, "Q4_0");
    let expert = plan.tensors.iter_mut().find(|t| t.id.role.expert() == Some(3)).unwrap();
    expert.grid = scheme("q8_0").unwrap().grid();
    let name = expert.name.clone();
    let error = export(&source, &plan, GgufOptions::default()).err().unwrap().to_string();
    assert!(error.contains(&name) && error.contains("one grid"), "{error}");
}

/// Opens the tiny dense model after a change to its folder, and plans.
fn refused(kind: Kind, change: impl FnOnce(&Path)) -> Fault {
    let parent = tempfile::tempdir().unwrap();
    let folder: PathBuf = kit::write(parent.path(), kind).unwrap();
    change(&folder);
    let source = Checkpoint::open(&folder).unwrap();
    let plan = plan_of(&source, "Q8_0");
    export(&source, &plan, GgufOptions::default()).err().unwrap()
}

fn edit(path: PathBuf, change: impl FnOnce(&mut Value)) {
    let mut value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    change(&mut value);
    fs::write(path, value.to_string()).unwrap();
}

#[test]
fn unfit_side_files_are_named() {
    let error = refused(Kind::Dense, |folder| fs::remove_file(folder.join("tokenizer.json")).unwrap());
    assert!(error.to_string().contains("tokenizer.json"), "{error}");
    let error = refused(Kind::Dense, |folder| {
        edit(folder.join("tokenizer.json"), |t| {
            t["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = r"\p{L}+".into();
        });
    });
    assert!(error.to_string().contains(r"\p{L}+") && error.hint.is_some(), "{error}");
    let error = refused(Kind::Dense, |folder| fs::write(folder.join("README.md"), "---\na: [\n---\n").unwrap());
    assert!(error.to_string().contains("README.md"), "{error}");
    let error = refused(Kind::Moe, |folder| {
        edit(folder.join("config.json"), |c| c["routed_scaling_factor"] = 2.5.into());
    });
    assert!(error.to_string().contains("`routed_scaling_factor` = 2.5"), "{error}");
}
