//! A whole report: it validates against its schema, its gates catch what they should, its Markdown says so.

mod common;

use common::{Memory, Table, noise, spec, tensors};
use lfmq_core::{ArtifactFile, Executor, Fault, Silent};
use lfmq_verify::edge::child::{ChildRun, End};
use lfmq_verify::edge::{Bounds, accuracy, latency_rows, limits};
use lfmq_verify::tasks::{self, Generate};
use lfmq_verify::{
    ArtifactFacts, DriftOptions, DriftReport, EdgeReport, GateFile, LatencyOptions, LayerNoise, TextFacts, Verdict,
    WindowOptions, Windows, drift, latency, llama, spec as specs, weights,
};
use serde_json::Value;

const VOCAB: usize = 16;

fn logits(p: usize, t: u32) -> Vec<f32> {
    (0..VOCAB).map(|v| 3.0 * noise((p * 977 + t as usize * 31 + v) as u64)).collect()
}

fn model(by: f32) -> Table {
    Table::new(VOCAB, move |p, t| logits(p, t).into_iter().map(|l| l * by).collect()).routed(|_, _| vec![vec![0, 2]])
}

struct Parrot(&'static str);

impl Generate for Parrot {
    fn generate(&mut self, _: &str, user: &str, _: usize) -> Result<String, Fault> {
        Ok(if user == "say" { self.0.to_owned() } else { r#"{"a":1}"#.to_owned() })
    }
}

/// Everything measured about a model whose logits are `by` times the checkpoint's.
fn report(by: f32) -> DriftReport {
    let (yardstick, candidate) = (model(1.0), model(by));
    let text: Vec<u32> = (0..800).map(|i| (i * 7 + i / 5) % VOCAB as u32).collect();
    let windows = Windows::cut(&text, Some(1), &WindowOptions { context: 32, ..WindowOptions::default() }).unwrap();
    let file = ArtifactFile { name: "m.gguf".into(), bytes: 1 << 20, sha256: "ab".repeat(32) };
    let artifact = ArtifactFacts::new("M-Q8_0", vec![file], candidate.facts());
    let mut report = DriftReport::new("lfmq 0.1.0", artifact, candidate.facts(), "M", yardstick.facts());
    report.text = Some(TextFacts::new("eval.txt", "cd".repeat(32), text.len(), &windows));
    report.drift = Some(drift::measure(&yardstick, &candidate, &windows, &DriftOptions::default(), &Silent).unwrap());
    let source = Memory::new(&tensors(), "f32");
    report.weights = Some(weights::compare(&source, &source, None, &Silent).unwrap());
    report.spec = Some(specs::compare(&spec(), &spec()));
    let mut base = Vec::new();
    llama::save(&yardstick, &windows, &mut base, &Silent).unwrap();
    let base = llama::BaseFile::parse(&base).unwrap();
    report.llama_compatible = Some(llama::compare(&base, &candidate, Some(1), &Silent).unwrap());
    let options = LatencyOptions { prefill: vec![8, 16], decode: 4, depth: 4, ..LatencyOptions::default() };
    report.latency = Some(latency::measure(&candidate, &options, Some(1.5), &Silent).unwrap());
    let list = tasks::read("{\"task\":\"x\",\"user\":\"u\",\"answer\":\"{\\\"a\\\":1}\"}\n{\"task\":\"t\",\"user\":\"say\",\"answer\":\"yes\"}").unwrap();
    let answers = tasks::answer(&list, &mut Parrot("yes"), 8, &Silent).unwrap();
    report.tasks = Some(tasks::compare(&list, &answers, &answers));
    report
}

fn gates() -> GateFile {
    GateFile::parse(
        "test.toml",
        "[all]\nkld_mean_max = 0.01\nsame_top_min = 0.9\nweights = \"replay\"\nrouter_agreement_min = 0.9\n",
    )
    .unwrap()
}

fn oracle() -> lfmq_verify::OracleReport {
    let text: Vec<u32> = (0..800).map(|i| (i * 7 + i / 5) % VOCAB as u32).collect();
    let windows = Windows::cut(&text, Some(1), &WindowOptions { context: 32, ..WindowOptions::default() }).unwrap();
    lfmq_verify::oracle::compare(&model(1.0), &model(1.02), &windows, &Silent).unwrap()
}

/// A row of every kind, and a run of every end.
fn edge(report: &DriftReport) -> EdgeReport {
    let bounds = Bounds { memory: Some(1 << 30), no_sockets: true, prompt: 8, decode: 2 };
    let run = |end: End| ChildRun { bounds, share: 1.0, end };
    let took = lfmq_verify::edge::run(&model(1.0), &bounds, 1.0).unwrap();
    let ends = [
        End::Finished { took },
        End::OutOfMemory { why: "x".into() },
        End::OpenedSocket,
        End::Failed { why: "y".into() },
    ];
    let runs: Vec<ChildRun> = ends.into_iter().map(run).collect();
    let budget = limits::MemoryBudget { target: "t".into(), limit: 1 << 30, context: 64 };
    let mut rows: Vec<_> = runs.iter().map(|run| limits::memory(run, Some(&budget))).collect();
    rows.push(limits::memory(&runs[0], None));
    rows.extend(runs.iter().map(limits::offline));
    let (latency, drift) = (report.latency.as_ref().unwrap(), report.drift.as_ref().unwrap());
    rows.extend(latency_rows(latency, None));
    rows.push(accuracy(drift, report.gates.as_ref().unwrap(), Some("t")));
    EdgeReport { rows, runs }
}

#[test]
fn a_report_validates_against_its_schema() {
    let schema: Value = serde_json::from_str(include_str!("../../../configs/schema/drift-report.schema.json")).unwrap();
    let mut full = report(1.02);
    full.judge(&gates(), &[]);
    full.edge = Some(edge(&full));
    full.oracle = Some(oracle());
    let value = Some("layers.0/add".to_owned());
    full.layers = Some(vec![LayerNoise { name: "layer 0 (attention)".into(), value, sqnr_db: None, cosine: 1.0 }]);
    let mut bare = report(1.0);
    (bare.text, bare.spec, bare.weights, bare.drift, bare.llama_compatible) = (None, None, None, None, None);
    (bare.tasks, bare.latency) = (None, None);
    for report in [&full, &bare] {
        let value = serde_json::to_value(report).unwrap();
        let mut wrong = Vec::new();
        validate(&schema, &schema, &value, "$", &mut wrong);
        assert!(wrong.is_empty(), "{wrong:#?}");
    }
    // The schema must be able to refuse.
    for (pointer, bad) in [
        ("/schema_version", Value::from(2)),
        ("/drift/kld/mean/value", Value::from("x")),
        ("/gates/verdict", Value::from("ok")),
    ] {
        let mut value = serde_json::to_value(&full).unwrap();
        *value.pointer_mut(pointer).unwrap() = bad;
        let mut wrong = Vec::new();
        validate(&schema, &schema, &value, "$", &mut wrong);
        assert!(!wrong.is_empty(), "{pointer}");
    }
    let mut value = serde_json::to_value(&full).unwrap();
    value.as_object_mut().unwrap().remove("candidate");
    let mut wrong = Vec::new();
    validate(&schema, &schema, &value, "$", &mut wrong);
    assert_eq!(wrong, ["$: `candidate` is missing"]);
}

#[test]
fn routers_of_a_graph_that_tells_no_number_of_experts_are_judged() {
    let verdict = |chosen: u16, experts: usize| {
        let (yardstick, candidate) = (model(1.0), model(1.0).routed(move |_, _| vec![vec![chosen, 2]]));
        let text: Vec<u32> = (0..800).map(|i| (i * 7 + i / 5) % VOCAB as u32).collect();
        let windows = Windows::cut(&text, Some(1), &WindowOptions { context: 32, ..WindowOptions::default() }).unwrap();
        let mut report = report(1.0);
        report.drift =
            Some(drift::measure(&yardstick, &candidate, &windows, &DriftOptions::default(), &Silent).unwrap());
        report.candidate.experts = 0;
        report.yardstick.experts = experts;
        let judged = report.judge(&gates(), &[]).clone();
        judged.gates.iter().find(|g| g.name == "router_agreement_min").map(|g| g.verdict)
    };
    assert_eq!(verdict(0, 4), Some(Verdict::Pass));
    assert_eq!(verdict(3, 4), Some(Verdict::Fail));
    assert_eq!(verdict(0, 0), None);
}

#[test]
fn gates_pass_the_same_and_fail_the_far() {
    let mut same = report(1.0);
    assert_eq!(same.judge(&gates(), &[]).verdict, Verdict::Pass);
    let mut far = report(0.3);
    let judged = far.judge(&gates(), &[]).clone();
    assert!(judged.verdict == Verdict::Fail && !judged.holds);
    let kld = judged.gates.iter().find(|g| g.name == "kld_mean_max").unwrap();
    assert!(kld.verdict == Verdict::Fail && kld.value > kld.limit && kld.bound > kld.value);

    let mut shifted = report(1.0);
    let mut other = spec();
    other.rope_theta = 1e4;
    shifted.spec = Some(specs::compare(&spec(), &other));
    let judged = shifted.judge(&gates(), &[]).clone();
    let gate = judged.gates.iter().find(|g| g.name == "spec").unwrap();
    assert_eq!(gate.verdict, Verdict::Fail);
    assert!(gate.note.as_ref().unwrap().contains("rope_theta"));

    let mut damaged = report(1.0);
    let source = Memory::new(&tensors(), "f32");
    let mut artifact = source.clone();
    artifact.values.swap(4, 5);
    damaged.weights = Some(weights::compare(&artifact, &source, None, &Silent).unwrap());
    let judged = damaged.judge(&gates(), &[]).clone();
    assert_eq!(judged.verdict, Verdict::Fail);
    assert!(judged.gates.iter().any(|g| g.name == "weights" && g.note.as_ref().unwrap().contains("expert_up[1]")));
}

#[test]
fn markdown_says_it_in_short() {
    let mut report = report(1.02);
    report.judge(&gates(), &[]);
    let text = report.markdown();
    for part in [
        "### PASS: M-Q8_0 against M",
        "| kld_mean_max | 0.0100 |",
        "| KLD mean (95 %) |",
        "prefill 8",
        "decode 4 at 4",
        "experts in common",
        "No other implementation",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    assert!(text.lines().count() < 70);
}

#[test]
fn latency_counts_are_what_was_asked_for() {
    let latency = report(1.0).latency.unwrap();
    assert_eq!((latency.repetitions, latency.warm_up, latency.clipped, latency.load_ms), (5, 1, false, Some(1.5)));
    assert_eq!(latency.prefill.iter().map(|p| p.tokens).collect::<Vec<_>>(), [8, 16]);
    assert!(latency.prefill.iter().all(|p| p.time.samples_ms.len() == 5));
    assert_eq!((latency.decode.tokens, latency.decode.depth, latency.decode.per_token.samples_ms.len()), (4, 4, 5));
    let options = LatencyOptions { prefill: vec![512], repetitions: 1, ..LatencyOptions::default() };
    let clipped = latency::measure(&model(1.0), &options, None, &Silent).unwrap();
    assert_eq!((clipped.prefill[0].tokens, clipped.repetitions, clipped.clipped), (64, 5, true));
}

/// The part of JSON Schema that the file uses.
fn validate(root: &Value, schema: &Value, value: &Value, at: &str, wrong: &mut Vec<String>) {
    if let Some(pointer) = schema["$ref"].as_str() {
        let target = root.pointer(&pointer[1..]).unwrap_or_else(|| panic!("no {pointer}"));
        return validate(root, target, value, at, wrong);
    }
    if let Some(any) = schema["anyOf"].as_array() {
        let fits = |s: &&Value| {
            let mut inner = Vec::new();
            validate(root, s, value, at, &mut inner);
            inner.is_empty()
        };
        if !any.iter().any(|s| fits(&s)) {
            let mut inner = Vec::new();
            validate(root, &any[0], value, at, &mut inner);
            wrong.push(format!("{at}: fits none of {} ({inner:?})", any.len()));
        }
        return;
    }
    let known = [
        "$schema",
        "$id",
        "$defs",
        "title",
        "description",
        "type",
        "required",
        "properties",
        "items",
        "enum",
        "const",
        "additionalProperties",
        "minItems",
        "maxItems",
    ];
    let odd: Vec<_> = schema.as_object().unwrap().keys().filter(|k| !known.contains(&k.as_str())).collect();
    assert!(odd.is_empty(), "{at}: the validator does not know {odd:?}");
    let types: Vec<&str> = match &schema["type"] {
        Value::String(t) => vec![t],
        Value::Array(list) => list.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let is = |t: &&str| match *t {
        "null" => value.is_null(),
        "number" => value.is_number(),
        "integer" => value.is_u64() || value.is_i64(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("type {other}"),
    };
    if !types.is_empty() && !types.iter().any(is) {
        wrong.push(format!("{at}: {value} is not {types:?}"));
        return;
    }
    if let Some(list) = schema["enum"].as_array()
        && !list.contains(value)
    {
        wrong.push(format!("{at}: {value} is not one of {list:?}"));
    }
    if !schema["const"].is_null() && schema["const"] != *value {
        wrong.push(format!("{at}: {value} is not {}", schema["const"]));
    }
    for key in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if value.is_object() && value.get(key).is_none() {
            wrong.push(format!("{at}: `{key}` is missing"));
        }
    }
    for (key, v) in value.as_object().into_iter().flatten() {
        match schema["properties"].get(key) {
            Some(s) => validate(root, s, v, &format!("{at}.{key}"), wrong),
            None if schema["additionalProperties"] == false => wrong.push(format!("{at}: `{key}` is unknown")),
            None => {}
        }
    }
    if let (Some(items), Some(list)) = (schema.get("items"), value.as_array()) {
        for bound in ["minItems", "maxItems"] {
            let n = schema[bound].as_u64().unwrap_or(list.len() as u64);
            if (bound == "minItems" && (list.len() as u64) < n) || (bound == "maxItems" && list.len() as u64 > n) {
                wrong.push(format!("{at}: {} items", list.len()));
            }
        }
        list.iter().enumerate().for_each(|(i, v)| validate(root, items, v, &format!("{at}[{i}]"), wrong));
    }
}
