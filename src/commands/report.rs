//! `lfmq report`: reports for people and CI engines, comparison of runs, merging of shards.

use super::Done;
use crate::args::{ReportArgs, ReportCommand};
use crate::failure::Failure;
use crate::jobs::file;
use crate::printer::Printer;
use anyhow::Result;
use lfmq_core::Fault;
use lfmq_report::{
    Allowed, Comparison, HtmlOptions, Report, Verdict, compare, comparison_markdown, html, junit, markdown, merge,
    merge_all,
};
use serde_json::json;
use std::path::PathBuf;

pub fn run(args: &ReportArgs, printer: &Printer) -> Result<Done> {
    if let Some(ReportCommand::Merge { shards, out }) = &args.what {
        let merged = merge(&read(shards)?).map_err(Fault::from)?;
        file::write(out, &format!("{merged:#}\n"))?;
        let merged = Report::new(&out.display().to_string(), merged).map_err(Fault::from)?;
        printer.line(markdown(std::slice::from_ref(&merged)).trim_end());
        return Ok(Done { failure: not_held(std::slice::from_ref(&merged)), value: json!({ "report": merged.raw }) });
    }
    let reports = merge_all(read(&args.reports)?).map_err(Fault::from)?;
    let baseline = match &args.baseline {
        Some(path) => merge_all(read(std::slice::from_ref(path))?).map_err(Fault::from)?.into_iter().next(),
        None => None,
    };
    let comparisons: Vec<Comparison> = match (&baseline, reports.split_first()) {
        (Some(baseline), _) => reports.iter().map(|r| compare(baseline, r, &Allowed::default())).collect(),
        (None, Some((first, rest))) => rest.iter().map(|r| compare(first, r, &Allowed::default())).collect(),
        (None, None) => Vec::new(),
    };
    let page = HtmlOptions { title: &args.title, comparisons: if baseline.is_some() { &comparisons } else { &[] } };
    let compared: String = comparisons.iter().map(|c| format!("\n{}", comparison_markdown(c))).collect();
    let text = markdown(&reports) + &compared;
    for (path, content) in
        [(&args.html, html(&reports, &page)), (&args.junit, junit(&reports)), (&args.markdown, text.clone())]
    {
        path.as_ref().map_or(Ok(()), |path| file::write(path, &content))?;
    }
    printer.line(text.trim_end());
    Ok(Done {
        failure: not_held(&reports).or_else(|| baseline.as_ref().and_then(|_| regression(&comparisons, args.strict))),
        value: json!({ "reports": reports.iter().map(|r| &r.raw).collect::<Vec<_>>(), "comparisons": comparisons }),
    })
}

/// The first report whose gates do not hold: parts of a run are judged only here.
fn not_held(reports: &[Report]) -> Option<Failure> {
    let report = reports.iter().find(|r| r.gates.as_ref().is_some_and(|g| !g.holds))?;
    let gates = report.gates.iter().flat_map(|g| &g.gates);
    let failed: Vec<&str> = gates.filter(|g| g.verdict == Verdict::Fail).map(|g| g.name.as_str()).collect();
    Some(Failure::gate(format!("{} does not pass: {}", report.artifact.name, failed.join(", "))))
}

/// The first comparison that does not hold.
fn regression(comparisons: &[Comparison], strict: bool) -> Option<Failure> {
    let bad = |v: Verdict| v == Verdict::Fail || strict && v == Verdict::Inconclusive;
    let comparison = comparisons.iter().find(|c| bad(c.verdict))?;
    let finding = comparison.findings.iter().find(|f| bad(f.verdict))?;
    let (word, metric) = (finding.verdict.word(), &finding.metric);
    Some(Failure::gate(format!("{}: {metric} against {}: {word}", comparison.current, comparison.baseline)))
}

fn read(paths: &[PathBuf]) -> Result<Vec<Report>> {
    let mut all = Vec::new();
    for path in paths {
        let name = path.display().to_string();
        let text = file::read("report", path)?;
        all.extend(Report::read(&name, &text).map_err(Fault::from)?);
    }
    Ok(all)
}
