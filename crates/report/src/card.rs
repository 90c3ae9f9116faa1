//! The model card of an artifact, as hubs show it: what it is made of, how far it drifts, how to run it. It holds no
//! clock, host or path, and no times: those are the machine's.

use crate::Verdict;
use crate::number::{bytes, interval, maybe, percent};
use crate::summary::{lasting, verdict};
use crate::view::View;
use lfmq_core::ArtifactFile;
use std::fmt::Write as _;

/// Tensors of one role that share a scheme and its reason.
#[derive(Clone, Debug)]
pub struct CardRow {
    /// The role.
    pub role: String,
    /// How many tensors.
    pub tensors: usize,
    /// Their scheme.
    pub scheme: String,
    /// Their bytes in the artifact.
    pub bytes: u64,
    /// Why they have it.
    pub reason: String,
}

/// How one runtime is made to run the artifact.
#[derive(Clone, Debug)]
pub struct Usage {
    /// The runtime and its oldest version, e.g. `llama.cpp b6709`.
    pub runtime: String,
    /// The language of `code`, for its colours.
    pub language: &'static str,
    /// What to type.
    pub code: String,
}

/// Everything a card says.
#[derive(Clone, Debug)]
pub struct ModelCard<'a> {
    /// The artifact.
    pub title: &'a str,
    /// The checkpoint: `owner/name` where it came from a hub, else its name.
    pub base: &'a str,
    /// The commit it was at, if known.
    pub commit: Option<&'a str>,
    /// The checkpoint's own card, whose licence and languages are handed on.
    pub original: &'a str,
    /// The licence's text.
    pub licence: &'a str,
    /// Further words to be found by: the family, the format.
    pub tags: &'a [&'a str],
    /// The recipe's name.
    pub recipe: &'a str,
    /// Bits a weight, of all files.
    pub bits: f64,
    /// What each role got.
    pub rows: &'a [CardRow],
    /// The files with weights and their companions.
    pub files: &'a [ArtifactFile],
    /// How to run it.
    pub usage: &'a [Usage],
    /// Advice on prompting; empty for none.
    pub prompting: &'a str,
    /// What was measured, if anything was.
    pub report: Option<&'a View>,
}

/// The card as Markdown with its front matter.
#[must_use]
pub fn model_card(card: &ModelCard<'_>) -> String {
    let mut out = front_matter(card);
    let _ = write!(
        out,
        "\n# {}\n\n`{}` quantized by {} with recipe `{}`: {} in all, {:.2} bits a weight.",
        card.title,
        card.base,
        concat!("lfmq ", env!("CARGO_PKG_VERSION")),
        card.recipe,
        bytes(card.files.iter().map(|f| f.bytes).sum()),
        card.bits
    );
    if let Some(commit) = card.commit {
        let _ = write!(out, " Made from commit `{commit}`.");
    }
    out += " No weight was trained.\n\n## Quantization\n\n| role | tensors | scheme | size | why |\n|---|--:|---|--:|---|\n";
    for row in card.rows {
        let reason = cell(&row.reason);
        let _ = writeln!(out, "| {} | {} | {} | {} | {reason} |", row.role, row.tensors, row.scheme, bytes(row.bytes));
    }
    drift(&mut out, card.report);
    out += "\n## Run it\n";
    for usage in card.usage {
        let _ = write!(out, "\n{} or newer:\n\n```{}\n{}\n```\n", usage.runtime, usage.language, usage.code.trim_end());
    }
    if !card.prompting.is_empty() {
        let _ = write!(out, "\n{}\n", card.prompting);
    }
    out += "\n## Files\n\n| file | bytes | SHA-256 |\n|---|--:|---|\n";
    for file in card.files {
        let _ = writeln!(out, "| `{}` | {} | `{}` |", file.name, file.bytes, file.sha256);
    }
    out += "\n`lfmq.json` says what was done to every tensor and why, and names the originals by digest; `lfmq check` holds \
            the folder against `SHA256SUMS`. `MODIFICATIONS.md` and `LICENSE` say what was changed and under which terms \
            it is handed on.\n";
    out
}

fn drift(out: &mut String, report: Option<&View>) {
    *out += "\n## Drift from the checkpoint\n\n";
    let Some((report, d)) = report.and_then(|r| Some((r, r.drift.as_ref()?))) else {
        *out += "Not measured.\n";
        return;
    };
    let (k, p) = (&d.kld, &d.perplexity);
    if let Some(text) = &report.text {
        let _ = writeln!(
            out,
            "The files' own bytes against the checkpoint in f32, on {} windows of {} tokens ({} scored) of the text `{}` \
             (SHA-256 `{}`); activations {}.\n",
            text.windows,
            text.context,
            text.scored,
            text.name,
            text.sha256.get(..12).unwrap_or_default(),
            report.candidate.activation
        );
    }
    *out += "| figure | value | 95 % interval |\n|---|--:|---|\n";
    let mut row = |name: &str, value: String, between: String| {
        let _ = writeln!(out, "| {name} | {value} | {between} |");
    };
    row("KL divergence, mean, nats", maybe(k.mean.value, 4), interval(&k.mean, 4));
    let (low, high) = k.p99_interval;
    row("KL divergence, 99th percentile", maybe(k.p99, 4), format!("{} to {}", maybe(low, 4), maybe(high, 4)));
    row("perplexity by the checkpoint's", maybe(p.ratio.value, 5), interval(&p.ratio, 5));
    let top = &d.agreement.same_top;
    row("same most likely token", percent(top.value), format!("{} to {}", percent(top.low), percent(top.high)));
    if let Some(router) = &d.router {
        let o = &router.overlap;
        row("experts in common", percent(o.value), format!("{} to {}", percent(o.low), percent(o.high)));
    }
    for t in report.tasks.iter().flatten() {
        let ((base, score), (own, _)) = (t.yardstick.main(), t.candidate.main());
        row(
            &format!("{} ({score}, {} items)", cell(&t.task), t.tasks),
            format!("{own:.4}"),
            format!("checkpoint {base:.4}"),
        );
    }
    if let Some(w) = &report.weights {
        let all = w.exact + w.differs + w.not_replayed;
        row("tensors that quantizing again reproduces", w.exact.to_string(), format!("of {all}"));
    }
    let failed: Vec<&str> = lasting(report).filter(|g| g.verdict == Verdict::Fail).map(|g| g.name.as_str()).collect();
    let limits = match report.targets.as_slice() {
        [] => format!("Limits for {}", report.gates.as_ref().map_or("it", |g| g.class.as_str())),
        targets => format!("Limits of {}", targets.iter().map(|t| t.name.as_str()).collect::<Vec<_>>().join(", ")),
    };
    let why = if failed.is_empty() { String::new() } else { format!(" ({})", failed.join(", ")) };
    let _ = writeln!(out, "\n{limits}: **{}**{why}.", verdict(report).word());
}

/// A cell must not end its table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

fn front_matter(card: &ModelCard<'_>) -> String {
    let blocks = blocks(card.original);
    let found = |key: &str| blocks.iter().find(|(name, _)| name == key).map(|(_, text)| text.as_str());
    let mut out = String::from("---\n");
    match found("license") {
        Some(license) => {
            out += license;
            out += found("license_name").unwrap_or_default();
            if license.contains("other") {
                out += "license_link: LICENSE\n";
            }
        }
        None => out += named_licence(card.licence),
    }
    out += found("language").unwrap_or_default();
    // A name is quoted: it may look like a number or a date.
    let _ = writeln!(out, "base_model: {}\nbase_model_relation: quantized", serde_json::json!(card.base));
    out += found("pipeline_tag").unwrap_or("pipeline_tag: text-generation\n");
    out += "tags:\n- liquid\n- edge\n";
    for tag in card.tags {
        let _ = writeln!(out, "- {tag}");
    }
    out + "---\n"
}

/// The licence by its text, in the words of the hub.
fn named_licence(text: &str) -> &'static str {
    // Of the titles: a text may name other licences further down.
    let head: String = text.chars().take(600).collect();
    if head.contains("LFM Open License") || head.contains("LFM OPEN LICENSE") {
        "license: other\nlicense_name: lfm1.0\nlicense_link: LICENSE\n"
    } else if head.contains("Apache License") {
        "license: apache-2.0\n"
    } else {
        "license: other\nlicense_name: see-license\nlicense_link: LICENSE\n"
    }
}

/// The top-level entries of a card's front matter, each with its lines as they are.
fn blocks(card: &str) -> Vec<(String, String)> {
    let Some(rest) = card.strip_prefix("---\n") else { return vec![] };
    let mut blocks: Vec<(String, String)> = Vec::new();
    for line in rest.lines().take_while(|line| line.trim_end() != "---") {
        let key = line.split_once(':').map(|(key, _)| key);
        match key.filter(|key| !key.is_empty() && !key.starts_with([' ', '-', '#', '\t'])) {
            Some(key) => blocks.push((key.to_owned(), format!("{line}\n"))),
            None => {
                if let Some((_, text)) = blocks.last_mut() {
                    *text += &format!("{line}\n");
                }
            }
        }
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    const LFM: &str = "---\nlicense: other\nlicense_name: lfm1.0\nlicense_link: LICENSE\nlanguage:\n- en\n- ja\ntags:\n- old\n---\n# x: y\n";

    fn card<'a>(original: &'a str, licence: &'a str) -> ModelCard<'a> {
        ModelCard {
            title: "T",
            base: "LiquidAI/LFM2-1.2B",
            commit: None,
            original,
            licence,
            tags: &["lfm2", "gguf"],
            recipe: "Q4_0",
            bits: 4.5,
            rows: &[],
            files: &[],
            usage: &[],
            prompting: "",
            report: None,
        }
    }

    #[test]
    fn the_front_matter_hands_on_licence_and_languages() {
        let text = model_card(&card(LFM, ""));
        let expected = "---\nlicense: other\nlicense_name: lfm1.0\nlicense_link: LICENSE\nlanguage:\n- en\n- ja\n\
                        base_model: \"LiquidAI/LFM2-1.2B\"\nbase_model_relation: quantized\n\
                        pipeline_tag: text-generation\ntags:\n- liquid\n- edge\n- lfm2\n- gguf\n---\n";
        assert!(text.starts_with(expected), "{text}");
        assert!(text.contains("Not measured."));
    }

    #[test]
    fn a_licence_is_known_by_its_text() {
        for (licence, expected) in [
            ("LFM Open License v1.0\n", "license: other\nlicense_name: lfm1.0\nlicense_link: LICENSE\n"),
            ("Licensed under the Apache License, Version 2.0", "license: apache-2.0\n"),
            ("my terms", "license: other\nlicense_name: see-license\nlicense_link: LICENSE\n"),
        ] {
            assert!(model_card(&card("# no front matter\n", licence)).contains(expected), "{licence}");
        }
    }
}
