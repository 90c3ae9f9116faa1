//! Every operator against ONNX Runtime: `tests/operators/*.onnx`, made by `tests/operators.py`. Each file is one node,
//! the values fed (`feed/..`) and the results (`want/..`).

use super::Context;
use crate::Options;
use crate::model::Model;
use crate::plan::{LIMIT, Plan};
use crate::stored::Files;
use crate::tensor::{Kind, Tensor};
use lfmq_core::{Activation, Mapped};
use lfmq_kernels::Kernels;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/operators")
}

/// Name and digest of every case.
fn cases() -> Vec<(String, String)> {
    let sums = std::fs::read_to_string(folder().join("SHA256SUMS")).unwrap();
    let pair = |line: &str| line.split_once("  ").map(|(sha, name)| (name.to_owned(), sha.to_owned()));
    sums.lines().map(|line| pair(line).unwrap()).collect()
}

/// What the graph gives, and what it should give, by output.
fn run(path: &Path, kernels: &'static Kernels) -> Vec<(String, Tensor, Tensor)> {
    let map = Arc::new(Mapped::open(path).unwrap());
    let model = Model::parse(&map).unwrap_or_else(|e| panic!("{}: {}", path.display(), e.why));
    let mut files = Files::new(map.clone());
    let options = Options { activation: Activation::Runtime, kernels };
    let bank = std::sync::Arc::new(lfmq_interpreter::Bank::new(0));
    let plan = Plan::new(path, &model, &mut files, options, &bank).unwrap_or_else(|e| panic!("{e}"));
    let mut values: BTreeMap<&str, Tensor> =
        model.graph.initializers.iter().map(|t| (t.name, files.find(t).unwrap().load())).collect();
    let feeds = plan.inputs.iter().map(|p| (p.slot, values[&*format!("feed/{}", p.name)].clone())).collect();
    let results =
        plan.run(feeds, usize::MAX, &Context::new(kernels, LIMIT), &mut |_, _, _| {}).unwrap_or_else(|e| panic!("{e}"));
    let named = plan.outputs.iter().zip(results);
    named
        .map(|(port, found)| {
            let want = values.remove(&*format!("want/{}", port.name)).unwrap();
            (port.name.clone(), found.unwrap(), want)
        })
        .collect()
}

/// The greatest distance of two tensors in units of what counts as rounding; above 1 they differ.
fn distance(found: &Tensor, want: &Tensor) -> f32 {
    assert_eq!((&found.shape, found.kind()), (&want.shape, want.kind()));
    if !want.kind().is_float() {
        return if found.ints().unwrap() == want.ints().unwrap() { 0.0 } else { f32::INFINITY };
    }
    let (found, want) = (found.floats().unwrap().into_owned(), want.floats().unwrap());
    let size = want.iter().filter(|v| v.is_finite()).fold(1.0_f32, |m, v| m.max(v.abs()));
    let gap = |(a, b): (&f32, &f32)| match (a - b).abs() {
        _ if a == b || a.is_nan() && b.is_nan() => 0.0,
        gap if gap.is_nan() => f32::INFINITY,
        gap => gap,
    };
    let worst = found.iter().zip(want.iter()).map(gap).fold(0.0, |m, g| if g <= m { m } else { g });
    worst / size
}

#[test]
fn every_operator_gives_what_onnx_runtime_gives() {
    let all = cases();
    assert!(all.len() > 150, "only {} cases", all.len());
    let mut faults = Vec::new();
    for (name, digest) in &all {
        let path = folder().join(name);
        let sha = Sha256::digest(std::fs::read(&path).unwrap());
        let sha: String = sha.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(&sha, digest, "{name} is not what SHA256SUMS says");
        for (output, found, want) in run(&path, Kernels::best()) {
            let room = if want.kind() == Kind::F16 { 1.5e-3 } else { 3e-6 };
            let distance = distance(&found, &want);
            if distance > room {
                faults.push(format!("{name} {output}: off by {distance}"));
            }
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn a_wrong_result_is_far() {
    let want = Tensor::f32(vec![3], vec![1.0, f32::NAN, 5.0]);
    assert_eq!(distance(&want, &want), 0.0);
    assert!(distance(&Tensor::f32(vec![3], vec![1.0, f32::NAN, 5.001]), &want) > 1e-4);
    assert!(distance(&Tensor::f32(vec![3], vec![1.0, 0.0, 5.0]), &want) > 1.0);
    assert!(distance(&Tensor::i64(vec![1], vec![3]), &Tensor::i64(vec![1], vec![4])).is_infinite());
}

#[test]
fn every_rung_and_any_number_of_threads_give_the_same_bits() {
    let print = |kernels, threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let all = || cases().iter().map(|(name, _)| format!("{:?}", run(&folder().join(name), kernels))).collect();
        pool.install(all)
    };
    let expected: Vec<String> = print(Kernels::best(), 1);
    for kernels in Kernels::available() {
        let found = print(kernels, 3);
        for ((found, expected), (name, _)) in found.iter().zip(&expected).zip(cases()) {
            assert!(found == expected, "{name} on {}", kernels.name);
        }
    }
}
