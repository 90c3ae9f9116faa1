//! Whenever `quantize` is killed, nothing stands under the final name, and `--resume` ends with the same bytes.

mod support;

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};
use support::{command, fixture_arg, lfmq, quantized, scratch};

const RECIPE: &str = "Q6_K";

fn args(model: &str) -> Vec<String> {
    args_for(model, "o")
}

fn args_for(model: &str, out: &str) -> Vec<String> {
    ["quantize", model, "--recipe", RECIPE, "--out", out, "--no-verify", "--threads", "1", "--memory", "1"]
        .map(str::to_owned)
        .to_vec()
}

#[test]
fn killed_at_many_moments_and_resumed() {
    let whole = scratch();
    let started = Instant::now();
    let want = std::fs::read(quantized(whole.path(), "lfm2-tiny", RECIPE)).expect("the artifact");
    let length = started.elapsed();
    let model = fixture_arg("lfm2-tiny");
    let mut interrupted = 0;
    for step in 0..12u32 {
        let folder = scratch();
        let mut child = command(folder.path())
            .args(args(&model))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        std::thread::sleep(length.mul_f64(f64::from(step) / 11.0).max(Duration::from_millis(1)));
        child.kill().expect("kill");
        let finished = child.wait().expect("wait").success();
        let out = folder.path().join("o");
        if finished {
            assert!(out.is_dir());
            continue;
        }
        // The rename is the last step: a killed run may still have published, but never half.
        if out.exists() {
            whole_folder(folder.path(), &want);
            continue;
        }
        interrupted += 1;
        let mut again = args(&model);
        again.push("--resume".to_owned());
        lfmq(folder.path(), &again).expect(0);
        whole_folder(folder.path(), &want);
        assert!(!folder.path().join("o.partial").exists(), "the partial folder is gone");
    }
    assert!(interrupted >= 3, "only {interrupted} of 12 runs were caught in the middle");
}

#[test]
fn several_formats_killed_at_many_moments_and_resumed() {
    killed_and_resumed("lfm2-tiny", "8", &["gguf", "onnx"]);
}

#[test]
fn experts_in_three_formats_killed_at_many_moments_and_resumed() {
    killed_and_resumed("lfm2-tiny-moe", "4", &["gguf", "onnx", "tflite"]);
}

fn killed_and_resumed(model: &str, bits: &str, formats: &[&str]) {
    let (model, to) = (fixture_arg(model), formats.join(","));
    let args = ["quantize", &model, "--bits", bits, "--to", &to, "--out", "o", "--no-verify", "--memory", "1"];
    let whole = scratch();
    let started = Instant::now();
    lfmq(whole.path(), &args).expect(0);
    let length = started.elapsed();
    let sums = |folder: &Path, format: &str| {
        std::fs::read_to_string(folder.join("o").join(format).join("SHA256SUMS")).expect("digests")
    };
    let mut interrupted = 0;
    for step in 0..12u32 {
        let folder = scratch();
        let mut child = command(folder.path())
            .args(args)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        // Most of the moments lie at the end, where one format has its name and the other may not.
        let moment = 1.0 - (1.0 - f64::from(step) / 11.0).powi(2);
        std::thread::sleep(length.mul_f64(moment).max(Duration::from_millis(1)));
        child.kill().expect("kill");
        interrupted += u32::from(!child.wait().expect("wait").success());
        // A run that came to its end is resumed too: there is nothing left to do.
        lfmq(folder.path(), &[&args[..], &["--resume"]].concat()).expect(0);
        for format in formats {
            let (found, want) = (sums(folder.path(), format), sums(whole.path(), format));
            assert_eq!(found, want, "{format} after step {step}");
            lfmq(folder.path(), &["check", &format!("o/{format}")]).expect(0);
            assert!(!folder.path().join(format!("o/{format}.partial")).exists());
        }
    }
    assert!(interrupted >= 3, "only {interrupted} of 12 runs were caught in the middle");
}

#[test]
fn another_checkpoint_of_the_same_shape_does_not_continue_a_run() {
    let folder = scratch();
    let model = folder.path().join("model");
    std::fs::create_dir(&model).expect("a folder");
    for entry in std::fs::read_dir(support::fixture("lfm2-tiny")).expect("the fixture").map(|e| e.expect("an entry")) {
        std::fs::copy(entry.path(), model.join(entry.file_name())).expect("a copy");
    }
    let started = Instant::now();
    let args = |out| args_for("model", out);
    lfmq(folder.path(), &args("whole")).expect(0);
    let length = started.elapsed();
    let caught = (1..10).rev().any(|tenths| {
        let mut child = command(folder.path()).args(args("o")).stderr(Stdio::null()).spawn().expect("it starts");
        std::thread::sleep(length.mul_f64(f64::from(tenths) / 10.0));
        child.kill().expect("kill");
        child.wait().expect("wait");
        let journal = std::fs::read(folder.path().join("o.partial/.journal")).unwrap_or_default();
        // One that came to its end makes room for the next.
        std::fs::remove_dir_all(folder.path().join("o")).is_err() && journal.contains(&b'\n')
    });
    assert!(caught, "no run was caught in the middle");
    // One weight in the middle of a tensor is another one; nothing else shows it but the file's age.
    let weights = model.join("model.safetensors");
    let mut bytes = std::fs::read(&weights).expect("weights");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&weights, bytes).expect("other weights");
    let refused = lfmq(folder.path(), &[&args("o")[..], &["--resume".to_owned()]].concat()).expect(2);
    assert!(refused.stderr.contains("o.partial"), "{}", refused.stderr);
}

#[test]
fn a_format_that_has_its_name_is_not_made_again() {
    let folder = scratch();
    let model = fixture_arg("lfm2-tiny");
    let run = |more: &[&str]| {
        let args = ["quantize", &model, "--bits", "8", "--to", "gguf,onnx", "--out", "o", "--no-verify"];
        lfmq(folder.path(), &[&args[..], more].concat())
    };
    run(&[]).expect(0);
    let gguf = folder.path().join("o/gguf");
    let before = std::fs::metadata(gguf.join("lfmq.json")).and_then(|m| m.modified()).expect("the manifest");
    std::fs::remove_dir_all(folder.path().join("o/onnx")).expect("remove");
    run(&["--resume"]).expect(0);
    assert_eq!(std::fs::metadata(gguf.join("lfmq.json")).and_then(|m| m.modified()).expect("the manifest"), before);
    assert!(folder.path().join("o/onnx/onnx/model_int8.onnx").is_file());
    // Another job's folder, or a damaged one, is in the way as ever.
    std::fs::write(gguf.join("lfm2-tiny-Q8_0.gguf"), "").expect("write");
    let refused = run(&["--resume"]).expect(2);
    assert!(refused.stderr.contains("already exists"), "{}", refused.stderr);
}

fn whole_folder(folder: &Path, want: &[u8]) {
    let got = std::fs::read(folder.join(format!("o/lfm2-tiny-{RECIPE}.gguf"))).expect("the artifact");
    assert!(got == want, "the resumed artifact has other bytes");
    lfmq(folder, &["check", "o"]).expect(0);
}
