//! Mistakes in routers: the text still reads well, so each has to be told by name.

use super::flat::Model;
use super::support::{Run, fixture, fixture_arg, lfmq, quantized, scratch};
use super::{MODEL, caught, verify};
use crate::proto::{Graph, edit};
use std::path::{Path, PathBuf};

/// A copy of the fixture whose routers multiply their weights by 2.5.
fn scaled(folder: &Path) -> PathBuf {
    let copy = folder.join("scaled-moe");
    std::fs::create_dir(&copy).expect("a folder");
    for entry in std::fs::read_dir(fixture(MODEL)).expect("the fixture") {
        let entry = entry.expect("an entry");
        std::fs::copy(entry.path(), copy.join(entry.file_name())).expect("copy");
    }
    let config = std::fs::read_to_string(copy.join("config.json")).expect("the configuration");
    let changed = config.replace("\"routed_scaling_factor\": 1.0", "\"routed_scaling_factor\": 2.5");
    assert_ne!(config, changed);
    std::fs::write(copy.join("config.json"), changed).expect("write");
    copy
}

/// `lfmq verify` on as many windows as tell experts apart.
fn verify_routes(folder: &Path, artifact: &str, model: &str) -> Run {
    let args = ["verify", artifact, "--against", model, "--windows", "4", "--window", "256", "--task-items", "0"];
    lfmq(folder, &[&args[..], &["--no-latency"]].concat())
}

/// Makes ONNX of `model`, lets `damage` change the graph, and verifies.
fn onnx(model: &str, form: &str, damage: impl FnOnce(&mut Graph)) -> Run {
    let folder = scratch();
    let make = ["quantize", model, "--bits", "8", "--to", "onnx", "--out", "o", "--no-verify"];
    lfmq(folder.path(), &[&make[..], &["--onnx-moe", form, "--onnx-min-ort", "1.25"]].concat()).expect(0);
    let mut files =
        std::fs::read_dir(folder.path().join("o/onnx")).expect("the artifact").map(|e| e.expect("a file").path());
    let file = files.find(|path| path.extension().is_some_and(|e| e == "onnx")).expect("a graph");
    let bytes = std::fs::read(&file).expect("the graph");
    std::fs::write(&file, edit(&bytes, damage)).expect("write");
    verify_routes(folder.path(), &file.display().to_string(), model)
}

/// Builtin codes of TFLite.
const MUL: usize = 18;
const SOFTMAX: usize = 25;
const TOPK: usize = 48;
const ONE_HOT: usize = 85;
const IF: usize = 118;

/// Makes TFLite of `model`, lets `damage` change the graph of a step, and verifies. It is the only one.
fn tflite(model: &str, damage: impl FnOnce(&mut Model<'_>, usize)) -> Run {
    tflite_with(model, "1", |m| {
        let step = m.subgraph(0);
        damage(m, step);
    })
}

/// The same with prefill steps of some tokens, whose graphs are graphs of their own.
fn tflite_with(model: &str, prefill: &str, damage: impl FnOnce(&mut Model<'_>)) -> Run {
    let folder = scratch();
    let make =
        ["quantize", model, "--bits", "8", "--to", "tflite", "--out", "t", "--no-verify", "--tflite-files", "tflite"];
    lfmq(folder.path(), &[&make[..], &["--tflite-context", "512", "--tflite-prefill", prefill]].concat()).expect(0);
    let mut files =
        std::fs::read_dir(folder.path().join("t")).expect("the artifact").map(|e| e.expect("a file").path());
    let made = files.find(|path| path.extension().is_some_and(|e| e == "tflite")).expect("a model");
    let mut bytes = std::fs::read(&made).expect("the model");
    damage(&mut Model(&mut bytes));
    let other = made.with_file_name("damaged.tflite");
    std::fs::write(&other, bytes).expect("write");
    verify_routes(folder.path(), &other.display().to_string(), model)
}

/// For each router of a step: the operator that chooses, the tensor it chooses by, and the scores without the bias.
fn choices(m: &Model<'_>, step: usize) -> Vec<(usize, usize, usize)> {
    let of = |choice: usize| {
        let order = m.ports(choice, 1)[0];
        (choice, order, m.ports(m.maker(step, order), 1)[0])
    };
    m.of(step, TOPK).into_iter().map(of).collect()
}

#[test]
fn softmax_for_sigmoid() {
    let folder = scratch();
    let file = quantized(folder.path(), MODEL, "Q4_0");
    let mut bytes = std::fs::read(&file).expect("the artifact");
    let key = b"lfm2moe.expert_gating_func";
    let at = bytes.windows(key.len()).position(|w| w == key).expect("the key") + key.len() + 4;
    assert_eq!(bytes[at..at + 4], 2u32.to_le_bytes());
    bytes[at..at + 4].copy_from_slice(&1u32.to_le_bytes());
    let other = folder.path().join("damaged.gguf");
    std::fs::write(&other, bytes).expect("write");
    caught(verify(folder.path(), &other), 3, &["expert_gating_func", "2 (sigmoid)"]);

    for form in ["grouped", "qmoe"] {
        let run = onnx(&fixture_arg(MODEL), form, |graph| {
            // 1 / (1 + e^-x) becomes a softmax of x.
            for last in graph.of("Reciprocal") {
                let add = graph.maker(&graph.nodes[last].inputs[0]);
                let exp = graph.maker(&graph.nodes[add].inputs[0]);
                let logits = graph.nodes[graph.maker(&graph.nodes[exp].inputs[0])].inputs[0].clone();
                graph.nodes[last].op = "Softmax".to_owned();
                graph.nodes[last].inputs = vec![logits];
            }
        });
        caught(run, 1, &["`moe.gate` is a softmax instead of a sigmoid"]);
    }

    let run = tflite(&fixture_arg(MODEL), |m, step| {
        for (_, _, scores) in choices(m, step) {
            let sigmoid = m.maker(step, scores);
            m.replace(step, sigmoid, SOFTMAX, (9, 1f32.to_bits()));
        }
    });
    caught(run, 1, &["`moe.gate` is a softmax instead of a sigmoid"]);
}

#[test]
fn bias_in_the_weights() {
    // A GGUF file has no word for it: what a runtime does with `exp_probs_b` is the runtime's.
    let run = onnx(&fixture_arg(MODEL), "grouped", |graph| {
        for gather in graph.of("GatherElements") {
            let choice = graph.maker(&graph.nodes[gather].inputs[1]);
            graph.nodes[gather].inputs[0] = graph.nodes[choice].inputs[0].clone();
        }
    });
    caught(run, 1, &["`moe.expert_bias` is in the weights, too instead of for the selection only"]);

    let run = tflite(&fixture_arg(MODEL), |m, step| {
        for (_, order, scores) in choices(m, step) {
            let makes_hits = |m: &Model<'_>, t: usize| m.ports(m.maker(step, t), 1)[0];
            let share = m.of(step, MUL).into_iter().find(|mul| m.ports(*mul, 1)[0] == scores).expect("scores by hits");
            let hits = m.ports(share, 1)[1];
            assert!(m.of(step, ONE_HOT).iter().any(|o| m.ports(*o, 2) == [makes_hits(m, hits)]));
            m.rewire(share, 1, &[order, hits]);
        }
    });
    caught(run, 1, &["`moe.expert_bias` is in the weights, too instead of for the selection only"]);
}

#[test]
fn scaling_dropped() {
    let folder = scratch();
    let model = scaled(folder.path()).display().to_string();
    // What GGUF cannot carry is refused before a weight is read, and a file without it is no file of this model.
    let refused = lfmq(folder.path(), &["quantize", &model, "--recipe", "Q4_0", "--dry-run"]);
    caught(refused, 3, &["routed_scaling_factor"]);
    let plain = quantized(folder.path(), MODEL, "Q4_0").display().to_string();
    caught(verify_routes(folder.path(), &plain, &model), 1, &["`moe.scale` is 1 instead of 2.5"]);

    onnx(&model, "grouped", |_| {}).expect(0);
    let run = onnx(&model, "grouped", |graph| {
        for mul in graph.of("Mul") {
            let maker = graph.find_maker(&graph.nodes[mul].inputs[0]);
            if maker.is_some_and(|div| graph.nodes[div].op == "Div" && graph.nodes[mul].inputs.len() == 2) {
                graph.nodes[mul].op = "Identity".to_owned();
                graph.nodes[mul].inputs.truncate(1);
            }
        }
    });
    caught(run, 1, &["`moe.scale` is 1 instead of 2.5"]);

    tflite(&model, |_, _| {}).expect(0);
    let run = tflite(&model, |m, step| {
        let mut scales: Vec<_> = m.of(step, MUL).into_iter().map(|mul| m.constant(step, m.ports(mul, 1)[1])).collect();
        scales.retain(|at| m.0[at.clone()] == 2.5f32.to_le_bytes());
        assert!(!scales.is_empty());
        scales.into_iter().for_each(|at| m.0[at].copy_from_slice(&1f32.to_le_bytes()));
    });
    caught(run, 1, &["`moe.scale` is 1 instead of 2.5"]);
}

#[test]
fn experts_swapped_in_a_graph() {
    // The weights are all there, under their own names; the graph hands the tokens of one expert to another.
    let run = onnx(&fixture_arg(MODEL), "grouped", |graph| {
        let of = |graph: &Graph, expert: usize| -> Vec<usize> {
            let name = format!("layers.2.feed_forward.experts.{expert}.");
            graph.of("MatMulNBits").filter(|n| graph.nodes[*n].inputs[1].contains(&name)).collect()
        };
        let (first, second) = (of(graph, 0), of(graph, 1));
        assert_eq!((first.len(), second.len()), (3, 3));
        for (a, b) in first.into_iter().zip(second) {
            let weights = graph.nodes[a].inputs.split_off(1);
            let others = graph.nodes[b].inputs.split_off(1);
            graph.nodes[a].inputs.extend(others);
            graph.nodes[b].inputs.extend(weights);
        }
    });
    caught(run, 1, &["tokens of expert 0 of mixture layer 1 drift"]);

    let run = tflite(&fixture_arg(MODEL), |m, step| {
        let branch = |m: &Model<'_>, expert: usize| {
            let title = format!("layers.2/expert.{expert}/1");
            let mut all = m.of(step, IF).into_iter().map(|o| m.option(o, 0));
            all.find(|then| m.title(m.number(then)) == title).expect("a branch")
        };
        let (first, second) = (branch(m, 0), branch(m, 1));
        let (a, b) = (m.0[first.clone()].to_vec(), m.0[second.clone()].to_vec());
        m.0[first].copy_from_slice(&b);
        m.0[second].copy_from_slice(&a);
    });
    caught(run, 1, &["tokens of expert 0 of mixture layer 1 drift", "the two part at layer 2"]);
}

#[test]
fn a_router_that_goes_wrong_for_prompts_only() {
    let run = tflite_with(&fixture_arg(MODEL), "32", |m| {
        let prompt = (1..).find(|i| m.title(*i).starts_with("prefill")).expect("a graph for prompts");
        let step = m.subgraph(prompt);
        for (_, _, scores) in choices(m, step) {
            let sigmoid = m.maker(step, scores);
            m.replace(step, sigmoid, SOFTMAX, (9, 1f32.to_bits()));
        }
    });
    caught(run, 1, &["tokens fed after a prompt give other logits than all at once: what takes the prompt"]);
}

#[test]
fn sound_routers_are_not_suspected() {
    let tflite = tflite(&fixture_arg(MODEL), |_, _| {});
    for run in ["grouped", "qmoe"].map(|form| onnx(&fixture_arg(MODEL), form, |_| {})).into_iter().chain([tflite]) {
        let run = run.expect(0);
        assert!(!run.all().contains("`moe."), "{}", run.all());
    }
}

/// What a report says of routers, experts and layers, whatever the format; the model has four layers, three of them
/// mixtures of which a token gets four experts.
#[test]
fn reports_tell_of_routers_experts_and_layers() {
    let (folder, model) = (scratch(), fixture_arg(MODEL));
    for (format, bits) in ["gguf", "onnx", "tflite"].into_iter().flat_map(|f| [(f, "4"), (f, "8")]) {
        let out = format!("{format}-{bits}");
        let make = ["quantize", &model, "--bits", bits, "--to", format, "--out", &out, "--no-verify"];
        lfmq(folder.path(), &make).expect(0);
        let quick = ["--windows", "4", "--window", "128", "--task-items", "0", "--no-latency"];
        let look = ["verify", &out, "--against", &model, "--report", "r.json"];
        lfmq(folder.path(), &[&look[..], &quick].concat()).expect(0);
        let report = std::fs::read_to_string(folder.path().join("r.json")).expect("the report");
        let report: serde_json::Value = serde_json::from_str(&report).expect("JSON");
        let list = |value: &serde_json::Value| value.as_array().unwrap_or_else(|| panic!("{out}: a list")).clone();
        let router = &report["drift"]["router"];
        assert_eq!(list(&router["layers"]).len(), 3, "{out}");
        let load = list(&router["load"]);
        assert_eq!(load.len(), 3, "{out}");
        for layer in load {
            for side in ["yardstick", "candidate"] {
                let tokens: u64 = list(&layer[side]).iter().filter_map(serde_json::Value::as_u64).sum();
                assert_eq!(tokens, 4 * 63 * 4, "{out}: {side}");
            }
        }
        let gates = list(&report["gates"]["gates"]);
        let gate =
            gates.iter().find(|g| g["name"] == "router_agreement_min").unwrap_or_else(|| panic!("{out}: no gate"));
        assert_eq!(gate["verdict"], "pass", "{out}: {gate}");
        let layers = list(&report["layers"]);
        assert_eq!(layers.len(), 5, "{out}");
        let least = if bits == "8" { 30.0 } else { 10.0 };
        for layer in layers {
            let noise = layer["sqnr_db"].as_f64().unwrap_or(f64::INFINITY);
            assert!(noise > least, "{out}: {layer}");
        }
    }
}
