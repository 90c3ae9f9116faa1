//! The Node.js that runs outsiders: packages by their list.

use crate::python::run;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Packages of the npm registry. Tests that need them are skipped, by name, where there are none.
pub struct Modules {
    /// The variable that names a folder whose `node_modules` has the packages.
    pub variable: &'static str,
    /// The list, a `package.json`.
    pub packages: &'static str,
    found: OnceLock<Option<PathBuf>>,
}

impl Modules {
    /// The packages of a `package.json`, unless `variable` names another folder that has them.
    #[must_use]
    pub const fn new(variable: &'static str, packages: &'static str) -> Self {
        Self { variable, packages, found: OnceLock::new() }
    }

    /// The folder that holds `node_modules`: the one that the variable names, or with `CI=true` one below `scratch`,
    /// filled once for each list. On `None` a test says that it is skipped.
    ///
    /// # Panics
    /// When the packages cannot be installed.
    pub fn find(&self, scratch: &Path) -> Option<PathBuf> {
        let found = self.found.get_or_init(|| {
            let given = std::env::var_os(self.variable).map(PathBuf::from);
            given.or_else(|| (std::env::var("CI").as_deref() == Ok("true")).then(|| self.install(scratch)))
        });
        found.clone()
    }

    fn install(&self, scratch: &Path) -> PathBuf {
        let digest = crate::sha256_hex(self.packages.as_bytes());
        let folder = scratch.join(format!("node-{}", &digest[..16]));
        let ready = folder.join("ready");
        if !ready.exists() {
            std::fs::create_dir_all(&folder).expect("a folder");
            std::fs::write(folder.join("package.json"), self.packages).expect("the list");
            // Scripts of packages would fetch what we do not need.
            let flags = ["install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock"];
            run(Command::new("npm").args(flags).current_dir(&folder));
            std::fs::write(ready, "").expect("the mark");
        }
        folder
    }
}
