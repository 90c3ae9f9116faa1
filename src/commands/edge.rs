//! The rows about devices: a memory budget for every target, and with `--suite edge` the whole suite.

use super::proof::Proof;
use crate::args::{ActivationArg, Suite};
use crate::jobs::speaker::Speaker;
use crate::printer::Printer;
use crate::registry::{self, Opened};
use anyhow::{Context, Result};
use lfmq_core::{Fault, Unit};
use lfmq_targets::Target;
use lfmq_verify::edge::child::{self, ChildRun};
use lfmq_verify::edge::limits::{self, MemoryBudget};
use lfmq_verify::edge::{self, Bounds, Budget, EdgeReport, consistency, robustness};
use lfmq_verify::{DriftReport, GateReport};
use std::process::Command;

/// Positions that are filled, if the target asks for as many: prefill takes the longer the more they are.
const USUAL_POSITIONS: usize = 2048;
const SUITE_POSITIONS: usize = 8192;
/// Tokens decoded after them.
const DECODED: usize = 16;
/// Tokens in front of the tokens that are timed with and without all of the processor.
const THROTTLED_PROMPT: usize = 32;
/// Decoding with all of the processor lasts about this long, so that with a quarter of it many rests fall into it.
const THROTTLED_MS: f64 = 300.0;

/// What is looked at.
pub struct Subject<'a> {
    pub proof: &'a Proof<'a>,
    pub opened: &'a Opened,
    pub report: &'a DriftReport,
    /// The targets with their verdicts on accuracy.
    pub judged: &'a [(&'a Target, GateReport)],
}

/// The rows; `None` where neither a target nor a suite was asked for.
///
/// # Errors
/// What keeps a row from being measured. A limit that is broken is a row, not an error.
pub fn measure(subject: &Subject<'_>, printer: &Printer) -> Result<Option<EdgeReport>> {
    let suite = subject.proof.what.suite == Some(Suite::Edge);
    if !suite && subject.judged.is_empty() {
        return Ok(None);
    }
    let mut edge = EdgeReport::default();
    printer.observer().begin("edge", if suite { 4 } else { 1 }, Unit::Items);
    subject.memory(&mut edge, suite)?;
    printer.observer().advance(1);
    if suite {
        subject.latency_and_accuracy(&mut edge);
        let speaker = subject.opened.speaker()?;
        let executor = subject.opened.executor.as_ref();
        edge.rows.extend(robustness::rows(executor, &Words(&speaker), subject.positions(SUITE_POSITIONS)));
        printer.observer().advance(1);
        edge.rows.extend(consistency::rows(executor));
        printer.observer().advance(1);
        subject.throttled(&mut edge)?;
        printer.observer().advance(1);
    }
    printer.observer().end();
    edge.rows.sort_by_key(|row| row.family);
    Ok(Some(edge))
}

impl Subject<'_> {
    /// Positions to fill: as many as a target has, up to `most`; `USUAL_POSITIONS` without one.
    fn positions(&self, most: usize) -> usize {
        let wanted = self.judged.iter().map(|(t, _)| t.budget.context).max().unwrap_or(USUAL_POSITIONS);
        wanted.min(most).min(self.opened.executor.facts().context).max(2)
    }

    /// Peak memory for each target, the tightest first: who keeps within little keeps within more, so most artifacts
    /// run once. In the suite the same runs do without sockets.
    fn memory(&self, edge: &mut EdgeReport, suite: bool) -> Result<()> {
        let positions = self.positions(if suite { SUITE_POSITIONS } else { USUAL_POSITIONS });
        let decode = DECODED.min(positions / 2);
        let bounds = |memory| Bounds { memory, no_sockets: suite, prompt: positions - decode, decode };
        let mut budgets: Vec<MemoryBudget> = self.judged.iter().map(|(target, _)| budget(target)).collect();
        budgets.sort_by_key(|budget| budget.limit);
        if budgets.is_empty() {
            let run = self.run(bounds(None), false)?;
            edge.rows.push(limits::memory(&run, None));
            edge.runs.push(run);
        }
        for budget in &budgets {
            let run = match edge.runs.last().filter(|last| last.took().is_some()) {
                Some(last) => last,
                None => {
                    edge.runs.push(self.run(bounds(Some(budget.limit)), false)?);
                    edge.runs.last().context("a run was just made")?
                }
            };
            edge.rows.push(limits::memory(run, Some(budget)));
        }
        let last = edge.runs.last().filter(|_| suite);
        edge.rows.extend(last.map(limits::offline));
        Ok(())
    }

    fn latency_and_accuracy(&self, edge: &mut EdgeReport) {
        let budgets: Vec<Budget> = self.judged.iter().map(|(target, _)| latency_budget(target)).collect();
        if let Some(latency) = &self.report.latency {
            let by_target = budgets.iter().flat_map(|budget| edge::latency_rows(latency, Some(budget)));
            edge.rows.extend(by_target);
            if budgets.is_empty() {
                edge.rows.extend(edge::latency_rows(latency, None));
            }
        }
        let Some(drift) = &self.report.drift else { return };
        edge.rows.extend(self.judged.iter().map(|(target, gates)| edge::accuracy(drift, gates, Some(&target.name))));
        if self.judged.is_empty() {
            edge.rows.extend(self.report.gates.as_ref().map(|gates| edge::accuracy(drift, gates, None)));
        }
    }

    /// Decoding with all of the processor and with a share of it.
    fn throttled(&self, edge: &mut EdgeReport) -> Result<()> {
        if !child::can_throttle() {
            edge.rows.push(limits::not_throttled());
            return Ok(());
        }
        let token_ms = self.report.latency.as_ref().map_or(THROTTLED_MS / 16.0, |l| l.decode.per_token.mean_ms);
        let context = self.opened.executor.facts().context;
        let prompt = THROTTLED_PROMPT.min(context / 2);
        // As a count: at least as many as can tell anything, at most as many as fit.
        let decode = ((THROTTLED_MS / token_ms.max(1e-3)) as usize).clamp(8, 512).min(context - prompt);
        let bounds = Bounds { memory: None, no_sockets: false, prompt, decode };
        let (free, slow) = (self.run(bounds, false)?, self.run(bounds, true)?);
        edge.rows.push(limits::throttled(&free, &slow));
        edge.runs.extend([free, slow]);
        Ok(())
    }

    /// This program once more, as `confine`, on the same threads and kernels.
    fn run(&self, bounds: Bounds, throttled: bool) -> Result<ChildRun> {
        let program = std::env::current_exe().context("finding this program")?;
        let facts = self.opened.executor.facts();
        let mut command = Command::new(program);
        command.arg("confine").arg(&self.proof.artifact);
        let activations = match self.proof.what.activations {
            ActivationArg::F32 => "f32",
            ActivationArg::Runtime => "runtime",
        };
        let (threads, prompt, decode) =
            (facts.threads.to_string(), bounds.prompt.to_string(), bounds.decode.to_string());
        command.args(["--activations", activations, "--prompt", &prompt, "--decode", &decode]);
        command.args(["--threads", &threads, "--isa", registry::rung_name(), "--progress", "none", "--quiet"]);
        command.args(bounds.memory.map(|bytes| format!("--memory={bytes}")));
        command.args(bounds.no_sockets.then_some("--no-sockets"));
        child::run(command, bounds, throttled).context("running the artifact in a process of its own")
    }
}

fn budget(target: &Target) -> MemoryBudget {
    // A budget is a number of MiB above 0; what it says about parts of a byte is nothing.
    let limit = (target.budget.ram_mib * f64::from(1 << 20)) as u64;
    MemoryBudget { target: target.name.clone(), limit, context: target.budget.context }
}

fn latency_budget(target: &Target) -> Budget {
    Budget {
        target: target.name.clone(),
        first_token_ms: target.budget.first_token_ms,
        decode_ms: target.budget.decode_ms,
        judged: target.ci.is_device,
    }
}

/// The artifact's own tokenizer.
struct Words<'a>(&'a Speaker);

impl robustness::Words for Words<'_> {
    fn encode(&self, text: &str) -> Result<Vec<u32>, Fault> {
        Ok(self.0.tokenizer.encode(text, false)?)
    }

    fn encode_plain(&self, text: &str) -> Result<Vec<u32>, Fault> {
        Ok(self.0.tokenizer.encode_plain(text, false)?)
    }

    fn decode(&self, ids: &[u32]) -> String {
        self.0.tokenizer.decode(ids, false)
    }

    fn specials(&self) -> Vec<(String, u32)> {
        let tokenizer = &self.0.tokenizer;
        let ids = (0..u32::try_from(tokenizer.vocab_size()).unwrap_or(u32::MAX)).filter(|id| tokenizer.is_special(*id));
        ids.filter_map(|id| Some((tokenizer.token(id)?, id))).collect()
    }
}
