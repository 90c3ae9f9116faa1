//! Threads and kernel rungs change neither the bytes of an artifact nor a figure of its report.

mod support;

use serde_json::Value;
use support::{command, fixture_arg, lfmq, scratch};

/// The figures of a report: everything but what names the machine's speed, threads and rung.
fn figures(mut report: Value) -> String {
    strip(&mut report);
    report.to_string()
}

fn strip(value: &mut Value) {
    match value {
        Value::Object(map) => {
            for key in ["latency", "threads", "rung", "isa", "meta", "load_ms", "memory", "artifact"] {
                map.remove(key);
            }
            map.values_mut().for_each(strip);
        }
        Value::Array(items) => items.iter_mut().for_each(strip),
        _ => {}
    }
}

#[test]
fn any_thread_count_gives_the_same_bytes_and_figures() {
    for name in ["lfm2-tiny", "lfm2-tiny-moe"] {
        let mut seen: Option<(Vec<u8>, String)> = None;
        for threads in ["1", "2", "7"] {
            let folder = scratch();
            let run = lfmq(
                folder.path(),
                &[
                    "quantize",
                    &fixture_arg(name),
                    "--bits",
                    "4",
                    "--out",
                    "o",
                    "--threads",
                    threads,
                    "--windows",
                    "1",
                    "--window",
                    "128",
                    "--task-items",
                    "0",
                    "--no-latency",
                    "--format",
                    "json",
                ],
            );
            assert!(matches!(run.code, 0 | 1), "{}", run.all());
            let bytes = std::fs::read(folder.path().join(format!("o/{name}-Q4_K_M.gguf"))).expect("the artifact");
            let got = (bytes, figures(run.json()));
            match &seen {
                None => seen = Some(got),
                Some(first) => {
                    assert!(first.0 == got.0, "{name}: bytes differ with {threads} threads");
                    assert_eq!(first.1, got.1, "{name}: figures differ with {threads} threads");
                }
            }
        }
    }
}

#[test]
fn every_rung_gives_the_same_bytes_and_figures() {
    let doctor = lfmq(scratch().path(), &["doctor", "--format", "json"]).expect(0).json();
    let rungs: Vec<String> = doctor["result"]["rungs"]["available"]
        .as_array()
        .expect("a list of rungs")
        .iter()
        .map(|r| r.as_str().expect("a name").to_owned())
        .collect();
    assert!(rungs.contains(&"scalar".to_owned()));
    for (name, recipe) in [("lfm2-tiny", "Q4_K_M"), ("lfm2-tiny-moe", "Q4_K_S")] {
        let mut seen: Option<(Vec<u8>, String)> = None;
        for rung in &rungs {
            let got = on_rung(rung, name, recipe);
            match &seen {
                None => seen = Some(got),
                Some(first) => {
                    assert!(first.0 == got.0, "{name}: bytes differ on {rung}");
                    assert_eq!(first.1, got.1, "{name}: figures differ on {rung}");
                }
            }
        }
    }
}

/// Bytes and figures that the program makes under `LFMQ_ISA`.
fn on_rung(rung: &str, name: &str, recipe: &str) -> (Vec<u8>, String) {
    let folder = scratch();
    let mut command = command(folder.path());
    command.env("LFMQ_ISA", rung).args(["quantize", &fixture_arg(name), "--recipe", recipe, "--out", "o"]);
    command.args(["--windows", "1", "--window", "64", "--task-items", "0", "--no-latency", "--format", "json"]);
    let run: support::Run = command.output().expect("the program starts").into();
    assert!(matches!(run.code, 0 | 1), "{}", run.all());
    assert_eq!(run.json()["meta"]["isa"], rung);
    let bytes = std::fs::read(folder.path().join(format!("o/{name}-{recipe}.gguf"))).expect("the artifact");
    (bytes, figures(run.json()))
}

#[test]
fn a_rung_reaches_the_loops_of_every_thread() {
    let loops = |rung: &str| {
        let run = lfmq(scratch().path(), &["doctor", "--threads", "3", "--isa", rung, "--format", "json"]).expect(0);
        run.json()["result"]["rungs"]["loops"].clone()
    };
    assert_eq!(loops("scalar"), serde_json::json!(vec!["baseline"; 3]));
    let doctor = lfmq(scratch().path(), &["doctor", "--format", "json"]).expect(0).json();
    let available = doctor["result"]["rungs"]["available"].as_array().expect("a list").clone();
    if available.contains(&"avx2".into()) {
        assert_eq!(loops("avx2"), serde_json::json!(vec!["avx2"; 3]));
    }
}

#[test]
fn formats_written_together_have_the_bytes_of_each_alone() {
    let model = fixture_arg("lfm2-tiny-moe");
    let folder = scratch();
    let make = |to: &str, out: &str| {
        let args = ["quantize", &model, "--bits", "4", "--to", to, "--out", out, "--no-verify", "--quiet"];
        lfmq(folder.path(), &args).expect(0);
    };
    make("gguf,onnx", "both");
    for format in ["gguf", "onnx"] {
        make(format, format);
        let sums = |path: &str| std::fs::read_to_string(folder.path().join(path)).expect("digests");
        assert_eq!(sums(&format!("both/{format}/SHA256SUMS")), sums(&format!("{format}/SHA256SUMS")));
    }
}
