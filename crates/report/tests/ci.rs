//! What CI engines read: job matrices, the example pipelines, and the composite action, whose steps are run.

#[path = "common/action.rs"]
mod action;

use lfmq_report::{Emit, MatrixOptions, ReportError, jobs, matrix};
use lfmq_targets::{Target, find};
use serde_json::Value;
use std::path::{Path, PathBuf};
use yaml_rust2::YamlLoader;

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/ci")
}

fn targets(names: &[&str]) -> Vec<Target> {
    names.iter().map(|n| find(n).unwrap()).collect()
}

const MODELS: [&str; 2] = ["LiquidAI/LFM2-1.2B", "a \"b\": $(touch x) #c"];

fn models() -> Vec<String> {
    MODELS.map(str::to_owned).to_vec()
}

#[test]
fn every_model_for_every_target_in_its_best_format() {
    let targets = targets(&["android-arm64", "browser-webgpu"]);
    let all =
        |formats: &[&str]| jobs(&models(), &targets, Emit::Github, &MatrixOptions { formats, shards: 3 }).unwrap();
    let today = all(&["gguf"]);
    assert_eq!(today.len(), 2 * 2 * 3);
    assert!(today.iter().all(|j| j.format == "gguf"));
    assert_eq!(today[0].recipe, "phone-4bit");
    assert_eq!(today.iter().take(3).map(|j| j.shard.as_str()).collect::<Vec<_>>(), ["1/3", "2/3", "3/3"]);
    let mut names: Vec<_> = today.iter().map(|j| &j.name).collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), today.len(), "names are unique");
    let both = all(&["gguf", "onnx"]);
    assert!(both.iter().all(|j| (j.format == "onnx") == (j.target == "browser-webgpu")));

    let none = jobs(&models(), &targets, Emit::Github, &MatrixOptions { formats: &["mlx"], shards: 1 });
    assert!(matches!(none, Err(ReportError::NoFormat { target, .. }) if target == "android-arm64"));
}

#[test]
fn github_reads_one_line_of_json() {
    let options = MatrixOptions { formats: &["gguf"], shards: 1 };
    let text = matrix(&models(), &targets(&["raspberry-pi5", "server-cpu"]), Emit::Github, &options).unwrap();
    assert_eq!(text.trim_end().lines().count(), 1, "an output of a step is one line");
    let value: Value = serde_json::from_str(&text).unwrap();
    let include = value["include"].as_array().unwrap();
    assert_eq!(include.len(), 4);
    assert_eq!(include[2]["model"], MODELS[1]);
    assert_eq!((&include[1]["runner"], &include[1]["recipe"]), (&"ubuntu-24.04".into(), &"Q8_0".into()));
    // What the example workflow asks of an entry is in it.
    let workflow = std::fs::read_to_string(docs().join("github.yml")).unwrap();
    let asked = workflow.split("matrix.").skip(1).map(|s| s.split([' ', '}', '\n', '\'']).next().unwrap());
    let asked: Vec<&str> = asked.filter(|s| !s.starts_with("outputs")).collect();
    assert!(asked.len() >= 6, "{asked:?}");
    for key in asked {
        assert!(!include[0][key].is_null() || key == "matrix", "{key}");
    }
}

#[test]
fn gitlab_reads_a_pipeline() {
    let options = MatrixOptions { formats: &["gguf"], shards: 2 };
    let text = matrix(&models(), &targets(&["iot-small"]), Emit::Gitlab, &options).unwrap();
    let pipeline = YamlLoader::load_from_str(&text).unwrap().remove(0);
    let map = pipeline.as_hash().unwrap();
    // stages, .lfmq, 2 models x 2 shards, report
    assert_eq!(map.len(), 1 + 1 + 4 + 1);
    let job = &pipeline[format!("{} for iot-small (gguf Q4_0) 2/2", MODELS[1]).as_str()];
    assert_eq!(job["extends"].as_str(), Some(".lfmq"));
    assert_eq!(job["tags"][0].as_str(), Some("saas-linux-small-arm64"));
    assert_eq!(job["variables"]["LFMQ_MODEL"].as_str(), Some(MODELS[1].replace('$', "$$").as_str()));
    assert_eq!(job["variables"]["LFMQ_SHARD"].as_str(), Some("2/2"));
    assert!(text.contains("--shard \"$LFMQ_SHARD\""));
    let whole = MatrixOptions { formats: &["gguf"], shards: 1 };
    assert!(!matrix(&models(), &targets(&["iot-small"]), Emit::Gitlab, &whole).unwrap().contains("--shard"));
    let stages: Vec<_> = pipeline["stages"].as_vec().unwrap().iter().map(|s| s.as_str().unwrap()).collect();
    for job in [".lfmq", "report"] {
        assert!(stages.contains(&pipeline[job]["stage"].as_str().unwrap()));
        let script = pipeline[job]["script"].as_vec().unwrap();
        // Variables are quoted wherever a shell sees them.
        for line in script.iter().map(|l| l.as_str().unwrap()) {
            let bare = line.split('"').step_by(2).any(|outside| outside.contains('$'));
            assert!(!bare, "{line}");
        }
    }
}

#[test]
fn examples_are_yaml_and_name_what_there_is() {
    for file in ["github.yml", "gitlab.yml", "action/action.yml"] {
        assert!(action::load(&docs().join(file)).as_hash().is_some(), "{file}");
    }
    let workflow = action::load(&docs().join("github.yml"));
    let steps = workflow["jobs"]["prove"]["steps"].as_vec().unwrap();
    let uses = steps.iter().find(|s| s["uses"].as_str() == Some("./docs/ci/action")).expect("uses the action");
    let inputs = action::load(&docs().join("action/action.yml"));
    for given in uses["with"].as_hash().unwrap().keys() {
        assert!(!inputs["inputs"][given.as_str().unwrap()].is_badvalue(), "{given:?}");
    }
    for (name, input) in inputs["inputs"].as_hash().unwrap() {
        let required = input["required"].as_bool() == Some(true);
        assert!(!required || !uses["with"][name.as_str().unwrap()].is_badvalue(), "{name:?} is required");
    }
}

/// A stand-in for the program: notes its arguments and writes the files it is asked for. `verify` ends with the
/// code in the file `code`, `report` with that in `report-code`.
const STAND_IN: &str = r#"#!/usr/bin/env bash
here=$(dirname "$0")
printf '%s\n' "$@" --- >> "$here/calls"
command=$1
while [ $# -gt 0 ]; do
  case $1 in
    --gates) echo "[all]" ;;
    --report | --html | --junit) echo "$command" > "$2" ;;
    --markdown) echo "from $command" > "$2" ;;
    --out) mkdir -p "$2" ;;
  esac
  shift
done
case $command in
  verify) exit "$(cat "$here/code" 2>/dev/null || echo 0)" ;;
  report) exit "$(cat "$here/report-code" 2>/dev/null || echo 0)" ;;
esac
"#;

struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("bin/lfmq");
        std::fs::create_dir(folder.path().join("bin")).unwrap();
        std::fs::write(&program, STAND_IN).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        Self { folder }
    }

    fn code(&self, of: &str, code: i32) {
        std::fs::write(self.folder.path().join("bin").join(of), code.to_string()).unwrap();
    }

    fn run(&self, inputs: &[(&str, &str)]) -> action::Ran {
        let path = self.folder.path();
        action::run(&docs().join("action/action.yml"), inputs, path, &path.join("bin"))
    }

    fn calls(&self) -> Vec<Vec<String>> {
        let text = std::fs::read_to_string(self.folder.path().join("bin/calls")).unwrap_or_default();
        text.split("---\n").filter(|c| !c.is_empty()).map(|c| c.lines().map(str::to_owned).collect()).collect()
    }
}

const PLAIN: [(&str, &str); 3] = [("model", "m"), ("target", "iot-small"), ("recipe", "Q4_0")];

#[test]
fn the_action_passes_what_holds() {
    let bench = Bench::new();
    let ran = bench.run(&PLAIN);
    assert_eq!(ran.failed, None, "{}", ran.log);
    assert_eq!(
        bench.calls().iter().map(|c| c[0].as_str()).collect::<Vec<_>>(),
        ["targets", "quantize", "verify", "report"]
    );
    assert_eq!(ran.outputs["report"], "lfmq-out/report.json");
    assert_eq!((ran.outputs["artifact"].as_str(), ran.outputs["exit-code"].as_str()), ("lfmq-out/artifact", "0"));
    assert_eq!(ran.summary, "from report\n");
    assert!(!bench.calls()[3].contains(&"--baseline".to_owned()) && !bench.calls()[2].contains(&"--shard".to_owned()));
    assert_eq!(std::fs::read_to_string(bench.folder.path().join("lfmq-out/gates.toml")).unwrap(), "[all]\n");
}

#[test]
fn a_failed_gate_is_reported_and_then_fails() {
    for (file, step) in [("code", "judge"), ("report-code", "judge")] {
        let bench = Bench::new();
        bench.code(file, 1);
        let ran = bench.run(&[PLAIN.as_slice(), &[("baseline", "old.json")]].concat());
        assert_eq!(ran.failed.as_deref(), Some(step), "{}", ran.log);
        assert_eq!(ran.summary, "from report\n", "the report is shown all the same");
        assert!(ran.log.contains("::error::"));
        let report = &bench.calls()[3];
        let at = report.iter().position(|a| a == "--baseline").unwrap();
        assert_eq!(report[at + 1], "old.json");
    }
}

#[test]
fn anything_but_a_failed_gate_stops_at_once() {
    let bench = Bench::new();
    bench.code("code", 3);
    let ran = bench.run(&PLAIN);
    assert_eq!(ran.failed.as_deref(), Some("verify"));
    assert_eq!((bench.calls().len(), ran.summary.as_str()), (3, ""));
}

#[test]
fn names_never_become_commands() {
    let bench = Bench::new();
    let hostile = "x y\"; touch owned; $(touch owned) `touch owned` '";
    let inputs =
        [("model", hostile), ("target", hostile), ("recipe", hostile), ("shard", hostile), ("format", hostile)];
    let ran = bench.run(&inputs);
    assert_eq!(ran.failed, None, "{}", ran.log);
    assert!(!bench.folder.path().join("owned").exists());
    assert_eq!(bench.calls()[0], ["targets", hostile, "--gates"]);
    assert_eq!(bench.calls()[1][1], hostile);
    assert!(bench.calls()[2].iter().filter(|a| *a == hostile).count() == 2);
}
