//! Proves an artifact: opens its bytes, compares weights, predictions and tasks with the checkpoint, measures latency,
//! and judges the gates. `quantize` and `verify` share it.

use super::misrouted::misrouted;
use super::{Done, edge, verdicts};
use crate::args::{DriftArgs, OracleArgs};
use crate::failure::Failure;
use crate::jobs::speaker::Speaker;
use crate::jobs::text::Text;
use crate::jobs::{self, file};
use crate::printer::{Printer, Tone};
use crate::registry::{self, Opened, activation};
use anyhow::{Context, Result};
use lfmq_checkpoint::Checkpoint;
use lfmq_core::{Activation, ArtifactFile, Executor, Fault, Kind, TensorId, TensorSource};
use lfmq_gguf_wire::names::tensor_name;
use lfmq_quant::Importance;
use lfmq_reference::{Ahead, Reference};
use lfmq_targets::Target;
use lfmq_verify::edge::{EdgeReport, Family};
use lfmq_verify::metrics::Conspicuous;
use lfmq_verify::{
    ArtifactFacts, DriftOptions, DriftReport, GateFile, GateReport, Generate, GraphReport, LatencyOptions, Limits,
    Shard, TargetVerdict, TaskComparison, TextFacts, Verdict, WindowOptions, Windows, drift, graph, latency, layers,
    oracle, spec, tasks, weights,
};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Windows below this many give no standard error worth the name, so a short text is cut finer.
const LEAST_WINDOWS: u32 = 4;
/// A greedy answer that is longer than this is wrong anyway.
const ANSWER_TOKENS: usize = 320;
/// Tokens a graph is run on beside our own forward pass. Half of them are enough for the part of a graph that takes prompts.
const GRAPH_TOKENS: usize = 32;
/// Tokens whose way through the layers is compared.
const LAYER_TOKENS: usize = 128;
/// The latency part of a proof may take about this long; `lfmq bench` has no such limit.
const LATENCY_BUDGET: Duration = Duration::from_secs(6);

/// What is to be proved, and against what.
pub struct Proof<'a> {
    pub artifact: PathBuf,
    /// What it is called; see [`artifact_name`].
    pub name: String,
    pub files: Vec<ArtifactFile>,
    pub checkpoint: &'a Checkpoint,
    pub importance: Option<&'a Importance>,
    pub what: &'a DriftArgs,
    /// Targets whose own limits are judged too.
    pub targets: &'a [Target],
    pub report: Option<&'a Path>,
    pub markdown: Option<&'a Path>,
    pub save_kld_base: Option<&'a Path>,
    pub llama_compatible: bool,
    /// The part of the windows to score; `None`: all.
    pub shard: Option<Shard>,
    /// The runtime to hold our executor against.
    pub oracle: Option<&'a OracleArgs>,
}

/// Runs the proof and prints its table.
///
/// # Errors
/// Anything that keeps it from running to its end. A gate that fails is in the result, not an error.
pub fn prove(proof: &Proof<'_>, printer: &Printer) -> Result<Done> {
    let general = gates(proof.what, None)?;
    // A runtime that is not there is told before anything is measured.
    let runtime = proof.oracle.map(|asked| jobs::oracle::open(asked, &proof.artifact)).transpose()?.flatten();
    let speaker = Speaker::of_checkpoint(proof.checkpoint)?;
    let text = Text::read(proof.what.text.as_deref())?;
    let tokens = speaker.tokenizer.encode(&text.text, false).map_err(Fault::from)?;
    // What is not about windows is measured once.
    let leads = proof.shard.is_none_or(Shard::leads);
    let graph = if leads { graph_report(proof, &tokens)? } else { None };
    let (opened, load_ms) = Opened::timed(&proof.artifact, activation(proof.what.activations))?;
    let candidate = opened.executor.as_ref();
    let reference = Reference::open(proof.checkpoint, registry::rung()).map_err(Fault::from)?;
    let mut artifact = ArtifactFacts::new(proof.name.clone(), proof.files.clone(), candidate.facts());
    // A graph's matrices are folded, tied and padded in many ways: the checkpoint knows how many weights there are.
    let weights = proof.checkpoint.spec().parameters().max(1);
    artifact.bits_per_weight = 8.0 * candidate.facts().weight_bytes as f64 / weights as f64;
    let mut report = DriftReport::new(
        concat!("lfmq ", env!("CARGO_PKG_VERSION")),
        artifact,
        candidate.facts(),
        proof.checkpoint.name(),
        reference.facts(),
    );
    let mut complaints = Vec::new();
    report.spec = candidate.spec().map(|found| spec::compare(proof.checkpoint.spec(), found));
    report.graph = graph;
    if let Some(stored) = candidate.weights().filter(|_| leads) {
        let importance = |id: &TensorId, cols: usize| {
            let importance = proof.importance?;
            importance.weights(&tensor_name(*id), id.role.expert(), cols).ok().flatten()
        };
        report.weights = Some(weights::compare(stored, proof.checkpoint, Some(&importance), printer.observer())?);
    }
    complaints.extend(other_tokens(&opened, &text.text, &tokens)?);
    let windows = cut(&tokens, &speaker, proof.what)?;
    let part = proof.shard.map_or_else(|| windows.clone(), |shard| shard.of(&windows));
    let yardstick = Ahead::new(&reference, part.iter());
    yardstick.prepare(printer.observer()).map_err(Fault::from)?;
    if let Some(path) = proof.save_kld_base {
        save_base(path, &yardstick, &windows, printer)?;
    }
    if proof.llama_compatible {
        report.llama_compatible = Some(llama_figures(&yardstick, candidate, &windows, &speaker, printer)?);
    }
    report.text = Some(TextFacts::new(text.name, text.sha256, tokens.len(), &windows));
    printer.detail(&format!("{} tokens, windows of {}", tokens.len(), windows.context()));
    let options = DriftOptions::default();
    let (drift, detail) =
        drift::measure_in_detail(&yardstick, candidate, &windows, proof.shard, &options, printer.observer())?;
    report.drift = Some(drift);
    if leads && report.spec.is_none() {
        report.spec = misrouted(proof.checkpoint, &yardstick, candidate, &windows)?.map(|difference| vec![difference]);
    }
    if let Some(runtime) = &runtime {
        report.independent_oracle = Some(runtime.facts().what.clone());
        report.oracle = Some(oracle::compare(runtime.as_ref(), candidate, &windows, printer.observer())?);
    }
    if leads && let Some(window) = windows.iter().next() {
        // Of a graph every value is looked at, to find the layers.
        let most = if candidate.spec().is_some() { LAYER_TOKENS } else { GRAPH_TOKENS };
        report.layers = layers::measure(&yardstick, candidate, &window[..window.len().min(most)])?;
    }
    if proof.shard.is_some() {
        (report.shard, report.detail) = (proof.shard, Some(detail));
    }
    if leads {
        report.tasks = score_tasks(proof, &speaker, &yardstick, candidate, printer)?;
    }
    if leads && !proof.what.no_latency {
        let options = LatencyOptions { budget: Some(LATENCY_BUDGET), ..LatencyOptions::default() };
        report.latency = Some(latency::measure(candidate, &options, Some(load_ms), printer.observer())?);
    }
    let stored = candidate.weights().map(|w| weights::identify(w.tensors(), proof.checkpoint)).unwrap_or_default();
    report.judge(&general, &stored);
    let judged: Vec<(&Target, GateReport)> = proof
        .targets
        .iter()
        .map(|target| Ok((target, gates(proof.what, Some(target))?.judge(&report, &stored))))
        .collect::<Result<_>>()?;
    // Where targets are judged, the strictest of them speaks for the artifact.
    if let Some((_, worst)) = judged.iter().max_by_key(|(_, gates)| severity(gates)) {
        report.gates = Some(worst.clone());
    }
    if leads {
        let subject = edge::Subject { proof, opened: &opened, report: &report, judged: &judged };
        report.edge = edge::measure(&subject, printer)?;
    }
    verdicts::show(&report, printer);
    if let Some(figures) = &report.llama_compatible {
        verdicts::show_llama(figures, printer);
    }
    if let Some(edge) = &report.edge {
        verdicts::show_edge(edge, printer);
        let own = edge.failures().filter(|row| row.target.is_none() && row.family != Family::Accuracy);
        complaints.extend(own.map(|row| format!("{} {}", row.title(), row.figure)));
    }
    for (target, judged) in &judged {
        let told = tell_target(target, judged, &report, printer);
        if !told.trouble.is_empty() {
            complaints.push(format!("target {}: {}", told.name, told.trouble.join(", ")));
        }
        report.targets.push(told);
    }
    let value = serde_json::to_value(&report)?;
    if let Some(path) = proof.report {
        file::write(path, &(serde_json::to_string_pretty(&value)? + "\n"))?;
    }
    if let Some(path) = proof.markdown {
        file::write(path, &report.markdown())?;
    }
    // A target's limits stand in place of the general ones, and a part is judged by them where the parts are merged.
    // What no report carries (a tokenizer that reads the text differently) fails here in any case.
    let general = proof.targets.is_empty() && proof.shard.is_none();
    Ok(Done { failure: failure(&report, complaints, general), value })
}

/// A format that holds a graph: the graph in f32 beside our forward pass over the weights it stores, if those are all
/// there. It is opened for this alone and closed again, so that no two copies of a model lie in memory.
fn graph_report(proof: &Proof<'_>, tokens: &[u32]) -> Result<Option<GraphReport>> {
    if !registry::of_file(&proof.artifact)?.graph {
        return Ok(None);
    }
    let (opened, _) = Opened::timed(&proof.artifact, Activation::F32)?;
    let executor = opened.executor.as_ref();
    let Some(stored) = executor.weights() else { return Ok(None) };
    let Some(values) = weights::StoredValues::new(stored, proof.checkpoint) else { return Ok(None) };
    let model = Reference::open(&values, registry::rung()).map_err(Fault::from)?;
    let tokens = tokens.get(..tokens.len().min(GRAPH_TOKENS)).unwrap_or_default();
    Ok(Some(graph::compare(&model, executor, tokens)?))
}

/// The file's name; where runtimes fix it (`onnx/model_q4.onnx`), with the artifact folder's in front.
pub fn artifact_name(file: &Path) -> String {
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let folder = file.ancestors().skip(1).map(name).find(|folder| folder != "onnx").filter(|f| !f.is_empty());
    match folder {
        Some(folder) if name(file).starts_with("model") => format!("{folder}/{}", name(file)),
        _ => name(file),
    }
}

/// Limits from a file, else a target's, else our own; `--max-kld` on top.
fn gates(what: &DriftArgs, target: Option<&Target>) -> Result<GateFile> {
    let gates = match (&what.gate, target) {
        (Some(path), _) => GateFile::parse(&path.display().to_string(), &file::read("gates", path)?)?,
        (None, Some(target)) => {
            let mut limits = serde_json::to_value(&target.gates)?;
            if let Some(fields) = limits.as_object_mut() {
                fields.remove("reason");
            }
            let mut own = GateFile::built_in()?.with(serde_json::from_value(limits)?);
            own.source = format!("target {}", target.name);
            own
        }
        (None, None) => GateFile::built_in()?,
    };
    Ok(gates.with(Limits { kld_mean_max: what.max_kld, ..Limits::default() }))
}

/// How bad verdicts are, to find the worst of several.
fn severity(gates: &GateReport) -> (bool, bool, usize) {
    let open = gates.gates.iter().filter(|g| matches!(g.verdict, Verdict::Fail | Verdict::Inconclusive)).count();
    (gates.verdict == Verdict::Fail, !gates.holds, open)
}

/// Tells whether a target's limits and budget hold.
fn tell_target(target: &Target, judged: &GateReport, report: &DriftReport, printer: &Printer) -> TargetVerdict {
    let failed = judged.gates.iter().filter(|g| g.verdict == Verdict::Fail).map(|g| g.name.clone());
    let mut trouble: Vec<String> = if judged.holds { vec![] } else { failed.collect() };
    trouble.extend(target.too_large(report.artifact.bytes));
    let rows = report.edge.iter().flat_map(EdgeReport::failures);
    let own = rows.filter(|row| row.target.as_ref() == Some(&target.name) && row.family != Family::Accuracy);
    trouble.extend(own.map(|row| {
        let limit = row.limit.map(|limit| format!(" (limit {limit} {})", row.unit)).unwrap_or_default();
        format!("{} {}: {}{limit}", row.family, row.name, row.figure)
    }));
    let (word, tone) = if trouble.is_empty() { ("PASS", Tone::Good) } else { ("FAIL", Tone::Bad) };
    let line = format!("  {:<16} {} {}", target.name, printer.tone(word, tone), trouble.join(", "));
    printer.line(line.trim_end());
    let verdict = if trouble.is_empty() { judged.verdict } else { Verdict::Fail };
    TargetVerdict { name: target.name.clone(), about: target.about.clone(), verdict, trouble }
}

fn cut(tokens: &[u32], speaker: &Speaker, what: &DriftArgs) -> Result<Windows, Fault> {
    let options = WindowOptions {
        context: what.window as usize,
        min_windows: what.windows.min(LEAST_WINDOWS) as usize,
        max_windows: Some(what.windows as usize),
    };
    Ok(Windows::cut(tokens, speaker.tokenizer.bos(), &options)?)
}

/// A complaint when the artifact's own tokenizer reads the text differently.
fn other_tokens(opened: &Opened, text: &str, expected: &[u32]) -> Result<Option<String>, Fault> {
    let found = opened.speaker()?.tokenizer.encode(text, false)?;
    if found == expected {
        return Ok(None);
    }
    let at = found.iter().zip(expected).take_while(|(a, b)| a == b).count();
    Ok(Some(format!("the artifact's tokenizer gives other tokens than the checkpoint's, from position {at}")))
}

fn save_base(path: &Path, yardstick: &dyn Executor, windows: &Windows, printer: &Printer) -> Result<()> {
    let file = std::fs::File::create(path)
        .map_err(|e| Fault::new(Kind::Environment, format!("cannot write {}: {e}", path.display())))?;
    lfmq_verify::llama::save(yardstick, windows, std::io::BufWriter::new(file), printer.observer())?;
    Ok(())
}

/// What llama-perplexity would print: the yardstick's logits go through its 16-bit file.
fn llama_figures(
    yardstick: &dyn Executor,
    candidate: &dyn Executor,
    windows: &Windows,
    speaker: &Speaker,
    printer: &Printer,
) -> Result<lfmq_verify::LlamaStatistics> {
    let mut bytes = Vec::new();
    lfmq_verify::llama::save(yardstick, windows, &mut bytes, printer.observer())?;
    let base = lfmq_verify::llama::BaseFile::parse(&bytes).map_err(Fault::from)?;
    Ok(lfmq_verify::llama::compare(&base, candidate, speaker.tokenizer.bos(), printer.observer())?)
}

/// A model that answers tasks.
struct Answers<'a> {
    speaker: &'a Speaker,
    executor: &'a dyn Executor,
}

impl Generate for Answers<'_> {
    fn generate(&mut self, system: &str, user: &str, max_tokens: usize) -> Result<String, Fault> {
        self.speaker.answer(self.executor, system, user, max_tokens)
    }
}

/// Scores of both models on the tasks asked for, or on those that lie beside the checkpoint.
fn score_tasks(
    proof: &Proof<'_>,
    speaker: &Speaker,
    yardstick: &dyn Executor,
    candidate: &dyn Executor,
    printer: &Printer,
) -> Result<Option<Vec<TaskComparison>>> {
    let beside = proof.checkpoint.folder().join("tasks.jsonl");
    let path: PathBuf = match &proof.what.tasks {
        Some(path) => path.clone(),
        None if beside.is_file() => beside,
        None => return Ok(None),
    };
    if proof.what.task_items == 0 {
        return Ok(None);
    }
    let text = file::read("tasks", &path)?;
    let all = tasks::read(&text).map_err(Fault::from).with_context(|| format!("reading {}", path.display()))?;
    // Evenly spread, so that every kind has its share.
    let wanted = (proof.what.task_items as usize).min(all.len());
    let chosen: Vec<_> = (0..wanted).map(|i| all[i * all.len() / wanted].clone()).collect();
    let answer =
        |executor| tasks::answer(&chosen, &mut Answers { speaker, executor }, ANSWER_TOKENS, printer.observer());
    let (base, ours) = (answer(yardstick)?, answer(candidate)?);
    Ok(Some(tasks::compare(&chosen, &base, &ours)))
}

/// The gates that failed, each with what it found.
fn failure(report: &DriftReport, mut complaints: Vec<String>, general: bool) -> Option<Failure> {
    let gates = report.gates.as_ref()?;
    if general && !gates.holds {
        let experts = report.drift.iter().filter_map(|d| d.router.as_ref()).flat_map(|r| &r.conspicuous);
        complaints.extend(experts.map(|c| {
            let Conspicuous { mixture_layer, expert, times, .. } = c;
            format!(
                "tokens of expert {expert} of mixture layer {mixture_layer} drift {times:.1} times as far as others"
            )
        }));
        // With `inconclusive = "fail"` what is not proven counts too.
        let judged = gates.gates.iter().filter(|g| matches!(g.verdict, Verdict::Fail | Verdict::Inconclusive));
        let proven = judged.clone().any(|g| g.verdict == Verdict::Fail);
        complaints.extend(judged.filter(|g| !proven || g.verdict == Verdict::Fail).map(|g| {
            let figures = match (g.value, g.limit) {
                (Some(value), Some(limit)) => format!("{value:.4} (limit {limit})"),
                _ => String::new(),
            };
            let note = g.note.as_deref().unwrap_or_default();
            [g.name.as_str(), &figures, note].into_iter().filter(|s| !s.is_empty()).collect::<Vec<_>>().join(" ")
        }));
    }
    if complaints.is_empty() {
        return None;
    }
    let failed = Failure::gate(format!("{} does not pass: {}", report.artifact.name, complaints.join("; ")));
    Some(failed.with_hint("`--gate FILE` sets other limits; `lfmq quantize --dry-run` shows what each tensor got"))
}
