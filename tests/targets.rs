//! One command for every device class: its artifacts, one page, and an exit code.

mod support;

use serde_json::Value;
use std::fs;
use support::{fixture_arg, lfmq, scratch};

const QUICK: [&str; 7] = ["--windows", "4", "--window", "128", "--task-items", "4", "--no-latency"];

#[test]
fn every_target_gets_its_artifact_and_all_get_one_page() {
    let folder = scratch();
    let model = fixture_arg("lfm2-tiny");
    let args = ["--format", "json", "quantize", &model, "--bits", "4", "--target", "all"];
    let run = lfmq(folder.path(), &[&args, QUICK.as_slice()].concat()).expect(0);
    let answer = run.json();
    let artifacts = answer["result"]["artifacts"].as_array().expect("artifacts");
    let mut served: Vec<&str> = artifacts
        .iter()
        .flat_map(|a| a["targets"].as_array().expect("targets"))
        .map(|t| t.as_str().expect("a name"))
        .collect();
    served.sort_unstable();
    let mut all: Vec<String> = lfmq_targets::built_in().expect("targets").into_iter().map(|t| t.name).collect();
    all.sort();
    assert_eq!(served, all);
    for artifact in artifacts {
        let out = artifact["artifact"].as_str().expect("a folder");
        lfmq(folder.path(), &["check", out]).expect(0);
        let told = artifact["verification"]["targets"].as_array().expect("verdicts");
        assert_eq!(told.len(), artifact["targets"].as_array().expect("targets").len());
        assert!(told.iter().all(|t| t["verdict"] != "fail"), "{told:?}");
        let manifest = fs::read(folder.path().join(out).join("lfmq.json")).expect("a manifest");
        let manifest: Value = serde_json::from_slice(&manifest).expect("JSON");
        assert_eq!(manifest["drift"]["targets"], artifact["targets"]);
    }
    let page = fs::read_to_string(folder.path().join("lfm2-tiny-targets/report.html")).expect("a page");
    for target in &all {
        assert!(page.contains(target.as_str()), "{target} is not on the page");
    }
    let taken = lfmq(folder.path(), &["quantize", &model, "--target", "all"]).expect(2);
    assert!(taken.stderr.contains("--overwrite"), "{}", taken.stderr);
}

#[test]
fn a_gate_that_fails_ends_with_1_and_is_on_the_page() {
    let folder = scratch();
    let model = fixture_arg("lfm2-tiny");
    fs::write(folder.path().join("strict.toml"), "[all]\nkld_mean_max = 1e-9\n").expect("gates");
    let args = ["quantize", &model, "--target", "iot-small", "--out", "out", "--gate", "strict.toml"];
    let run = lfmq(folder.path(), &[&args, QUICK.as_slice()].concat()).expect(1);
    assert!(run.stderr.contains("iot-small") && run.stderr.contains("kld_mean_max"), "{}", run.stderr);
    let page = fs::read_to_string(folder.path().join("out/report.html")).expect("a page");
    assert!(page.contains(">FAIL</span>"), "the page does not say so");
    assert!(folder.path().join("out/Q4_0/lfmq.json").is_file(), "the artifact is there all the same");
    let typed = ["quantize", &model, "--target", "iot-small", "--out", "too", "--max-kld", "1e-9"];
    lfmq(folder.path(), &[&typed, QUICK.as_slice()].concat()).expect(1);
}
