//! `lfmq quantize`: plan, write, prove, publish.

use super::Done;
use super::coverage;
use super::papers::papers;
use super::plan::show_plan;
use super::proof::{Proof, artifact_name, prove};
use super::write::{Planned, Stage, write};
use crate::args::QuantizeArgs;
use crate::failure::Failure;
use crate::jobs::file;
use crate::jobs::quantize::{Output, QuantizeJob, prepare};
use crate::printer::Printer;
use anyhow::Result;
use lfmq_core::{ArtifactFile, ExportJob, Fault, TensorSource};
use lfmq_report::{HtmlOptions, Report, drift_summary, html};
use serde_json::{Value, json};
use std::path::Path;

pub fn run(args: &QuantizeArgs, offline: bool, printer: &Printer) -> Result<Done> {
    let job = prepare(args, offline, printer.observer())?;
    let source: &dyn TensorSource = &job.checkpoint;
    let mut plans = Vec::new();
    for output in &job.outputs {
        plans.push(lfmq_quant::plan(source, &output.recipe, job.importance.as_ref()).map_err(Fault::from)?);
    }
    // Every format must be able to hold its plan before the first one is written.
    let mut outputs = Vec::new();
    for (output, plan) in job.outputs.iter().zip(&plans) {
        let export = output.exporter.plan(&ExportJob { source, plan, stem: &output.stem })?;
        outputs.push(Planned { output, plan, export });
    }
    let covered = job.importance.as_ref().map(|importance| importance.coverage(source.spec()));
    if let Some(covered) = &covered {
        coverage::show(covered, printer);
    }
    if args.dry_run {
        let shown: Vec<Value> =
            outputs.iter().map(|o| show_plan(source, o.output, o.plan, o.export.as_ref(), printer)).collect();
        return Ok(json!({"model": source.name(), "importance": covered, "formats": shown}).into());
    }
    let mut done = Done::from(Value::Null);
    let (mut results, mut reports) = (Vec::new(), Vec::new());
    let stages = write(&job, &outputs, printer)?;
    for (planned, mut stage) in outputs.iter().zip(stages) {
        let Planned { output, plan, export } = planned;
        let files = stage.settle(export.as_ref())?;
        let mut report = None;
        if args.no_verify {
            printer.note("not verified (--no-verify)");
        } else if let Stage::Published(_, drift) = &stage
            && files.is_empty()
        {
            let (name, verdict) = (output.folder.display(), drift["verdict"].as_str().unwrap_or_default());
            let line = format!("{name}: sealed by an earlier run, which proved it: {verdict}");
            printer.note(&line);
            done.failure = done.failure.or((verdict == "fail").then(|| Failure::gate(line)));
        } else {
            // What is proved is what will be published: the folder only changes its name.
            let proved = prove(&proof(args, &job, output, stage.folder(), &files), printer)?;
            done.failure = done.failure.or(proved.failure);
            report = Some(Report::new(&output.stem, proved.value).map_err(Fault::from)?);
        }
        let drift = report.as_ref().map_or(Value::Null, |r| drift_summary(r));
        let papers = papers(&job, planned, &files, report.as_ref());
        let artifact = stage.publish(&job, &papers, drift, printer)?;
        results.push(json!({
            "format": output.format.id,
            "targets": output.targets.iter().map(|t| &t.name).collect::<Vec<_>>(),
            "artifact": artifact.folder,
            "recipe": plan.recipe,
            "files": artifact.files,
            "verification": report.as_ref().map(|r| &r.raw),
        }));
        reports.extend(report);
    }
    if let Some(path) = &job.page {
        let page = html(&reports, &HtmlOptions { title: source.name(), comparisons: &[] });
        file::write(path, &page)?;
        printer.note(&format!("wrote {}", path.display()));
    }
    done.value = json!({"artifacts": results, "importance": covered, "page": job.page});
    Ok(done)
}

/// The proof of a written folder.
fn proof<'a>(
    args: &'a QuantizeArgs,
    job: &'a QuantizeJob,
    output: &'a Output,
    folder: &Path,
    files: &[ArtifactFile],
) -> Proof<'a> {
    let model = files.iter().find(|f| output.format.has(Path::new(&f.name))).map_or("", |f| &f.name);
    Proof {
        artifact: folder.join(model),
        name: artifact_name(&output.folder.join(model)),
        files: files.to_vec(),
        checkpoint: &job.checkpoint,
        importance: job.importance.as_ref(),
        what: &args.drift,
        targets: &output.targets,
        report: None,
        markdown: None,
        save_kld_base: None,
        llama_compatible: false,
        shard: None,
        oracle: None,
    }
}
