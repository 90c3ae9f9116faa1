//! The two laws of the house, over `cargo metadata`, and what a text search can tell of the rest:
//! `unsafe`, printing, the length of files. See docs/architecture.md.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Crates of one floor that may import each other: (importer, imported). Merged shards must have the figures of one run,
/// so `report` sums up with the functions of `verify`.
const NEIGHBOURS: &[(&str, &str)] = &[("crates/report", "crates/verify")];

/// Folders that hold `unsafe`: SIMD, and the one mapping of a file.
const UNSAFE: &[&str] = &["kernels/", "crates/core/src/mapped.rs"];

/// Files that print.
const PRINTERS: &[&str] = &["src/main.rs", "src/printer"];

const LONGEST_FILE: usize = 600;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The floor of the crate in `folder`; a crate imports only from below.
fn floor(folder: &str) -> Option<u8> {
    let parts: Vec<&str> = folder.split('/').collect();
    match parts.as_slice() {
        ["crates", "core"] | ["kernels"] => Some(0),
        ["crates", "digest"] | ["crates", "formats", _, "wire"] => Some(1),
        ["crates", "ops" | "quant" | "checkpoint" | "text" | "hub" | "artifact" | "targets" | "interpreter"] => Some(2),
        ["crates", "reference" | "graph" | "moe"] => Some(3),
        ["crates", "formats", _, "export" | "run"] | ["crates", "oracle"] => Some(4),
        ["crates", "verify" | "report"] => Some(5),
        [""] => Some(6),
        _ => None,
    }
}

const TESTKIT: &str = "crates/testkit";

/// Whether a reader of artifacts must not reach the crate in `folder`.
fn hidden_from_readers(folder: &str) -> bool {
    let named = ["crates/quant", "crates/moe", "crates/graph", "crates/checkpoint"];
    named.contains(&folder) || folder.starts_with("crates/formats/") && folder.ends_with("/export")
}

/// Folder of each crate -> folders of the workspace crates it imports, for the program or its build.
type Imports = BTreeMap<String, BTreeSet<String>>;

fn imports_of(metadata: &Value) -> Imports {
    let root = PathBuf::from(metadata["workspace_root"].as_str().expect("workspace_root"));
    let below = |path: &str| {
        let inside = Path::new(path).strip_prefix(&root).unwrap_or_else(|_| panic!("{path} is outside the workspace"));
        inside.to_str().expect("UTF-8").replace('\\', "/")
    };
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    list(&metadata["packages"])
        .iter()
        .map(|package| {
            let manifest = below(package["manifest_path"].as_str().expect("manifest_path"));
            let folder = manifest.trim_end_matches("Cargo.toml").trim_end_matches('/').to_owned();
            let imported = list(&package["dependencies"])
                .iter()
                .filter(|dependency| dependency["kind"] != "dev")
                .filter_map(|dependency| dependency["path"].as_str())
                .map(below)
                .collect();
            (folder, imported)
        })
        .collect()
}

fn imports() -> Imports {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .expect("cargo metadata runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let imports = imports_of(&serde_json::from_slice(&output.stdout).expect("JSON"));
    assert!(imports.len() > 10 && imports.contains_key(""), "the workspace is larger than {imports:?}");
    imports
}

/// Law 1: every crate has a floor and no edge goes up.
fn edges_up(imports: &Imports) -> Vec<String> {
    let mut faults = Vec::new();
    for (folder, imported) in imports {
        let from = floor(folder);
        if from.is_none() && folder != TESTKIT {
            faults.push(format!("{folder} has no floor"));
        }
        for to in imported {
            let neighbours = NEIGHBOURS.contains(&(folder.as_str(), to.as_str()));
            match (from, floor(to)) {
                _ if to == TESTKIT => faults.push(format!("{folder} imports {TESTKIT} outside tests")),
                (None, _) if folder == TESTKIT => {}
                (Some(from), Some(to)) if to < from || to == from && neighbours => {}
                (from, to_floor) => faults.push(format!("{folder} ({from:?}) imports {to} ({to_floor:?})")),
            }
        }
    }
    faults
}

/// Law 2: no path from a `run` crate to what made the artifact.
fn readers_that_know_too_much(imports: &Imports) -> Vec<String> {
    let mut faults = Vec::new();
    let is_reader = |folder: &str| folder.starts_with("crates/formats/") && folder.ends_with("/run");
    for reader in imports.keys().filter(|folder| is_reader(folder)) {
        let mut paths = vec![vec![reader.clone()]];
        let mut seen = BTreeSet::new();
        while let Some(path) = paths.pop() {
            let here = path.last().expect("a path is never empty");
            if hidden_from_readers(here) {
                faults.push(path.join(" -> "));
            }
            for next in imports.get(here).into_iter().flatten().filter(|next| seen.insert((*next).clone())) {
                paths.push([path.as_slice(), std::slice::from_ref(next)].concat());
            }
        }
    }
    faults
}

fn none(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn no_edge_goes_up() {
    none(&edges_up(&imports()));
}

#[test]
fn readers_know_the_bytes_and_nothing_else() {
    let imports = imports();
    assert!(imports.keys().any(|folder| folder.ends_with("/run")), "no reader in {imports:?}");
    none(&readers_that_know_too_much(&imports));
}

#[test]
fn every_crate_on_disk_is_a_member() {
    let imports = imports();
    let missing: Vec<String> = files(&["crates", "kernels"], "Cargo.toml")
        .iter()
        .map(|file| file.trim_end_matches("/Cargo.toml").to_owned())
        .filter(|folder| !imports.contains_key(folder))
        .map(|folder| format!("{folder} is not a member of the workspace"))
        .collect();
    none(&missing);
}

/// The laws must find what breaks them.
#[test]
fn broken_laws_are_found() {
    let house = |edges: &[(&str, &str)]| {
        let mut imports = Imports::new();
        for (from, to) in edges {
            imports.entry((*from).to_owned()).or_default().insert((*to).to_owned());
            imports.entry((*to).to_owned()).or_default();
        }
        imports
    };
    let up = [
        ("crates/core", "kernels"),
        ("crates/ops", "crates/quant"),
        ("crates/quant", "crates/formats/gguf/export"),
        ("crates/formats/gguf/run", "crates/formats/onnx/run"),
        ("crates/verify", "crates/testkit"),
        ("crates/verify", ""),
        ("crates/new", "crates/core"),
        ("crates/formats/gguf/tools", "crates/core"),
    ];
    for edge in up {
        assert!(!edges_up(&house(&[edge])).is_empty(), "{edge:?} passed");
    }
    let fine = [("", "crates/verify"), ("crates/quant", "crates/formats/gguf/wire"), ("crates/testkit", "crates/core")];
    none(&edges_up(&house(&fine)));

    let run = "crates/formats/gguf/run";
    let detour = house(&[(run, "crates/ops"), ("crates/ops", "kernels"), ("kernels", "crates/checkpoint")]);
    assert_eq!(readers_that_know_too_much(&detour), [format!("{run} -> crates/ops -> kernels -> crates/checkpoint")]);
    for hidden in ["crates/quant", "crates/formats/gguf/export", "crates/graph", "crates/moe"] {
        assert_eq!(readers_that_know_too_much(&house(&[(run, hidden)])).len(), 1, "{hidden}");
    }
    none(&readers_that_know_too_much(&house(&[(run, "crates/ops"), ("crates/formats/gguf/export", "crates/quant")])));
}

/// Files below `folders` whose name ends with `ending`, as paths from the root.
fn files(folders: &[&str], ending: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut open: Vec<PathBuf> = folders.iter().map(|folder| root().join(folder)).collect();
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.expect("readable").path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if path.is_dir() && name != "target" {
                open.push(path);
            } else if name.ends_with(ending) {
                let inside = path.strip_prefix(root()).expect("below the root");
                found.push(inside.to_str().expect("UTF-8").replace('\\', "/"));
            }
        }
    }
    found.sort();
    found
}

/// All Rust files of the workspace.
fn sources() -> Vec<(String, String)> {
    let all = files(&["src", "kernels", "crates", "tests"], ".rs");
    assert!(all.len() > 50, "found only {all:?}");
    all.into_iter()
        .map(|path| {
            let text = fs::read_to_string(root().join(&path)).unwrap_or_else(|error| panic!("{path}: {error}"));
            (path, text)
        })
        .collect()
}

/// Numbers and text of the lines of code that hold `word` as a whole word, comments apart.
fn lines_with<'t>(text: &'t str, word: &'t str) -> impl Iterator<Item = (usize, &'t str)> {
    let apart = |c: char| !(c.is_alphanumeric() || c == '_' || c == '!');
    text.lines()
        .map(|line| line.split("//").next().unwrap_or_default())
        .enumerate()
        .filter(move |(_, code)| code.split(apart).any(|one| one == word))
        .map(|(index, code)| (index + 1, code.trim()))
}

/// The part of a library file that is in the program: up to its test module.
fn without_tests(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod ").next().unwrap_or_default()
}

#[test]
fn unsafe_is_where_it_may_be() {
    let mut faults = Vec::new();
    for (path, text) in sources().iter().filter(|(path, _)| !UNSAFE.iter().any(|place| path.starts_with(place))) {
        // This file speaks of the word in strings.
        if path != "tests/layering.rs" {
            faults.extend(lines_with(text, "unsafe").map(|(line, code)| format!("{path}:{line}: {code}")));
        }
        let is_crate_root = path == "src/main.rs" || path.ends_with("/src/lib.rs");
        if is_crate_root && path != "crates/core/src/lib.rs" && !text.contains("#![forbid(unsafe_code)]") {
            faults.push(format!("{path} does not forbid unsafe code"));
        }
    }
    none(&faults);
}

#[test]
fn only_the_printer_prints() {
    let in_program = |path: &str| path.contains("src/") && !path.contains("/tests/") && !path.ends_with("tests.rs");
    let mut faults = Vec::new();
    for (path, text) in sources() {
        if in_program(&path) && !PRINTERS.iter().any(|place| path.starts_with(place)) {
            for word in ["print!", "println!", "eprint!", "eprintln!", "dbg!"] {
                let found = lines_with(without_tests(&text), word);
                faults.extend(found.map(|(line, code)| format!("{path}:{line}: {code}")));
            }
        }
    }
    none(&faults);
}

#[test]
fn files_are_short() {
    let faults: Vec<String> = sources()
        .iter()
        .map(|(path, text)| (path, text.lines().count()))
        .filter(|(_, lines)| *lines > LONGEST_FILE)
        .map(|(path, lines)| format!("{path} has {lines} lines, more than {LONGEST_FILE}"))
        .collect();
    none(&faults);
}

#[test]
fn searches_find_what_they_search() {
    let text = "let x = unsafe { y };\n// unsafe here\n#![forbid(unsafe_code)]\nprintln!(\"a\");\neprintln!();\n";
    let lines = |word| lines_with(text, word).map(|(line, _)| line).collect::<Vec<_>>();
    assert_eq!(lines("unsafe"), [1]);
    assert_eq!(lines("println!"), [4]);
    assert_eq!(lines("eprintln!"), [5]);
    assert_eq!(without_tests("a\n#[cfg(test)]\nmod tests {\n"), "a\n");
}
