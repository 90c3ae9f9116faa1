//! `lfmq quantize`: plan, write, publish, prove.

use super::Done;
use super::plan::show_plan;
use super::proof::{Proof, prove};
use crate::args::QuantizeArgs;
use crate::jobs::file;
use crate::jobs::quantize::{Output, QuantizeJob, prepare};
use crate::jobs::size;
use crate::jobs::text::sha256_hex;
use crate::printer::Printer;
use anyhow::Result;
use lfmq_artifact::{Staging, license_files};
use lfmq_core::{Artifact, ArtifactFile, ExportJob, ExportPlan, Fault, QuantPlan, TensorSource};
use lfmq_report::{HtmlOptions, Report, html};
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
    let mut exports = Vec::new();
    for (output, plan) in job.outputs.iter().zip(&plans) {
        exports.push(output.exporter.plan(&ExportJob { source, plan, stem: &output.stem })?);
    }
    let each = || job.outputs.iter().zip(&plans).zip(&exports).map(|((o, p), e)| (o, p, e.as_ref()));
    if args.dry_run {
        let shown: Vec<Value> = each().map(|(o, p, e)| show_plan(source, o, p, e, printer)).collect();
        return Ok(json!({"model": source.name(), "formats": shown}).into());
    }
    let inputs = job.checkpoint.digests(printer.observer());
    let mut done = Done::from(Value::Null);
    let mut results = Vec::new();
    for (output, plan, export) in each() {
        let artifact = write(&job, output, plan, export, &inputs, printer)?;
        let bytes: u64 = artifact.files.iter().map(|f| f.bytes).sum();
        printer.note(&format!("wrote {} ({})", artifact.folder.display(), size::show(bytes)));
        let mut verification = Value::Null;
        if args.no_verify {
            printer.note("not verified (--no-verify)");
        } else {
            let proved = prove(&proof(args, &job, output, export, &artifact), printer)?;
            done.failure = done.failure.or(proved.failure);
            verification = proved.value;
        }
        results.push(json!({
            "format": output.format.id,
            "targets": output.targets.iter().map(|t| &t.name).collect::<Vec<_>>(),
            "artifact": artifact.folder,
            "recipe": plan.recipe,
            "files": artifact.files,
            "verification": verification,
        }));
    }
    if let Some(path) = &args.html {
        let mut reports = Vec::new();
        for result in &results {
            let name = result["verification"]["artifact"]["name"].as_str().unwrap_or_default();
            reports.push(Report::new(name, result["verification"].clone()).map_err(Fault::from)?);
        }
        let page = html(&reports, &HtmlOptions { title: source.name(), comparisons: &[] });
        file::write(path, &page)?;
    }
    done.value = json!({"artifacts": results});
    Ok(done)
}

/// The proof of a published folder.
fn proof<'a>(
    args: &'a QuantizeArgs,
    job: &'a QuantizeJob,
    output: &'a Output,
    export: &dyn ExportPlan,
    artifact: &Artifact,
) -> Proof<'a> {
    let planned = |name: &str| export.files().iter().any(|p| p.name == name);
    let model = |name: &str| Path::new(name).extension().is_some_and(|e| e == output.format.extension);
    let first = export.files().iter().find(|f| model(&f.name)).map(|f| artifact.folder.join(&f.name));
    Proof {
        artifact: first.unwrap_or_default(),
        files: artifact.files.iter().filter(|f| planned(&f.name)).cloned().collect(),
        checkpoint: &job.checkpoint,
        importance: job.importance.as_ref(),
        what: &args.drift,
        targets: &output.targets,
        report: None,
        markdown: None,
        save_kld_base: None,
        llama_compatible: false,
        shard: None,
    }
}

/// Writes one format and publishes its folder.
fn write(
    job: &QuantizeJob,
    output: &Output,
    plan: &QuantPlan,
    export: &dyn ExportPlan,
    inputs: &[ArtifactFile],
    printer: &Printer,
) -> Result<Artifact> {
    let licence = license_files(&job.checkpoint, &output.stem, job.license_file.as_deref()).map_err(Fault::from)?;
    let manifest = manifest(job, output, plan, export, inputs);
    let fingerprint = sha256_hex(manifest.to_string().as_bytes());
    let mut staging = Staging::create(&output.folder, job.mode, &fingerprint).map_err(Fault::from)?;
    let first = staging.add(export.files()).map_err(Fault::from)?;
    for file in &licence {
        staging.place(file).map_err(Fault::from)?;
    }
    let finished = staging.finished().clone();
    if !finished.is_empty() {
        printer.note(&format!("resuming: {} of {} tensors are written", finished.len(), plan.tensors.len()));
    }
    let part = staging.part(first);
    export.write_frame(&part)?;
    lfmq_quant::quantize(
        &job.checkpoint,
        plan,
        job.importance.as_ref(),
        &[(export, &part)],
        &|tensor| finished.contains(&tensor),
        &|tensor| staging.finish(tensor).map_err(Fault::from),
        job.memory,
        printer.observer(),
    )?;
    Ok(staging.publish(&manifest).map_err(Fault::from)?)
}

/// What made the artifact: inputs, plan, outputs; no clock, host or path.
fn manifest(
    job: &QuantizeJob,
    output: &Output,
    plan: &QuantPlan,
    export: &dyn ExportPlan,
    inputs: &[ArtifactFile],
) -> Value {
    let files: Vec<_> = export.files().iter().map(|f| json!({"name": f.name, "bytes": f.bytes})).collect();
    json!({
        "schema_version": 1,
        "tool": concat!("lfmq ", env!("CARGO_PKG_VERSION")),
        "model": job.checkpoint.name(),
        "spec": job.checkpoint.spec(),
        "inputs": inputs,
        "format": output.format.id,
        "plan": plan,
        "files": files,
    })
}
