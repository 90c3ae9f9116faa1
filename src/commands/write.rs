//! Writes the outputs of a `quantize`: one reading of the checkpoint for all of them.

use crate::jobs::quantize::{Output, QuantizeJob};
use crate::jobs::text::sha256_hex;
use crate::jobs::{file, size};
use crate::printer::Printer;
use anyhow::Result;
use lfmq_artifact::{MANIFEST, Mode, Part, SideFile, Staging, published};
use lfmq_checkpoint::Digested;
use lfmq_core::{Artifact, ArtifactFile, ExportPlan, Fault, Kind, QuantPlan, Sink, TensorSource};
use lfmq_digest::Digests;
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
    /// An earlier run finished it, and noted in its manifest what it found out about the drift.
    Published(Artifact, Value),
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
            Self::Published(artifact, _) => &artifact.folder,
            Self::Open(open) => open.staging.folder(),
        }
    }

    /// The exporter's files, flushed and digested: they may be opened, and stay as they are.
    ///
    /// # Errors
    /// The file system refuses.
    pub fn settle(&mut self, export: &dyn ExportPlan) -> Result<Vec<ArtifactFile>, Fault> {
        match self {
            Self::Published(artifact, _) => Ok(open_files(artifact, export)),
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
            Self::Published(artifact, _) => return Ok(artifact),
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
    let digests = Digests::default();
    let source = Digested::new(&job.checkpoint, &digests);
    let claimed = outputs.iter().map(|output| stage(job, output, &source, &digests, printer));
    let mut stages: Vec<Stage> = claimed.collect::<Result<_>>()?;
    quantize(job, &source, outputs, &stages, printer)?;
    let inputs = json!(source.digests(printer.observer()));
    for stage in &mut stages {
        if let Stage::Open(open) = stage {
            open.manifest["inputs"] = inputs.clone();
        }
    }
    Ok(stages)
}

/// Claims the folder of an output and writes everything that is no weight.
fn stage(
    job: &QuantizeJob,
    planned: &Planned<'_>,
    source: &Digested<'_>,
    digests: &Digests,
    printer: &Printer,
) -> Result<Stage> {
    let Planned { output, plan, export } = planned;
    let mut manifest = manifest(job, planned);
    let fingerprint = sha256_hex(format!("{} {manifest}", job.checkpoint.fingerprint()).as_bytes());
    if job.mode == Mode::Resume && output.folder.exists() {
        // What an earlier run published is known by its inputs.
        manifest["inputs"] = json!(source.digests(printer.observer()));
        if let Some(artifact) = published(&output.folder, &manifest).map_err(Fault::from)? {
            return earlier(job, artifact, planned);
        }
    }
    let staging = Staging::create(&output.folder, job.mode, &fingerprint).map_err(Fault::from)?;
    let mut staging = staging.beside(digests);
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

/// The exporter's files in a published folder: none if it is sealed.
fn open_files(artifact: &Artifact, export: &dyn ExportPlan) -> Vec<ArtifactFile> {
    let planned = |name: &str| export.files().iter().any(|p| p.name == name);
    artifact.files.iter().filter(|f| planned(&f.name)).cloned().collect()
}

/// A folder that an earlier run of this job published, if it is what this one would make: sealed or not, and, as nobody
/// without a key looks into a sealed one, proved already.
fn earlier(job: &QuantizeJob, artifact: Artifact, planned: &Planned<'_>) -> Result<Stage> {
    let manifest = file::read("the manifest", &artifact.folder.join(MANIFEST))?;
    let drift = serde_json::from_str::<Value>(&manifest)?["drift"].take();
    let sealed = open_files(&artifact, planned.export.as_ref()).is_empty();
    let unlike = match (sealed, job.seals()) {
        (true, false) => Some("is sealed, which was not asked for"),
        (false, true) => Some("is not sealed"),
        (true, true) if job.prove && drift.is_null() => Some("is sealed, and the run that made it did not prove it"),
        _ => None,
    };
    match unlike {
        None => Ok(Stage::Published(artifact, drift)),
        Some(how) => {
            let fault = Fault::new(Kind::Usage, format!("{} {how}", artifact.folder.display()));
            Err(fault
                .with_hint("--overwrite makes it anew; `lfmq unseal` opens a sealed one, `lfmq verify` proves it")
                .into())
        }
    }
}

/// Brings the weights to all outputs that are open.
fn quantize(
    job: &QuantizeJob,
    source: &Digested<'_>,
    outputs: &[Planned<'_>],
    stages: &[Stage],
    printer: &Printer,
) -> Result<()> {
    let open: Vec<(&Planned<'_>, &Open, Part<'_>)> = outputs
        .iter()
        .zip(stages)
        .filter_map(|(planned, stage)| match stage {
            Stage::Open(open) => Some((planned, &**open, open.part())),
            Stage::Published(..) => None,
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
    quantize_all(source, job.importance.as_ref(), &lanes, job.memory, printer.observer())?;
    Ok(())
}

/// What made the artifact: inputs, plan, outputs; no clock, host or path. The inputs' digests are known once they were
/// read.
fn manifest(job: &QuantizeJob, planned: &Planned<'_>) -> Value {
    let files = planned.export.files().iter().map(|f| json!({"name": f.name, "bytes": f.bytes}));
    let runtimes = planned.export.runtimes().into_iter().map(|(name, oldest)| json!({"name": name, "min": oldest}));
    let mut manifest = json!({
        "schema_version": 1,
        "tool": concat!("lfmq ", env!("CARGO_PKG_VERSION")),
        "model": job.checkpoint.name(),
        "spec": job.checkpoint.spec(),
        "inputs": null,
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
