//! Runs the program as a user would, on the fixtures.
#![allow(dead_code, reason = "each test file uses its part")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A finished run.
pub struct Run {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Run {
    /// The JSON document on stdout.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|e| panic!("stdout is not one JSON document: {e}\n{}\n{}", self.stdout, self.stderr))
    }

    /// Everything that was printed.
    pub fn all(&self) -> String {
        format!("{}\n{}", self.stdout, self.stderr)
    }

    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// The program with the caller's environment switches taken away.
pub fn command(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lfmq"));
    for name in
        ["LFMQ_ISA", "LFMQ_THREADS", "HF_HOME", "HF_HUB_CACHE", "HF_ENDPOINT", "HF_TOKEN", "NO_COLOR", "COLUMNS"]
    {
        command.env_remove(name);
    }
    command.current_dir(folder).env("HOME", folder);
    command
}

/// Runs `lfmq ARGS` in `folder`.
pub fn lfmq<S: AsRef<std::ffi::OsStr>>(folder: &Path, args: &[S]) -> Run {
    command(folder).args(args).output().expect("the program starts").into()
}

/// A folder of `fixtures/`.
pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name)
}

/// The fixture as an argument.
pub fn fixture_arg(name: &str) -> String {
    fixture(name).display().to_string()
}

/// An empty folder that goes away with the value.
pub fn scratch() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// Quantizes a fixture without verifying and returns the artifact file.
pub fn quantized(folder: &Path, name: &str, recipe: &str) -> PathBuf {
    let model = fixture_arg(name);
    let out = format!("{name}-{recipe}");
    lfmq(folder, &["quantize", &model, "--recipe", recipe, "--out", &out, "--no-verify", "--quiet"]).expect(0);
    folder.join(&out).join(format!("{name}-{recipe}.gguf"))
}
