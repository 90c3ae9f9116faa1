//! The Python that runs the outsiders.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// An environment by its list of packages.
pub struct Environment {
    /// The variable that names an interpreter which has them.
    variable: &'static str,
    list: &'static str,
    packages: &'static str,
    found: OnceLock<Option<PathBuf>>,
}

/// The runtimes of today.
pub static NEWEST: Environment = Environment {
    variable: "LFMQ_ONNX_PYTHON",
    list: "requirements.txt",
    packages: include_str!("../python/requirements.txt"),
    found: OnceLock::new(),
};

/// The oldest onnxruntime that our files promise to load in.
pub static OLDEST: Environment = Environment {
    variable: "LFMQ_ONNX_PYTHON_OLDEST",
    list: "requirements-oldest.txt",
    packages: include_str!("../python/requirements-oldest.txt"),
    found: OnceLock::new(),
};

impl Environment {
    /// The interpreter, or a line that says why the test `name` does not run.
    pub fn find(&self, name: &str) -> Option<PathBuf> {
        let found = self.found.get_or_init(|| {
            let given = std::env::var_os(self.variable).map(PathBuf::from);
            given.or_else(|| (std::env::var("CI").as_deref() == Ok("true")).then(|| self.make()))
        });
        if found.is_none() {
            eprintln!("SKIPPED onnx runtime test {name}: set {} or CI=true", self.variable);
        }
        found.clone()
    }

    /// An environment with the pinned packages, made once for each list of them.
    fn make(&self) -> PathBuf {
        let digest = lfmq_testkit::sha256_hex(self.packages.as_bytes());
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("onnx-venv-{}", &digest[..16]));
        let (python, ready) = (folder.join("bin/python"), folder.join("ready"));
        if !ready.exists() {
            done(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder));
            done(Command::new(&python).args(["-m", "pip", "install", "--quiet", "-r"]).arg(script(self.list)));
            std::fs::write(ready, "").unwrap();
        }
        python
    }
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python").join(name)
}

fn done(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{command:?}\n{}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

/// The report of `script` on `file`.
pub fn report(python: &Path, name: &str, file: &Path) -> Value {
    let said = done(Command::new(python).arg(script(name)).arg(file));
    serde_json::from_str(said.lines().last().unwrap_or_default()).unwrap()
}

/// The report of `check.py` on a case.
pub fn check(python: &Path, case: &Path) -> Value {
    report(python, "check.py", case)
}
