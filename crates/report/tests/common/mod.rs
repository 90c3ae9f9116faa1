//! Reports as `lfmq-verify` makes them, of made-up scores.
#![allow(dead_code, reason = "each test uses a part")]

use lfmq_core::{ArtifactFile, Facts};
use lfmq_report::Report;
use lfmq_verify::metrics::{RouterTally, Scores, TokenScore};
use lfmq_verify::{ArtifactFacts, BitsClass, Drift, DriftReport, GateFile, TextFacts};
use serde_json::{Value, json};

pub const WINDOWS: usize = 12;
pub const PER_WINDOW: usize = 31;

/// A sequence that is the same everywhere (Knuth's MMIX generator).
pub struct Dice(pub u64);

impl Dice {
    pub fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// One window: its scores and the routes of both models, `[layer][token][K]`.
pub struct Window {
    pub tokens: Vec<TokenScore>,
    pub targets: Vec<u32>,
    pub base: Vec<Vec<Vec<u16>>>,
    pub candidate: Vec<Vec<Vec<u16>>>,
}

/// Windows whose divergence is around `size`; the text (and so `nll_base`) depends on nothing but the place.
pub fn windows(size: f64, seed: u64) -> Vec<Window> {
    let mut text = Dice(1);
    let mut dice = Dice(seed);
    let one = |_| {
        let mut window = Window { tokens: vec![], targets: vec![], base: vec![vec![]; 2], candidate: vec![vec![]; 2] };
        let hard = 0.5 + text.unit();
        for _ in 0..PER_WINDOW {
            let (nll_base, noise) = (3.0 * hard * text.unit(), dice.unit());
            window.tokens.push(TokenScore {
                kld: size * hard * -(1.0 - noise).ln(),
                nll_base,
                nll: nll_base + size * (dice.unit() - 0.4),
                same_top: dice.unit() > size,
                margin: text.unit(),
            });
            window.targets.push((text.unit() * 1000.0) as u32);
            for layer in 0..2 {
                window.base[layer].push(vec![0, 1, 2]);
                let other = if dice.unit() > size { 2 } else { 3 };
                window.candidate[layer].push(vec![0, 1, other]);
            }
        }
        window
    };
    (0..WINDOWS).map(one).collect()
}

fn facts(experts: usize) -> Facts {
    Facts {
        what: "gguf lfm2".into(),
        rung: "scalar",
        threads: 2,
        parameters: 1000,
        weight_bytes: 600,
        experts,
        ..Facts::default()
    }
}

/// The report of the windows `chosen`; the text is always the whole.
pub fn raw(name: &str, all: &[Window], chosen: &[usize]) -> Value {
    let mut scores = Scores { per_window: PER_WINDOW, first: 32, ..Scores::default() };
    let mut tally = RouterTally::default();
    for window in chosen.iter().map(|i| &all[*i]) {
        scores.tokens.extend(&window.tokens);
        scores.targets.extend(&window.targets);
        tally.push(&window.base, &window.candidate);
        tally.end_window();
    }
    let file = ArtifactFile { name: name.to_owned(), bytes: 600, sha256: format!("{:064x}", name.len()) };
    let artifact = ArtifactFacts::new(name, vec![file], &facts(4));
    let mut report = DriftReport::new("lfmq 0.1.0", artifact, &facts(4), "tiny", &facts(4));
    report.text = Some(TextFacts {
        name: "text <1>".into(),
        sha256: "ab".repeat(32),
        tokens: 64 * all.len(),
        context: 64,
        windows: all.len(),
        scored: all.len() * PER_WINDOW,
    });
    report.spec = Some(vec![]);
    let drift = Drift::of(&scores, 64, tally.finish());
    report.drift = Some(drift);
    let judged = GateFile::built_in().unwrap().judge_as(BitsClass::Bits4, &report);
    report.gates = Some(judged);
    serde_json::to_value(&report).unwrap()
}

pub fn whole(name: &str, all: &[Window]) -> Value {
    raw(name, all, &(0..all.len()).collect::<Vec<_>>())
}

/// Scores by token as `--detail` writes them.
pub fn detail(all: &[Window], chosen: &[usize]) -> Value {
    let one = |i: &usize| {
        let mut tally = RouterTally::default();
        tally.push(&all[*i].base, &all[*i].candidate);
        tally.end_window();
        let scores = Scores {
            per_window: PER_WINDOW,
            first: 32,
            targets: all[*i].targets.clone(),
            tokens: all[*i].tokens.clone(),
        };
        lfmq_verify::shards::detail(&scores, *i, tally.windows()).remove(0)
    };
    json!(chosen.iter().map(one).collect::<Vec<_>>())
}

/// Through text, as files go.
pub fn read(name: &str, value: &Value) -> Report {
    Report::read(name, &value.to_string()).unwrap().remove(0)
}

/// Times, tasks and weights in the words of the schema.
pub fn dress(value: &mut Value, decode_ms: &[f64]) {
    let mean = decode_ms.iter().sum::<f64>() / decode_ms.len() as f64;
    let timing = json!({
        "mean_ms": mean, "stddev_ms": 0.1, "p50_ms": mean, "p95_ms": mean, "min_ms": mean,
        "noise": 0.01, "noisy": false,
        "samples_ms": decode_ms,
    });
    value["latency"] = json!({
        "repetitions": 5, "warm_up": 1, "seed": 1, "clipped": false, "load_ms": 1.5,
        "prefill": [{ "tokens": 128, "time": timing, "first_token": timing, "tokens_per_second": 10.0 }],
        "decode": { "depth": 128, "tokens": 32, "per_token": timing,
            "token_p50_ms": mean, "token_p95_ms": mean, "tokens_per_second": 10.0 },
        "rung": "scalar", "threads": 2, "memory": { "peak": 1 << 20, "anonymous": 1, "file": 1 },
    });
    value["tasks"] = json!([{
        "task": "extract", "tasks": 12, "yardstick": { "exact": 1.0, "field_f1": 1.0, "valid_json": 1.0, "chrf": null },
        "candidate": { "exact": 0.5, "field_f1": 0.9, "valid_json": 1.0, "chrf": null },
        "drop": 0.1, "drop_interval": [0.02, 0.2], "lost": 6, "won": 0, "p": 0.03,
    }]);
    let tensor = |name: &str, tensor: &str, role: &str, db: f64| {
        json!({
            "name": name, "tensor": tensor, "role": role, "scheme": "q4_k", "float": false,
            "shape": [8, 256], "bytes": 1152,
            "sqnr_db": db, "cosine": 0.99, "max_abs_error": 0.1, "worst_row": null, "replay": { "verdict": "exact" },
        })
    };
    value["weights"] = json!({
        "replay": { "verdict": "exact" }, "exact": 3, "differs": 0, "not_replayed": 0, "mismatches": [],
        "roles": [{ "role": "ffn_up", "scheme": "q4_k", "tensors": 2, "sqnr_db": 20.0,
            "worst_sqnr_db": 19.0, "worst": "blk.0.<b>" }],
        "tensors": [
            tensor("blk.0.<b>", "layer 0 ffn_up", "ffn_up", 19.0), tensor("blk.1.up", "layer 1 ffn_up", "ffn_up", 21.0),
            tensor("token_embd", "embedding", "embedding", 33.0),
        ],
    });
}
