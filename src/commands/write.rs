//! Writes the outputs of a `quantize`: one reading of the checkpoint for all of them.

use crate::jobs::quantize::{Output, QuantizeJob};
use crate::jobs::size;
use crate::jobs::text::sha256_hex;
use crate::printer::Printer;
use anyhow::Result;
use lfmq_artifact::{Mode, Part, SideFile, Staging, published};
use lfmq_core::{Artifact, ArtifactFile, ExportPlan, Fault, QuantPlan, Sink, TensorSource};
use lfmq_quant::quantize_all;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;

/// An output with everything fixed but its weights.
pub struct Planned<'a> {
    pub output: &'a Output,
    pub plan: &'a QuantPlan,
    pub export: Box<dyn ExportPlan + 'a>,
}

/// Where an output stands once its weights are written.
pub enum Stage {
    /// An earlier run finished it.
    Published(Artifact),
    /// Written, not yet to be seen.
    Open(Box<Open>),
}

pub struct Open {
    staging: Staging,
    /// The first of the exporter's files.
    first: usize,
    finished: BTreeSet<usize>,
    manifest: Value,
}

impl Open {
    fn part(&self) -> Part<'_> {
        self.staging.part(self.first)
    }
}

impl Stage {
    /// Where the files are now.
    pub fn folder(&self) -> &Path {
        match self {
            Self::Published(artifact) => &artifact.folder,
            Self::Open(open) => open.staging.folder(),
        }
    }

    /// The exporter's files, flushed and digested: they may be opened, and stay as they are.
    ///
    /// # Errors
    /// The file system refuses.
    pub fn settle(&mut self, export: &dyn ExportPlan) -> Result<Vec<ArtifactFile>, Fault> {
        match self {
            Self::Published(artifact) => {
                let planned = |name: &str| export.files().iter().any(|p| p.name == name);
                Ok(artifact.files.iter().filter(|f| planned(&f.name)).cloned().collect())
            }
            Self::Open(open) => Ok(open.staging.settle()?),
        }
    }

    /// Adds the papers and what was found out about the drift, seals the files if asked to, and gives the folder its
    /// final name.
    ///
    /// # Errors
    /// The file system refuses.
    pub fn publish(self, job: &QuantizeJob, papers: &[SideFile], drift: Value, printer: &Printer) -> Result<Artifact> {
        let open = match self {
            Self::Published(artifact) => return Ok(artifact),
            Self::Open(open) => *open,
        };
        let Open { mut staging, mut manifest, .. } = open;
        for paper in papers {
            staging.place(paper).map_err(Fault::from)?;
        }
        manifest["drift"] = drift;
        job.seal(&mut staging, printer.observer())?;
        let artifact = staging.publish(&manifest).map_err(Fault::from)?;
        let bytes: u64 = artifact.files.iter().map(|f| f.bytes).sum();
        printer.note(&format!("wrote {} ({})", artifact.folder.display(), size::show(bytes)));
        Ok(artifact)
    }
}

/// Writes all outputs in one reading of the checkpoint; none is to be seen yet.
///
/// A run that is killed leaves every output either published or to be resumed.
///
/// # Errors
/// An output exists or is being written by another run, the file system refuses, or a weight cannot be carried.
pub fn write(job: &QuantizeJob, outputs: &[Planned<'_>], printer: &Printer) -> Result<Vec<Stage>> {
    let inputs = job.checkpoint.digests(printer.observer());
    let stages: Vec<Stage> = outputs.iter().map(|o| stage(job, o, &inputs, printer)).collect::<Result<_>>()?;
    quantize(job, outputs, &stages, printer)?;
    Ok(stages)
}

/// Claims the folder of an output and writes everything that is no weight.
fn stage(job: &QuantizeJob, planned: &Planned<'_>, inputs: &[ArtifactFile], printer: &Printer) -> Result<Stage> {
    let Planned { output, plan, export } = planned;
    let manifest = manifest(job, planned, inputs);
    if job.mode == Mode::Resume
        && let Some(artifact) = published(&output.folder, &manifest).map_err(Fault::from)?
    {
        return Ok(Stage::Published(artifact));
    }
    let fingerprint = sha256_hex(manifest.to_string().as_bytes());
    let mut staging = Staging::create(&output.folder, job.mode, &fingerprint).map_err(Fault::from)?;
    let first = staging.add(export.files()).map_err(Fault::from)?;
    for file in &output.terms {
        staging.place(file).map_err(Fault::from)?;
    }
    let finished = staging.finished().clone();
    if !finished.is_empty() {
        let (name, all) = (output.folder.display(), plan.tensors.len());
        printer.note(&format!("resuming {name}: {} of {all} tensors are written", finished.len()));
    }
    export.write_frame(&staging.part(first))?;
    Ok(Stage::Open(Box::new(Open { staging, first, finished, manifest })))
}

/// Brings the weights to all outputs that are open.
fn quantize(job: &QuantizeJob, outputs: &[Planned<'_>], stages: &[Stage], printer: &Printer) -> Result<()> {
    let open: Vec<(&Planned<'_>, &Open, Part<'_>)> = outputs
        .iter()
        .zip(stages)
        .filter_map(|(planned, stage)| match stage {
            Stage::Open(open) => Some((planned, &**open, open.part())),
            Stage::Published(_) => None,
        })
        .collect();
    let writers: Vec<[(&dyn ExportPlan, &dyn Sink); 1]> =
        open.iter().map(|(planned, _, part)| [(&*planned.export, part as &dyn Sink)]).collect();
    let calls: Vec<_> = open
        .iter()
        .map(|(_, open, _)| {
            let done = |tensor: usize| open.finished.contains(&tensor);
            let finished = |tensor: usize| open.staging.finish(tensor).map_err(Fault::from);
            (done, finished)
        })
        .collect();
    let lanes: Vec<lfmq_quant::Output<'_>> = open
        .iter()
        .zip(&writers)
        .zip(&calls)
        .map(|(((planned, ..), writers), (done, finished))| lfmq_quant::Output {
            plan: planned.plan,
            writers,
            done,
            finished,
        })
        .collect();
    quantize_all(&job.checkpoint, job.importance.as_ref(), &lanes, job.memory, printer.observer())?;
    Ok(())
}

/// What made the artifact: inputs, plan, outputs; no clock, host or path.
fn manifest(job: &QuantizeJob, planned: &Planned<'_>, inputs: &[ArtifactFile]) -> Value {
    let files = planned.export.files().iter().map(|f| json!({"name": f.name, "bytes": f.bytes}));
    let runtimes = planned.export.runtimes().into_iter().map(|(name, oldest)| json!({"name": name, "min": oldest}));
    let mut manifest = json!({
        "schema_version": 1,
        "tool": concat!("lfmq ", env!("CARGO_PKG_VERSION")),
        "model": job.checkpoint.name(),
        "spec": job.checkpoint.spec(),
        "inputs": inputs,
        "format": planned.output.format.id,
        "runtimes": runtimes.collect::<Vec<_>>(),
        "plan": planned.plan,
        "files": files.collect::<Vec<_>>(),
    });
    if let Some(origin) = &job.origin {
        manifest["source"] = json!({"repo": origin.repo, "commit": origin.commit});
    }
    manifest
}
