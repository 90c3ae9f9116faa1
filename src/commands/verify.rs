//! `lfmq verify`: an artifact against its checkpoint, or against a logits file of llama-perplexity.

use super::Done;
use super::proof::{Proof, artifact_name, prove};
use super::verdicts;
use crate::args::VerifyArgs;
use crate::failure::Failure;
use crate::jobs::quantize::importance;
use crate::jobs::{model, targets};
use crate::printer::Printer;
use crate::registry::{Opened, activation};
use anyhow::{Context, Result};
use lfmq_checkpoint::Checkpoint;
use lfmq_core::{ArtifactFile, Fault, Mapped, TensorSource};
use lfmq_gguf_wire::names::tensor_name;
use lfmq_quant::Importance;
use lfmq_verify::llama;
use std::path::Path;

pub fn run(args: &VerifyArgs, offline: bool, printer: &Printer) -> Result<Done> {
    let file = model::artifact_file(&args.artifact)?;
    if let Some(base) = &args.kld_base {
        return against_base(args, &file, base, printer);
    }
    let Some(against) = &args.against else {
        let usage = Failure::usage("say what to compare with");
        return Err(usage.with_hint("--against CHECKPOINT, or --kld-base FILE").into());
    };
    let checkpoint = Checkpoint::open(&model::resolve(against, offline, printer.observer())?).map_err(Fault::from)?;
    let targets = targets::named(&args.target).map_err(Fault::from)?;
    let importance = args.imatrix.as_deref().map(|path| importance_for(&checkpoint, path)).transpose()?;
    let proof = Proof {
        name: artifact_name(&file),
        artifact: file,
        files: digests(&args.artifact)?,
        checkpoint: &checkpoint,
        importance: importance.as_ref(),
        what: &args.drift,
        targets: &targets,
        report: args.report.as_deref(),
        markdown: args.markdown.as_deref(),
        save_kld_base: args.save_kld_base.as_deref(),
        llama_compatible: args.llama_compatible,
        shard: args.shard,
        oracle: Some(&args.oracle),
    };
    prove(&proof, printer)
}

/// The importance weights in `path`, if they are of the checkpoint's sizes: others would quietly not be used.
fn importance_for(checkpoint: &Checkpoint, path: &Path) -> Result<Importance> {
    let importance = importance(path)?;
    for (id, (_, cols)) in checkpoint.spec().tensors().into_iter().filter(|(id, _)| id.role.quantizable()) {
        let entry = importance.weights(&tensor_name(id), id.role.expert(), cols).map_err(Fault::from);
        entry.with_context(|| format!("reading {}", path.display()))?;
    }
    Ok(importance)
}

/// The files of a published folder as its list has them; a folder that is not what its list says is refused.
fn digests(artifact: &Path) -> Result<Vec<ArtifactFile>> {
    if !artifact.join("SHA256SUMS").is_file() {
        return Ok(vec![]);
    }
    let report = lfmq_artifact::check(artifact).map_err(Fault::from)?;
    if let Some(name) = report.changed.iter().chain(&report.missing).next() {
        let changed = Failure::gate(format!("{name} is not what {}/SHA256SUMS says", artifact.display()));
        return Err(changed.with_hint("name the file itself to measure it all the same").into());
    }
    let beside = ["LICENSE", "NOTICE", "MODIFICATIONS.md", "README.md", lfmq_artifact::MANIFEST];
    let paper = |name: &str| beside.contains(&name) || name.starts_with("leap/");
    Ok(report.sound.into_iter().filter(|f| !paper(&f.name)).collect())
}

fn against_base(args: &VerifyArgs, file: &Path, base: &Path, printer: &Printer) -> Result<Done> {
    let mapped = Mapped::open(base).with_context(|| format!("opening {}", base.display()))?;
    let base = llama::BaseFile::parse(&mapped).map_err(Fault::from)?;
    let (opened, _) = Opened::timed(file, activation(args.drift.activations))?;
    let bos = opened.speaker().ok().and_then(|s| s.tokenizer.bos());
    let figures = llama::compare(&base, opened.executor.as_ref(), bos, printer.observer())?;
    verdicts::show_llama(&figures, printer);
    let failure = args
        .drift
        .max_kld
        .filter(|limit| figures.kld.value > *limit)
        .map(|limit| Failure::gate(format!("mean KLD {:.6} is above {limit}", figures.kld.value)));
    Ok(Done { value: serde_json::to_value(&figures)?, failure })
}
