//! A small model made by arithmetic, driven into memory.

mod model;
mod pack;
mod shapes;

use lfmq_core::{
    Classify, ExportPlan, Fault, Kind, ModelSpec, PlannedFile, QuantizedRows, Silent, Sink, SourceError, SourceTensor,
    TensorSource,
};
use lfmq_quant::{Importance, Output, Recipe, plan, quantize, quantize_all};
use model::{Model, tiny};
use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::sync::Mutex;

/// Keeps what it is handed, by tensor and first row.
#[derive(Default)]
struct Kept {
    rows: Mutex<BTreeMap<(usize, usize), QuantizedRows>>,
    fail_at: Option<usize>,
}

impl ExportPlan for Kept {
    fn files(&self) -> &[PlannedFile] {
        &[]
    }

    fn tensor_bytes(&self, _: usize) -> u64 {
        0
    }

    fn write_frame(&self, _: &dyn Sink) -> Result<(), Fault> {
        Ok(())
    }

    fn write_rows(&self, index: usize, first_row: usize, rows: &QuantizedRows, _: &dyn Sink) -> Result<(), Fault> {
        if self.fail_at == Some(index) {
            return Err(Fault::new(Kind::Environment, "disk full"));
        }
        let before = self.rows.lock().unwrap().insert((index, first_row), rows.clone());
        assert!(before.is_none(), "tensor {index} row {first_row} written twice");
        Ok(())
    }
}

struct Nowhere;

impl Sink for Nowhere {
    fn write_at(&self, _: usize, _: u64, _: &[u8]) -> io::Result<()> {
        Ok(())
    }
}

fn pool(threads: usize) -> rayon::ThreadPool {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap()
}

#[test]
fn threads_and_memory_change_nothing() {
    let model = tiny();
    let plan = plan(&model, &Recipe::named("Q4_K_M").unwrap(), None).unwrap();
    let mut first = None;
    for (threads, memory) in [(1, usize::MAX), (3, usize::MAX), (3, 1)] {
        let kept = Kept::default();
        let finished = Mutex::new(vec![0; plan.tensors.len()]);
        let report = pool(threads)
            .install(|| {
                let note = |t: usize| -> Result<(), Fault> {
                    finished.lock().unwrap()[t] += 1;
                    Ok(())
                };
                quantize(&model, &plan, None, &[(&kept, &Nowhere)], &|_| false, &note, memory, &Silent)
            })
            .unwrap();
        assert!(finished.into_inner().unwrap().iter().all(|n| *n == 1));
        let rows = kept.rows.into_inner().unwrap();
        let bytes: Vec<_> = rows.iter().map(|(at, rows)| (*at, pack::pack("f32", rows))).collect();
        let found = (report, bytes);
        let first = first.get_or_insert_with(|| found.clone());
        assert!(*first == found, "{threads} threads, {memory} bytes");
    }
}

#[test]
fn every_row_is_written_and_its_error_measured() {
    let model = tiny();
    let plan = plan(&model, &Recipe::named("Q8_0").unwrap(), None).unwrap();
    let kept = Kept::default();
    let report =
        quantize(&model, &plan, None, &[(&kept, &Nowhere)], &|_| false, &|_| Ok(()), 1 << 24, &Silent).unwrap();
    let rows = kept.rows.into_inner().unwrap();
    for (index, tensor) in model.tensors().iter().enumerate() {
        let (mut signal, mut noise, mut next) = (0.0, 0.0, 0);
        for ((_, first), part) in rows.range((index, 0)..(index + 1, 0)) {
            assert_eq!(*first, next, "{}", tensor.name);
            next += part.rows;
            let (mut x, mut y) = (vec![0.0; part.rows * part.cols], vec![0.0; part.rows * part.cols]);
            model.read_rows(index, *first..next, &mut x).unwrap();
            lfmq_quant::dequantize(&plan.tensors[index].grid, part, &mut y).unwrap();
            signal += x.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>();
            noise += x.iter().zip(&y).map(|(x, y)| f64::from(x - y).powi(2)).sum::<f64>();
        }
        assert_eq!(next, tensor.rows, "{}", tensor.name);
        let found = report.tensors[index].unwrap();
        assert!((found.signal / signal - 1.0).abs() < 1e-12, "{}", tensor.name);
        assert!((found.noise - noise).abs() <= 1e-12 * noise, "{}", tensor.name);
        if tensor.id.role.quantizable() {
            assert!((35.0..60.0).contains(&found.sqnr_db()), "{}: {} dB", tensor.name, found.sqnr_db());
        } else {
            assert_eq!((found.noise, found.worst, found.sqnr_db()), (0.0, 0.0, f64::INFINITY), "{}", tensor.name);
        }
    }
}

#[test]
fn what_is_done_is_left_out() {
    let model = tiny();
    let plan = plan(&model, &Recipe::named("Q4_0").unwrap(), None).unwrap();
    let kept = Kept::default();
    let done = |t: usize| t.is_multiple_of(2);
    let report = quantize(&model, &plan, None, &[(&kept, &Nowhere)], &done, &|_| Ok(()), 1 << 24, &Silent).unwrap();
    assert!(kept.rows.into_inner().unwrap().keys().all(|(t, _)| !done(*t)));
    for (t, figure) in report.tensors.iter().enumerate() {
        assert_eq!(figure.is_none(), done(t));
    }
}

/// A model that counts how often its rows are read.
struct Counted {
    model: Model,
    reads: Mutex<BTreeMap<(usize, usize), usize>>,
}

impl TensorSource for Counted {
    fn spec(&self) -> &ModelSpec {
        self.model.spec()
    }

    fn name(&self) -> &str {
        self.model.name()
    }

    fn tensors(&self) -> &[SourceTensor] {
        self.model.tensors()
    }

    fn read_rows(&self, index: usize, rows: Range<usize>, out: &mut [f32]) -> Result<(), SourceError> {
        *self.reads.lock().unwrap().entry((index, rows.start)).or_default() += 1;
        self.model.read_rows(index, rows, out)
    }

    fn sidecar(&self, name: &str) -> Option<&[u8]> {
        self.model.sidecar(name)
    }
}

#[test]
fn several_plans_are_served_by_one_reading() {
    let source = Counted { model: tiny(), reads: Mutex::default() };
    let named = |name: &str| plan(&source, &Recipe::named(name).unwrap(), None).unwrap();
    // The second shares most schemes with the first; the third has some tensors already.
    let plans = [named("Q4_K_M"), named("Q4_K_S"), named("onnx-q4")];
    let done: [&(dyn Fn(usize) -> bool + Sync); 3] = [&|_| false, &|_| false, &|t| t % 3 == 0];
    let kept: [Kept; 3] = Default::default();
    let finished: [Mutex<Vec<usize>>; 3] = Default::default();
    let writers: Vec<[(&dyn ExportPlan, &dyn Sink); 1]> = kept.iter().map(|k| [(k as _, &Nowhere as _)]).collect();
    let note: Vec<_> = finished
        .iter()
        .map(|list| {
            move |t: usize| -> Result<(), Fault> {
                list.lock().unwrap().push(t);
                Ok(())
            }
        })
        .collect();
    let outputs: Vec<Output<'_>> =
        (0..3).map(|i| Output { plan: &plans[i], writers: &writers[i], done: done[i], finished: &note[i] }).collect();
    let reports = pool(3).install(|| quantize_all(&source, None, &outputs, 1 << 26, &Silent)).unwrap();
    drop(outputs);
    assert!(source.reads.lock().unwrap().values().all(|n| *n == 1), "rows were read twice");
    for (i, kept) in kept.into_iter().enumerate() {
        let alone = Kept::default();
        let report = quantize(&source, &plans[i], None, &[(&alone, &Nowhere)], done[i], &|_| Ok(()), 1 << 26, &Silent);
        assert_eq!(reports[i], report.unwrap(), "the figures of {}", plans[i].recipe);
        let rows = |kept: Kept| format!("{:?}", kept.rows.into_inner().unwrap());
        assert!(rows(kept) == rows(alone), "the values of {}", plans[i].recipe);
        let mut told = finished[i].lock().unwrap().clone();
        told.sort_unstable();
        assert_eq!(told, (0..plans[i].tensors.len()).filter(|t| !done[i](*t)).collect::<Vec<_>>());
    }
}

#[test]
fn failures_stop_the_work() {
    let model = tiny();
    let plan = plan(&model, &Recipe::named("Q4_0").unwrap(), None).unwrap();
    let kept = Kept { fail_at: Some(3), ..Kept::default() };
    let run = |finished: &(dyn Fn(usize) -> Result<(), Fault> + Sync)| {
        quantize(&model, &plan, None, &[(&kept, &Nowhere)], &|_| false, finished, 1, &Silent)
    };
    let fault = pool(1).install(|| run(&|t| if t < 3 { Ok(()) } else { panic!("{t} finished") })).unwrap_err();
    assert_eq!((fault.to_string().as_str(), fault.kind), ("disk full", Kind::Environment));
    assert!(kept.rows.lock().unwrap().keys().all(|(t, _)| *t < 3));
    kept.rows.lock().unwrap().clear();
    let fault = pool(1).install(|| run(&|_| Err(Fault::new(Kind::Environment, "journal")))).unwrap_err();
    assert_eq!(fault.to_string(), "journal");
}

#[test]
fn a_weight_that_is_no_number_is_named() {
    let mut model = tiny();
    model.spoilt = Some((4, 7, 3));
    let plan = plan(&model, &Recipe::named("Q4_0").unwrap(), None).unwrap();
    let fault = quantize(&model, &plan, None, &[], &|_| false, &|_| Ok(()), 1 << 24, &Silent).unwrap_err();
    let expected = format!("tensor `{}`: weight [7, 3] is NaN, expected a finite number", model.tensors()[4].name);
    assert_eq!((fault.to_string(), fault.kind), (expected, Kind::Input));
}

#[test]
fn plans_explain_themselves_and_refuse_early() {
    let model = tiny();
    let mut recipe = Recipe::named("q4_k_m").unwrap();
    recipe.set("attn_v=q8_0").unwrap();
    let made = plan(&model, &recipe, None).unwrap();
    assert_eq!((made.recipe.as_str(), made.tensors.len()), ("Q4_K_M", model.tensors().len()));
    for t in &made.tensors {
        assert!(!t.reason.is_empty(), "{}", t.name);
        assert_eq!(Some(&t.grid), lfmq_quant::scheme(t.scheme.0).map(|s| s.grid()).as_ref());
        if t.id.role.word() == "attn_v" {
            assert_eq!(t.scheme.0, "q8_0");
        }
    }
    recipe.set("head=q8_0").unwrap();
    let error = plan(&model, &recipe, None).unwrap_err();
    assert!(error.to_string().contains("head") && error.kind() == Kind::Usage, "{error}");
    // Built-in files may name roles that this model lacks.
    assert!(plan(&model, &Recipe::named("phone-4bit").unwrap(), None).is_ok());
}

#[test]
fn two_bits_without_importance_are_refused() {
    let model = tiny();
    let recipe = Recipe::named("Q2_K_S").unwrap();
    let error = plan(&model, &recipe, None).unwrap_err();
    assert!(error.to_string().contains("importance") && error.hint().is_some(), "{error}");
    let all = model::importance(&model, |_| true);
    assert!(plan(&model, &recipe, Some(&Importance::parse(&all).unwrap())).is_ok());
    let partly = model::importance(&model, |name| name != "blk.1.ffn_up.weight");
    let error = plan(&model, &recipe, Some(&Importance::parse(&partly).unwrap())).unwrap_err();
    assert!(error.to_string().contains("blk.1.ffn_up.weight"), "{error}");
}
