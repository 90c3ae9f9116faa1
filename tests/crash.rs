//! Whenever `quantize` is killed, nothing stands under the final name, and `--resume` ends with the same bytes.

mod support;

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};
use support::{command, fixture_arg, lfmq, quantized, scratch};

const RECIPE: &str = "Q6_K";

fn args(model: &str) -> Vec<String> {
    ["quantize", model, "--recipe", RECIPE, "--out", "o", "--no-verify", "--threads", "1", "--memory", "1"]
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

fn whole_folder(folder: &Path, want: &[u8]) {
    let got = std::fs::read(folder.join(format!("o/lfm2-tiny-{RECIPE}.gguf"))).expect("the artifact");
    assert!(got == want, "the resumed artifact has other bytes");
    lfmq(folder, &["check", "o"]).expect(0);
}
