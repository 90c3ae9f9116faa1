//! Mistakes in routers: the text still reads well, so each has to be told by name.

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
}

#[test]
fn sound_routers_are_not_suspected() {
    for form in ["grouped", "qmoe"] {
        let run = onnx(&fixture_arg(MODEL), form, |_| {}).expect(0);
        assert!(!run.all().contains("`moe."), "{}", run.all());
    }
}
