//! What travels with an artifact beside its own files: the model card, and the manifest that the LEAP SDK reads.

use super::plan::groups;
use super::write::Planned;
use crate::jobs::quantize::QuantizeJob;
use lfmq_artifact::SideFile;
use lfmq_core::{ArtifactFile, ModelSpec, TensorSource};
use lfmq_report::{CardRow, ModelCard, Report, Usage, model_card};
use lfmq_text::{SamplerOptions, card_for};
use serde_json::{Value, json};

/// The card and, for GGUF, the LEAP manifest.
pub fn papers(
    job: &QuantizeJob,
    planned: &Planned<'_>,
    files: &[ArtifactFile],
    report: Option<&Report>,
) -> Vec<SideFile> {
    let card = card(job, planned, files, report);
    let mut papers = vec![SideFile { name: "README.md".to_owned(), bytes: card.into_bytes() }];
    if planned.output.format.id == "gguf"
        && let Some(first) = files.first()
    {
        // As in the family's own repositories.
        let name = format!("leap/{}.json", planned.output.recipe.name());
        let text = format!("{:#}\n", leap(&first.name, sampling(job).1));
        papers.push(SideFile { name, bytes: text.into_bytes() });
    }
    papers
}

/// The advice of the checkpoint's card in words, and its numbers.
fn sampling(job: &QuantizeJob) -> (String, SamplerOptions) {
    let card = card_for(job.checkpoint.name());
    let system = card.system.filter(|s| !s.is_empty()).map(|s| format!(" System prompt: {s}")).unwrap_or_default();
    let turns = if card.single_turn { " One question and one answer only." } else { "" };
    (
        format!("Sampling that the card of {} models asks for: {}.{system}{turns}", card.kind, words(card.options)),
        card.options,
    )
}

fn words(o: SamplerOptions) -> String {
    let rest: Vec<String> = leap_sampling(o).iter().map(|(key, value)| format!("{key} {value}")).collect();
    rest.join(", ")
}

/// The settings that are not neutral, in the SDK's words.
fn leap_sampling(o: SamplerOptions) -> Vec<(&'static str, Value)> {
    let mut all = vec![("temperature", json!(o.temperature))];
    all.extend((o.min_p > 0.0).then(|| ("min_p", json!(o.min_p))));
    all.extend((o.top_p < 1.0).then(|| ("top_p", json!(o.top_p))));
    all.extend((o.top_k > 0).then(|| ("top_k", json!(o.top_k))));
    all.extend((o.repetition_penalty != 1.0).then(|| ("repetition_penalty", json!(o.repetition_penalty))));
    all
}

/// The manifest, schema 1.0.0, of a model one folder up.
fn leap(model: &str, sampling: SamplerOptions) -> Value {
    let sampling: serde_json::Map<String, Value> =
        leap_sampling(sampling).into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    json!({
        "inference_type": "llama.cpp/text-to-text",
        "schema_version": "1.0.0",
        "load_time_parameters": { "model": format!("../{model}") },
        "generation_time_parameters": { "sampling_parameters": sampling },
    })
}

fn card(job: &QuantizeJob, planned: &Planned<'_>, files: &[ArtifactFile], report: Option<&Report>) -> String {
    let Planned { output, plan, export } = planned;
    let text = |name: &str| job.checkpoint.sidecar(name).and_then(|b| std::str::from_utf8(b).ok()).unwrap_or_default();
    let rows: Vec<CardRow> = groups(plan, export.as_ref())
        .into_iter()
        .map(|g| CardRow {
            role: g.role.to_owned(),
            tensors: g.tensors,
            scheme: g.scheme,
            bytes: g.bytes,
            reason: g.reason,
        })
        .collect();
    let licence = output.terms.iter().find(|f| f.name == "LICENSE");
    let licence = licence.map_or_else(String::new, |f| String::from_utf8_lossy(&f.bytes).into_owned());
    let bytes: u64 = files.iter().map(|f| f.bytes).sum();
    let family = family(job.checkpoint.spec());
    let (prompting, options) = sampling(job);
    model_card(&ModelCard {
        title: &output.stem,
        base: job.origin.as_ref().map_or(job.checkpoint.name(), |o| &o.repo),
        commit: job.origin.as_ref().map(|o| o.commit.as_str()),
        original: text("README.md"),
        licence: &licence,
        tags: &[family, output.format.id],
        recipe: output.recipe.name(),
        bits: bytes as f64 * 8.0 / job.checkpoint.spec().parameters().max(1) as f64,
        rows: &rows,
        files,
        usage: &usage(planned, files, options),
        prompting: &prompting,
        report: report.map(|r| &**r),
    })
}

fn family(spec: &ModelSpec) -> &'static str {
    if spec.moe.is_some() { "lfm2_moe" } else { "lfm2" }
}

/// How each runtime is made to run it.
fn usage(planned: &Planned<'_>, files: &[ArtifactFile], o: SamplerOptions) -> Vec<Usage> {
    let file = |extension: &str| {
        let found = files.iter().find(|f| f.name.ends_with(extension));
        found.map_or_else(String::new, |f| f.name.clone())
    };
    let mut all: Vec<Usage> = planned
        .export
        .runtimes()
        .into_iter()
        .map(|(name, oldest)| {
            let (language, code) = match name {
                "llama.cpp" => ("sh", llama(&file(".gguf"), o)),
                "onnxruntime" => ("python", session(&file(".onnx"))),
                "LiteRT-LM" => ("sh", format!("litert-lm run {} --prompt=\"Hello\"", file(".litertlm"))),
                _ => ("python", interpreter(&file(".tflite"))),
            };
            Usage { runtime: format!("{name} {oldest}"), language, code }
        })
        .collect();
    if planned.output.format.id == "onnx" {
        all.push(Usage { runtime: TRANSFORMERS_JS.to_owned(), language: "js", code: web(planned, &file(".onnx")) });
    }
    all
}

const TRANSFORMERS_JS: &str = "transformers.js 4";

fn llama(model: &str, o: SamplerOptions) -> String {
    let flag = |(key, value): (&str, Value)| match key {
        "temperature" => format!(" --temp {value}"),
        "repetition_penalty" => format!(" --repeat-penalty {value}"),
        key => format!(" --{} {value}", key.replace('_', "-")),
    };
    let flags: String = leap_sampling(o).into_iter().map(flag).collect();
    format!("llama-cli -m {model} --jinja{flags} -p \"Hello\"\nllama-server -m {model} --jinja{flags}")
}

fn session(graph: &str) -> String {
    format!("import onnxruntime\n\nsession = onnxruntime.InferenceSession(\"{graph}\")")
}

fn interpreter(model: &str) -> String {
    format!("from ai_edge_litert.interpreter import Interpreter\n\nmodel = Interpreter(\"{model}\")")
}

/// For browsers and Node; the folder's name stands for where it is served or pushed.
fn web(planned: &Planned<'_>, graph: &str) -> String {
    let stem = graph.rsplit('/').next().unwrap_or(graph).trim_end_matches(".onnx");
    let dtype = match stem.strip_prefix("model_") {
        None => "fp32",
        Some("quantized") => "q8",
        Some(dtype) => dtype,
    };
    format!(
        "import {{ pipeline }} from \"@huggingface/transformers\";\n\n\
         const chat = await pipeline(\"text-generation\", \"{}\", {{ dtype: \"{dtype}\" }});",
        planned.output.stem
    )
}
