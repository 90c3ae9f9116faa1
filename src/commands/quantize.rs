//! `lfmq quantize`: plan, write, publish, prove.

use super::Done;
use super::plan::show_plan;
use super::proof::{Proof, prove};
use crate::args::QuantizeArgs;
use crate::jobs::quantize::{QuantizeJob, prepare};
use crate::jobs::size;
use crate::jobs::text::sha256_hex;
use crate::printer::{Printer, Tone};
use anyhow::Result;
use lfmq_artifact::{SideFile, Staging, license_files};
use lfmq_core::{Artifact, ArtifactFile, ExportJob, ExportPlan, Fault, QuantPlan, Sink, TensorSource};
use serde_json::{Value, json};

pub fn run(args: &QuantizeArgs, printer: &Printer) -> Result<Done> {
    let job = prepare(args)?;
    let source: &dyn TensorSource = &job.checkpoint;
    let plan = lfmq_quant::plan(source, &job.recipe, job.importance.as_ref()).map_err(Fault::from)?;
    let export_job = ExportJob { source, plan: &plan, stem: &job.stem };
    let mut exports = Vec::new();
    for (_, exporter) in &job.outputs {
        exports.push(exporter.plan(&export_job)?);
    }
    if args.dry_run {
        return Ok(show_plan(&job, &plan, &exports, printer).into());
    }
    let licence = license_files(source, &job.stem, job.license_file.as_deref()).map_err(Fault::from)?;
    let inputs = job.checkpoint.digests(printer.observer());
    let artifact = write(&job, &plan, &exports, &licence, &inputs, printer)?;
    let files: u64 = artifact.files.iter().map(|f| f.bytes).sum();
    printer.note(&format!("wrote {} ({})", artifact.folder.display(), size::show(files)));
    let mut done = Done::from(Value::Null);
    let mut reports = Vec::new();
    if !args.no_verify {
        for export in &exports {
            let first = export.files().first().map(|f| artifact.folder.join(&f.name)).unwrap_or_default();
            let proof = Proof {
                artifact: &first,
                files: artifact
                    .files
                    .iter()
                    .filter(|f| export.files().iter().any(|p| p.name == f.name))
                    .cloned()
                    .collect(),
                checkpoint: &job.checkpoint,
                importance: job.importance.as_ref(),
                what: &args.drift,
                report: None,
                markdown: None,
                save_kld_base: None,
                llama_compatible: false,
            };
            let proved = prove(&proof, printer)?;
            done.failure = done.failure.or(proved.failure);
            reports.push(proved.value);
        }
    } else {
        printer.note(&printer.tone("not verified (--no-verify)", Tone::Doubt));
    }
    done.value = json!({
        "artifact": artifact.folder,
        "recipe": plan.recipe,
        "files": artifact.files,
        "verification": reports,
    });
    Ok(done)
}

/// Writes every format at once and publishes the folder.
fn write(
    job: &QuantizeJob,
    plan: &QuantPlan,
    exports: &[Box<dyn ExportPlan + '_>],
    licence: &[SideFile],
    inputs: &[ArtifactFile],
    printer: &Printer,
) -> Result<Artifact> {
    let manifest = manifest(job, plan, exports, inputs);
    let fingerprint = sha256_hex(manifest.to_string().as_bytes());
    let mut staging = Staging::create(&job.out, job.mode, &fingerprint).map_err(Fault::from)?;
    let mut firsts = Vec::new();
    for export in exports {
        firsts.push(staging.add(export.files()).map_err(Fault::from)?);
    }
    for file in licence {
        staging.place(file).map_err(Fault::from)?;
    }
    let finished = staging.finished();
    if !finished.is_empty() {
        printer.note(&format!("resuming: {} of {} tensors are written", finished.len(), plan.tensors.len()));
    }
    let parts: Vec<_> = firsts.iter().map(|first| staging.part(*first)).collect();
    for (export, part) in exports.iter().zip(&parts) {
        export.write_frame(part)?;
    }
    let outputs: Vec<(&dyn ExportPlan, &dyn Sink)> =
        exports.iter().zip(&parts).map(|(export, part)| (export.as_ref(), part as &dyn Sink)).collect();
    lfmq_quant::quantize(
        &job.checkpoint,
        plan,
        job.importance.as_ref(),
        &outputs,
        &|tensor| finished.contains(&tensor),
        &|tensor| staging.finish(tensor).map_err(Fault::from),
        job.memory,
        printer.observer(),
    )?;
    drop(outputs);
    drop(parts);
    Ok(staging.publish(&manifest).map_err(Fault::from)?)
}

/// What made the artifact: inputs, plan, outputs; no clock, host or path.
fn manifest(
    job: &QuantizeJob,
    plan: &QuantPlan,
    exports: &[Box<dyn ExportPlan + '_>],
    inputs: &[ArtifactFile],
) -> Value {
    let outputs: Vec<Value> = job
        .outputs
        .iter()
        .zip(exports)
        .map(|((format, _), export)| {
            let files: Vec<_> = export.files().iter().map(|f| json!({"name": f.name, "bytes": f.bytes})).collect();
            json!({"format": format.id, "files": files})
        })
        .collect();
    json!({
        "schema_version": 1,
        "tool": concat!("lfmq ", env!("CARGO_PKG_VERSION")),
        "model": job.checkpoint.name(),
        "spec": job.checkpoint.spec(),
        "inputs": inputs,
        "plan": plan,
        "outputs": outputs,
    })
}
