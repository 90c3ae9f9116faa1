//! The jobs of a CI engine: every model for every target, in the best format that can be written.

use crate::ReportError;
use lfmq_targets::Target;
use serde::Serialize;
use serde_json::json;
use std::fmt::Write as _;

/// Which engine reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Emit {
    /// GitHub Actions: JSON for `strategy.matrix` by `fromJSON`.
    Github,
    /// GitLab CI: YAML of a child pipeline.
    Gitlab,
}

/// What the jobs have in common.
#[derive(Clone, Copy, Debug)]
pub struct MatrixOptions<'a> {
    /// Formats that can be written.
    pub formats: &'a [&'a str],
    /// Jobs that share the verification of one artifact; 1: none.
    pub shards: usize,
}

/// One job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Job {
    /// A name that no other job has.
    pub name: String,
    /// Model, as typed after `quantize`.
    pub model: String,
    /// Target.
    pub target: String,
    /// Format, for `--to`.
    pub format: String,
    /// Recipe, for `--recipe`.
    pub recipe: String,
    /// The runtime in mind and its oldest version.
    pub runtime: String,
    /// Label or tag of the machine.
    pub runner: String,
    /// `3/16`.
    pub shard: String,
    /// Whether the machine is the device, so that its times are judged.
    pub on_device: bool,
}

/// The jobs of all `models` for all `targets`.
///
/// # Errors
/// A target that none of the formats serves.
pub fn jobs(
    models: &[String],
    targets: &[Target],
    emit: Emit,
    options: &MatrixOptions<'_>,
) -> Result<Vec<Job>, ReportError> {
    let shards = options.shards.max(1);
    let mut jobs = Vec::with_capacity(models.len() * targets.len() * shards);
    for model in models {
        for target in targets {
            let build = target.build(options.formats).ok_or_else(|| ReportError::NoFormat {
                target: target.name.clone(),
                wanted: target.builds.iter().map(|b| b.format.id()).collect::<Vec<_>>().join(" or "),
                written: options.formats.join(", "),
            })?;
            for shard in 1..=shards {
                let part = if shards > 1 { format!(" {shard}/{shards}") } else { String::new() };
                jobs.push(Job {
                    name: format!("{model} for {} ({} {}){part}", target.name, build.format.id(), build.recipe),
                    model: model.clone(),
                    target: target.name.clone(),
                    format: build.format.id().to_owned(),
                    recipe: build.recipe.clone(),
                    runtime: format!("{} {}", build.runtime, build.runtime_min),
                    runner: if emit == Emit::Github { &target.ci.github } else { &target.ci.gitlab }.clone(),
                    shard: format!("{shard}/{shards}"),
                    on_device: target.ci.is_device,
                });
            }
        }
    }
    Ok(jobs)
}

/// The matrix in the language of the engine.
///
/// # Errors
/// As [`jobs`].
pub fn matrix(
    models: &[String],
    targets: &[Target],
    emit: Emit,
    options: &MatrixOptions<'_>,
) -> Result<String, ReportError> {
    let jobs = jobs(models, targets, emit, options)?;
    Ok(match emit {
        // One line: it becomes an output of a step.
        Emit::Github => format!("{}\n", json!({ "include": jobs })),
        Emit::Gitlab => gitlab(&jobs),
    })
}

const HEAD: &str = "\
# Written by `lfmq matrix --emit gitlab`: one job an artifact, the reports together in the last stage.
stages: [prove, report]

.lfmq:
  stage: prove
  script:
";

/// What every job runs.
const SCRIPT: [&str; 4] = [
    "mkdir -p reports",
    "lfmq targets \"$LFMQ_TARGET\" --gates > gates.toml",
    "lfmq quantize \"$LFMQ_MODEL\" --recipe \"$LFMQ_RECIPE\" --to \"$LFMQ_FORMAT\" --out artifact --no-verify",
    "lfmq verify artifact --against \"$LFMQ_MODEL\" --gate gates.toml{shard} --report \"reports/$CI_JOB_ID.json\"",
];

const TAIL: &str = "
report:
  stage: report
  when: always
  script:
    - lfmq report reports/*.json --html report.html --junit junit.xml --markdown report.md
  artifacts:
    when: always
    paths: [report.html, report.md]
    reports:
      junit: junit.xml
";

/// A child pipeline. Every string is written as JSON writes it, which YAML reads as it is; commands see names only
/// through quoted variables, so no name can become a command.
fn gitlab(jobs: &[Job]) -> String {
    let quoted = |text: &str| json!(text).to_string();
    // Without shards there is nothing to say.
    let sharded = jobs.iter().any(|job| job.shard != "1/1");
    let shard = if sharded { " --shard \"$LFMQ_SHARD\"" } else { "" };
    let mut out = String::from(HEAD);
    for line in SCRIPT {
        let _ = writeln!(out, "    - {}", line.replace("{shard}", shard));
    }
    out += "  artifacts:\n    when: always\n    paths: [artifact/, reports/]\n";
    for job in jobs {
        let _ = write!(
            out,
            "\n{}:\n  extends: .lfmq\n  tags: [{}]\n  variables:\n",
            quoted(&job.name),
            quoted(&job.runner)
        );
        let variables = [
            ("LFMQ_MODEL", &job.model),
            ("LFMQ_TARGET", &job.target),
            ("LFMQ_FORMAT", &job.format),
            ("LFMQ_RECIPE", &job.recipe),
            ("LFMQ_RUNTIME", &job.runtime),
            ("LFMQ_SHARD", &job.shard),
        ];
        for (name, value) in variables {
            // GitLab expands `$` in variables; `$$` is a plain one.
            let _ = writeln!(out, "    {name}: {}", quoted(&value.replace('$', "$$")));
        }
    }
    out += TAIL;
    out
}
