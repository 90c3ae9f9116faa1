//! The Python that runs the outsiders.

use lfmq_testkit::python::{self, Environment};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The runtimes of today.
pub static NEWEST: Environment = Environment::new("LFMQ_ONNX_PYTHON", include_str!("../python/requirements.txt"));

/// The oldest onnxruntime that our files promise to load in.
pub static OLDEST: Environment =
    Environment::new("LFMQ_ONNX_PYTHON_OLDEST", include_str!("../python/requirements-oldest.txt"));

/// The interpreter of an environment, or a line that says why the test `name` does not run.
pub fn find(environment: &Environment, name: &str) -> Option<PathBuf> {
    let found = environment.find(Path::new(env!("CARGO_TARGET_TMPDIR")));
    if found.is_none() {
        eprintln!("SKIPPED onnx runtime test {name}: set {} or CI=true", environment.variable);
    }
    found
}

/// The report of a script on `file`.
pub fn report(python: &Path, script: &str, file: &Path) -> Value {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python").join(script);
    let said = python::run(Command::new(python).arg(script).arg(file));
    serde_json::from_str(said.lines().last().unwrap_or_default()).unwrap()
}

/// The report of `check.py` on a case.
pub fn check(python: &Path, case: &Path) -> Value {
    report(python, "check.py", case)
}
