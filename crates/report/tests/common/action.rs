//! Runs the steps of a composite action as GitHub's runner does: expressions filled in, `bash -eo pipefail`, outputs
//! and the summary through files.
#![allow(dead_code, reason = "each test uses a part")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use yaml_rust2::{Yaml, YamlLoader};

/// What a run of the action left behind.
pub struct Ran {
    /// The step that failed, if one did.
    pub failed: Option<String>,
    /// Outputs of the action.
    pub outputs: BTreeMap<String, String>,
    /// The job's summary.
    pub summary: String,
    /// What the steps said.
    pub log: String,
}

pub fn load(path: &Path) -> Yaml {
    let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    YamlLoader::load_from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display())).remove(0)
}

/// `action` with `inputs`, in `folder`, with `path` before the PATH.
pub fn run(action: &Path, inputs: &[(&str, &str)], folder: &Path, path: &Path) -> Ran {
    let action = load(action);
    let mut known = BTreeMap::new();
    for (name, input) in action["inputs"].as_hash().unwrap() {
        let name = name.as_str().unwrap();
        let given = inputs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        let value = given.or_else(|| input["default"].as_str().map(str::to_owned));
        known.insert(format!("inputs.{name}"), value.unwrap_or_else(|| panic!("input {name} is required")));
    }
    let (output, summary) = (folder.join("output"), folder.join("summary"));
    std::fs::write(&summary, "").unwrap();
    let mut ran = Ran { failed: None, outputs: BTreeMap::new(), summary: String::new(), log: String::new() };
    for step in action["runs"]["steps"].as_vec().unwrap() {
        assert_eq!(step["shell"].as_str(), Some("bash"), "a step of an action names its shell");
        std::fs::write(&output, "").unwrap();
        let mut command = Command::new("bash");
        command.args(["--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"].as_str().unwrap()]);
        command.current_dir(folder).env("GITHUB_OUTPUT", &output).env("GITHUB_STEP_SUMMARY", &summary);
        command.env("PATH", search(path));
        for (key, value) in step["env"].as_hash().unwrap() {
            command.env(key.as_str().unwrap(), fill(value.as_str().unwrap(), &known));
        }
        let done = command.output().expect("bash runs");
        ran.log += &String::from_utf8_lossy(&done.stdout);
        ran.log += &String::from_utf8_lossy(&done.stderr);
        let id = step["id"].as_str().unwrap();
        for line in std::fs::read_to_string(&output).unwrap().lines() {
            let (key, value) = line.split_once('=').unwrap();
            known.insert(format!("steps.{id}.outputs.{key}"), value.to_owned());
        }
        if !done.status.success() {
            ran.failed = Some(id.to_owned());
            break;
        }
    }
    for (name, described) in action["outputs"].as_hash().unwrap() {
        let value = fill(described["value"].as_str().unwrap(), &known);
        ran.outputs.insert(name.as_str().unwrap().to_owned(), value);
    }
    ran.summary = std::fs::read_to_string(&summary).unwrap();
    ran
}

fn search(first: &Path) -> std::ffi::OsString {
    let rest = std::env::var_os("PATH").unwrap_or_default();
    let all: Vec<PathBuf> = std::iter::once(first.to_owned()).chain(std::env::split_paths(&rest)).collect();
    std::env::join_paths(all).unwrap()
}

/// Fills in `${{ … }}`; a step that did not run has empty outputs.
fn fill(text: &str, known: &BTreeMap<String, String>) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${{") {
        let (name, after) = after.split_once("}}").expect("an expression ends");
        let name = name.trim();
        assert!(name.starts_with("steps.") || known.contains_key(name), "unknown expression {name}");
        out += before;
        out += known.get(name).map_or("", String::as_str);
        rest = after;
    }
    out + rest
}
