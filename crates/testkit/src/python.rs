//! The Python that runs outsiders: an environment by its list of packages.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// An environment with pinned packages. Tests that need it are skipped, by name, where there is none.
pub struct Environment {
    /// The variable that names an interpreter which has the packages.
    pub variable: &'static str,
    /// The list, as pip reads it.
    pub packages: &'static str,
    found: OnceLock<Option<PathBuf>>,
}

impl Environment {
    /// The environment of `packages`, unless `variable` names another interpreter.
    #[must_use]
    pub const fn new(variable: &'static str, packages: &'static str) -> Self {
        Self { variable, packages, found: OnceLock::new() }
    }

    /// The interpreter: the one that the variable names, or with `CI=true` one of an environment
    /// made below `scratch`, once for each list. On `None` a test says that it is skipped.
    ///
    /// # Panics
    /// When the environment cannot be made.
    pub fn find(&self, scratch: &Path) -> Option<PathBuf> {
        let found = self.found.get_or_init(|| {
            let given = std::env::var_os(self.variable).map(PathBuf::from);
            given.or_else(|| (std::env::var("CI").as_deref() == Ok("true")).then(|| self.make(scratch)))
        });
        found.clone()
    }

    fn make(&self, scratch: &Path) -> PathBuf {
        let digest = crate::sha256_hex(self.packages.as_bytes());
        let folder = scratch.join(format!("venv-{}", &digest[..16]));
        let (python, ready) = (folder.join("bin/python"), folder.join("ready"));
        if !ready.exists() {
            run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder));
            let list = folder.join("requirements.txt");
            std::fs::write(&list, self.packages).expect("the list");
            run(Command::new(&python).args(["-m", "pip", "install", "--quiet", "-r"]).arg(list));
            std::fs::write(ready, "").expect("the mark");
        }
        python
    }
}

/// What `command` printed.
///
/// # Panics
/// When it fails.
pub fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{command:?}\n{}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}
