//! Whole runs: stdout and stderr apart, exit codes, the JSON document.

mod support;

use lfmq_testkit::kit::{self, Kind};
use support::{fixture_arg, lfmq, quantized, scratch};

/// Small enough to be quick.
const QUICK: [&str; 7] = ["--windows", "1", "--window", "64", "--task-items", "2", "--no-latency"];

#[test]
fn the_main_job_makes_a_folder_that_checks() {
    let folder = scratch();
    let model = fixture_arg("lfm2-tiny");
    let run = lfmq(folder.path(), &["quantize", &model, "--bits", "8"]).expect(0);
    for word in ["lfm2-tiny-Q8_0.gguf", "KLD", "same top", "PPL", "prefill", "decode", "PASS"] {
        assert!(run.stdout.contains(word), "no {word} in\n{}", run.stdout);
    }
    let out = folder.path().join("lfm2-tiny-Q8_0");
    for file in ["lfm2-tiny-Q8_0.gguf", "LICENSE", "MODIFICATIONS.md", "SHA256SUMS", "lfmq.json"] {
        assert!(out.join(file).is_file(), "no {file}");
    }
    lfmq(folder.path(), &["check", "lfm2-tiny-Q8_0"]).expect(0);
    let taken = lfmq(folder.path(), &["quantize", &model, "--bits", "8"]).expect(2);
    assert!(taken.stderr.contains("--overwrite"), "{}", taken.stderr);
    std::fs::write(out.join("LICENSE"), "other").expect("write");
    let changed = lfmq(folder.path(), &["check", "lfm2-tiny-Q8_0"]).expect(1);
    assert!(changed.stderr.contains("LICENSE"), "{}", changed.stderr);
    let args: Vec<&str> = ["quantize", &model, "--bits", "8", "--overwrite"].into_iter().chain(QUICK).collect();
    lfmq(folder.path(), &args).expect(0);
    lfmq(folder.path(), &["check", "lfm2-tiny-Q8_0"]).expect(0);
}

#[test]
fn a_plan_reads_no_weight_and_writes_nothing() {
    let folder = scratch();
    let run = lfmq(
        folder.path(),
        &["quantize", &fixture_arg("lfm2-tiny-moe"), "--bits", "4", "--dry-run", "--format", "json"],
    )
    .expect(0);
    let planned = run.json()["result"]["formats"][0]["files"][0]["bytes"].as_u64().expect("a size");
    assert_eq!(std::fs::read_dir(folder.path()).expect("the folder").count(), 0, "nothing was written");
    let file = quantized(folder.path(), "lfm2-tiny-moe", "Q4_K_M");
    assert_eq!(std::fs::metadata(file).expect("the artifact").len(), planned);
}

#[test]
fn json_is_one_document_also_for_errors() {
    let folder = scratch();
    let cases: [(&[&str], i32, &str); 8] = [
        (&["quantize", "no-such-model", "--bits", "4"], 3, "input"),
        (&["quantize", "LiquidAI/LFM2-350M", "--bits", "4", "--offline"], 4, "environment"),
        (&["quantize", ".", "--bits", "4"], 3, "input"),
        (&["quantize", &fixture_arg("lfm2-tiny")], 2, "usage"),
        (&["quantize", &fixture_arg("lfm2-tiny"), "--bits", "7"], 2, "usage"),
        (&["quantize", &fixture_arg("lfm2-tiny"), "--recipe", "Q9_X"], 2, "usage"),
        (&["quantize", &fixture_arg("lfm2-tiny"), "--bits", "4", "--set", "attn_z=q8_0"], 2, "usage"),
        (&["verify", "no-such.gguf", "--against", &fixture_arg("lfm2-tiny")], 3, "input"),
    ];
    for (args, code, kind) in cases {
        let args: Vec<&str> = args.iter().copied().chain(["--format", "json"]).collect();
        let run = lfmq(folder.path(), &args).expect(code);
        let json = run.json();
        assert_eq!(json["ok"], false, "{args:?}");
        assert_eq!(json["error"]["kind"], kind, "{args:?}");
        assert!(run.stderr.contains("error:"), "{args:?}: {}", run.stderr);
    }
    assert_eq!(std::fs::read_dir(folder.path()).expect("the folder").count(), 0, "an error leaves nothing behind");
}

#[test]
fn a_gate_that_fails_ends_with_1_and_keeps_the_report() {
    let folder = scratch();
    let file = quantized(folder.path(), "lfm2-tiny", "Q4_0").display().to_string();
    let model = fixture_arg("lfm2-tiny");
    // Several windows: a single one has no confidence interval, so it could not prove a failure.
    let run = lfmq(
        folder.path(),
        &[
            "verify",
            &file,
            "--against",
            &model,
            "--max-kld",
            "1e-9",
            "--windows",
            "6",
            "--window",
            "64",
            "--task-items",
            "0",
            "--no-latency",
            "--format",
            "json",
        ],
    )
    .expect(1);
    let json = run.json();
    assert_eq!(json["error"]["kind"], "gate");
    assert!(json["result"].is_object(), "the figures are there although the gate failed");
}

#[test]
fn run_is_deterministic_and_streams_text() {
    let folder = scratch();
    let file = quantized(folder.path(), "lfm2-tiny", "Q8_0").display().to_string();
    let args = [
        "run",
        &file,
        "--system",
        "Translate to Japanese.",
        "--prompt",
        "We found a map at school yesterday.",
        "--greedy",
        "-n",
        "24",
    ];
    let (one, two) = (lfmq(folder.path(), &args).expect(0), lfmq(folder.path(), &args).expect(0));
    assert!(!one.stdout.trim().is_empty());
    assert_eq!(one.stdout, two.stdout);
    assert!(one.stderr.contains("tokens"));
}

#[test]
fn inspect_shows_checkpoints_and_files() {
    let folder = scratch();
    let checkpoint = lfmq(folder.path(), &["inspect", &fixture_arg("lfm2-tiny-moe")]).expect(0);
    assert!(checkpoint.stdout.contains("10 experts"), "{}", checkpoint.stdout);
    let file = quantized(folder.path(), "lfm2-tiny-moe", "Q4_0").display().to_string();
    let shown = lfmq(folder.path(), &["inspect", &file, "--tensors"]).expect(0);
    assert!(shown.stdout.contains("lfm2moe.expert_count"), "{}", shown.stdout);
    assert!(shown.stdout.contains("blk.1.ffn_gate_exps.weight"), "{}", shown.stdout);
}

#[test]
fn one_command_writes_two_formats() {
    for name in ["lfm2-tiny", "lfm2-tiny-moe"] {
        let folder = scratch();
        let model = fixture_arg(name);
        let mut args = vec!["quantize", &model, "--bits", "8", "--to", "gguf,onnx", "-o", "both", "--format", "json"];
        args.extend(QUICK);
        let json = lfmq(folder.path(), &args).expect(0).json();
        let artifacts = json["result"]["artifacts"].as_array().expect("two artifacts").clone();
        assert_eq!(artifacts.len(), 2);
        for artifact in &artifacts {
            assert!(artifact["verification"]["drift"]["kld"]["mean"]["value"].as_f64().expect("a figure") < 0.01);
            lfmq(folder.path(), &["check", artifact["artifact"].as_str().expect("a folder")]).expect(0);
        }
        let shown = lfmq(folder.path(), &["inspect", "both/onnx"]).expect(0);
        assert!(shown.stdout.contains("onnx"), "{}", shown.stdout);
        let text = lfmq(folder.path(), &["run", "both/onnx", "--prompt", "x", "--greedy", "-n", "4"]).expect(0);
        assert!(text.stderr.contains("tokens"), "{}", text.stderr);
    }
}

#[test]
fn a_format_refuses_what_it_cannot_hold_before_a_weight_is_read() {
    let folder = scratch();
    let run =
        lfmq(folder.path(), &["quantize", &fixture_arg("lfm2-tiny"), "--recipe", "Q4_K_M", "--to", "onnx"]).expect(3);
    assert!(
        run.stderr.contains("Q6_K") && run.stderr.contains("int8-g32") && run.stderr.contains("hint:"),
        "{}",
        run.stderr
    );
    assert_eq!(std::fs::read_dir(folder.path()).expect("the folder").count(), 0, "nothing was written");
}

#[test]
fn importance_of_another_size_is_named() {
    let folder = scratch();
    let name = "blk.0.ffn_down.weight";
    let number = |n: u32| n.to_le_bytes().to_vec();
    let values = [1_f32; 64].map(f32::to_le_bytes).concat();
    let entry = [number(name.len() as u32), name.into(), number(1), number(64), values].concat();
    std::fs::write(folder.path().join("i.dat"), [number(1), entry].concat()).expect("write");
    let model = fixture_arg("lfm2-tiny");
    let file = quantized(folder.path(), "lfm2-tiny", "Q4_0").display().to_string();
    let quantize = ["quantize", &model, "--recipe", "Q4_K_M", "--imatrix", "i.dat"];
    let verify = ["verify", &file, "--against", &model, "--imatrix", "i.dat"];
    for args in [quantize.as_slice(), &verify] {
        let run = lfmq(folder.path(), args).expect(3);
        assert!(run.stderr.contains(name) && run.stderr.contains("64 columns"), "{}", run.stderr);
    }
}

#[test]
fn experts_that_calibration_never_reached_are_named() {
    let folder = scratch();
    let model = kit::write(folder.path(), Kind::Moe).expect("a checkpoint").display().to_string();
    // Nothing in it came to the fourth expert of any layer.
    std::fs::write(folder.path().join("i.gguf"), kit::importance(Kind::Moe)).expect("write");
    let args = ["quantize", &model, "--recipe", "Q4_K_M", "--imatrix", "i.gguf", "--dry-run", "--format", "json"];
    let run = lfmq(folder.path(), &args).expect(0);
    let importance = &run.json()["result"]["importance"];
    let unreached = importance["unreached"].as_array().expect("a list");
    assert!(!unreached.is_empty() && unreached.iter().all(|e| e[1] == 3), "{importance}");
    assert!(importance["least"][2].as_f64().expect("a count") >= 40.0, "{importance}");
    let first = unreached[0][0].as_str().expect("a name");
    assert!(run.stderr.contains(&format!("unweighted: expert 3 of {first}")), "{}", run.stderr);
}
