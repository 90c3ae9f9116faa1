//! Damage of what an ONNX file stores is named by the stored values; damage of the graph by running it in f32 over them.

use super::proto::{Graph, edit};
use super::support::{Run, fixture_arg, lfmq, scratch};
use super::{GRAPH, MODEL, caught, verify};
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use tempfile::TempDir;

/// A graph and its weights.
struct Files {
    graph: Vec<u8>,
    data: Vec<u8>,
}

impl Files {
    /// Where the bytes of an initializer lie among the weights.
    fn place(&self, name: &str) -> Range<usize> {
        let number = |key: &str, from: usize| {
            let at = find(&self.graph[from..], key.as_bytes()).expect(key) + from + key.len();
            // Field 2 of the entry is the value, in decimal.
            assert_eq!(self.graph[at], 0x12);
            let length = usize::from(self.graph[at + 1]);
            let digits = std::str::from_utf8(&self.graph[at + 2..at + 2 + length]).expect("digits");
            digits.parse::<usize>().expect("a number")
        };
        // Field 8 of a tensor; lengths from 128 on take two bytes.
        let (low, high) = ((name.len() & 0x7f) as u8, (name.len() >> 7) as u8);
        let length = if high == 0 { vec![low] } else { vec![low | 0x80, high] };
        let name_field = [&[0x42][..], &length, name.as_bytes()].concat();
        let at = find(&self.graph, &name_field).unwrap_or_else(|| panic!("no initializer {name}"));
        let (offset, length) = (number("offset", at), number("length", at));
        offset..offset + length
    }

    fn part(&mut self, name: &str) -> &mut [u8] {
        let place = self.place(name);
        &mut self.data[place]
    }

    fn rewire(&mut self, change: impl FnOnce(&mut Graph)) {
        self.graph = edit(&self.graph, change);
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|w| w == what)
}

/// The fixture as ONNX, made once for all tests that ask for the same.
fn made(options: &'static [&'static str]) -> PathBuf {
    static ALL: Mutex<BTreeMap<&[&str], PathBuf>> = Mutex::new(BTreeMap::new());
    let mut all = ALL.lock().expect("no test fails while it makes one");
    let make = || {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("honesty-onnx").join(options.join(""));
        std::fs::create_dir_all(&folder).expect("a folder");
        let model = fixture_arg(MODEL);
        let args = ["quantize", &model, "--to", "onnx", "--out", "o", "--no-verify", "--quiet", "--overwrite"];
        lfmq(&folder, &[&args[..], options].concat()).expect(0);
        folder
    };
    all.entry(options).or_insert_with(make).clone()
}

/// A copy of the artifact with its files changed, and the graph's place in it.
fn damaged(options: &'static [&'static str], damage: impl FnOnce(&mut Files)) -> (TempDir, PathBuf) {
    let (from, to) = (made(options), scratch());
    let copy = |part: &Path| {
        std::fs::create_dir_all(to.path().join(part)).expect("a folder");
        for entry in std::fs::read_dir(from.join(part)).expect("the artifact") {
            let entry = entry.expect("an entry");
            if entry.path().is_file() {
                std::fs::copy(entry.path(), to.path().join(part).join(entry.file_name())).expect("copy");
            }
        }
    };
    copy(Path::new("o"));
    copy(Path::new("o/onnx"));
    let named = |extension: &str| {
        let all = std::fs::read_dir(to.path().join("o/onnx")).expect("files").map(|e| e.expect("a file").path());
        all.into_iter().find(|p| p.extension().is_some_and(|e| e == extension)).expect("a model file")
    };
    let (graph, data) = (named("onnx"), named("onnx_data"));
    let read = |path: &Path| std::fs::read(path).expect("read");
    let mut files = Files { graph: read(&graph), data: read(&data) };
    damage(&mut files);
    std::fs::write(&graph, files.graph).expect("write");
    std::fs::write(&data, files.data).expect("write");
    (to, graph)
}

/// Verifies the damaged graph by its own name, so that no list of digests is asked.
fn run(options: &'static [&'static str], damage: impl FnOnce(&mut Files)) -> Run {
    let (folder, graph) = damaged(options, damage);
    verify(folder.path(), &graph)
}

const Q4: &[&str] = &["--bits", "4"];
const Q8: &[&str] = &["--bits", "8"];
const QMOE: &[&str] = &["--bits", "8", "--onnx-moe", "qmoe", "--onnx-min-ort", "1.31"];
const FP32: &[&str] = &["--recipe", "onnx-fp32"];
const ROWS: &[&str] = &["--recipe", "onnx-quantized"];

const IN_PROJ: &str = "model.layers.2.conv.in_proj.weight";

#[test]
fn undamaged_graphs_pass() {
    for options in [Q4, QMOE, FP32, ROWS] {
        run(options, |_| {}).expect(0);
    }
}

#[test]
fn one_code() {
    for options in [Q4, Q8, ROWS] {
        let run = run(options, |f| f.part(&format!("{IN_PROJ}.codes"))[1000] ^= 1);
        caught(run, 1, &[IN_PROJ, "a single value changed"]);
    }
    // One range of bytes is the embedding and the head.
    let run = run(Q4, |f| f.part("model.embed_tokens.weight.table")[77_777] ^= 1);
    caught(run, 1, &["model.embed_tokens.weight", "a single value changed"]);
}

#[test]
fn a_list_of_digests_does_not_hide_it() {
    let (folder, graph) = damaged(Q4, |f| f.part(&format!("{IN_PROJ}.codes"))[1000] ^= 0x10);
    let artifact = folder.path().join("o");
    caught(verify(folder.path(), &artifact), 1, &["onnx_data", "SHA256SUMS"]);
    let data = graph.with_extension("onnx_data");
    let name = format!("onnx/{}", data.file_name().expect("a name").to_string_lossy());
    let digest = lfmq_testkit::sha256_hex(&std::fs::read(&data).expect("the weights"));
    let list = std::fs::read_to_string(artifact.join("SHA256SUMS")).expect("the list");
    let (old, _) = list.lines().find_map(|line| line.split_once("  ").filter(|(_, n)| *n == name)).expect(&name);
    let other = list.replace(old, &digest);
    assert_ne!(list, other);
    std::fs::write(artifact.join("SHA256SUMS"), other).expect("write");
    caught(verify(folder.path(), &artifact), 1, &[IN_PROJ, "a single value changed"]);
}

#[test]
fn one_zero_point() {
    let run = run(Q4, |f| f.part(&format!("{IN_PROJ}.zeros"))[40] ^= 1);
    caught(run, 1, &[IN_PROJ, "confined to row"]);
}

#[test]
fn two_experts_swapped() {
    let expert = |e: usize, part: &str| format!("model.layers.2.feed_forward.experts.{e}.w1.weight.{part}");
    let grouped = run(Q4, |f| {
        for part in ["codes", "scales", "zeros"] {
            let (a, b) = (f.place(&expert(0, part)), f.place(&expert(1, part)));
            let (old_a, old_b) = (f.data[a.clone()].to_vec(), f.data[b.clone()].to_vec());
            f.data[a].copy_from_slice(&old_b);
            f.data[b].copy_from_slice(&old_a);
        }
    });
    // In the stack rows of gate and up alternate; both move.
    let stacked = run(QMOE, |f| {
        let names = (0..10).flat_map(|e| ["w1", "w3"].map(|w| format!("{e}.{w}"))).collect::<Vec<_>>().join(",");
        for part in ["codes", "scales"] {
            let stack = f.part(&format!("model.layers.2.feed_forward.experts.{{{names}}}.weight.{part}"));
            let one = stack.len() / 10;
            let (a, b) = stack.split_at_mut(one);
            a.swap_with_slice(&mut b[..one]);
        }
    });
    for run in [grouped, stacked] {
        caught(run, 1, &["experts.0.w1", "holds the values of layer 2 expert_gate[1]", "expert_gate[0]"]);
    }
}

#[test]
fn one_scale_negated() {
    let name = "model.layers.1.self_attn.out_proj.weight";
    let run = run(Q8, |f| f.part(&format!("{name}.scales"))[4 * 9 + 3] ^= 0x80);
    caught(run, 1, &[name, "sign flipped in row"]);
}

#[test]
fn one_weight_transposed() {
    let name = "model.layers.1.self_attn.q_proj.weight";
    let run = run(FP32, |f| {
        let weight = f.part(name);
        let (old, n) = (weight.to_vec(), (weight.len() / 4).isqrt());
        for (i, value) in weight.chunks_exact_mut(4).enumerate() {
            value.copy_from_slice(&old[4 * (i % n * n + i / n)..][..4]);
        }
    });
    caught(run, 1, &[name, "transposed"]);
}

#[test]
fn expert_bias_dropped() {
    let name = "model.layers.1.feed_forward.expert_bias";
    caught(run(Q4, |f| f.part(name).fill(0)), 1, &[name]);
    // Still in the file, but nobody adds it.
    let run = run(Q4, |f| {
        f.rewire(|graph| {
            let add = graph.of("Add").find(|n| graph.nodes[*n].inputs.iter().any(|i| i == name)).expect("a bias");
            graph.nodes[add].op = "Identity".to_owned();
            graph.nodes[add].inputs.truncate(1);
        });
    });
    caught(run, 1, &[name]);
}

#[test]
fn rotary_base_shifted() {
    let frequencies = |base: f64, n: usize| -> Vec<u8> {
        (0..n).flat_map(|i| (base.powf(-(i as f64) / n as f64) as f32).to_le_bytes()).collect()
    };
    let run = run(Q8, |f| {
        let (old, new) = (frequencies(1e6, 32), frequencies(1e4, 32));
        let at = find(&f.graph, &old[..16]).expect("the frequencies");
        f.graph[at..at + old.len()].copy_from_slice(&new);
    });
    caught(run, 1, &[GRAPH, "layer 1 (attention)"]);
}

#[test]
fn epsilon_shifted() {
    let run = run(Q8, |f| {
        while let Some(at) = find(&f.graph, &1e-5f32.to_le_bytes()) {
            f.graph[at..at + 4].copy_from_slice(&1e-3f32.to_le_bytes());
        }
    });
    caught(run, 1, &["graph", GRAPH, "layer 0"]);
}

#[test]
fn gates_of_a_convolution_swapped() {
    // x B and C lie side by side; which of them opens the way in is the graph's word.
    let run = run(Q4, |f| {
        f.rewire(|graph| {
            let split =
                graph.of("Split").find(|n| graph.nodes[*n].outputs[0].starts_with("layers.2/")).expect("a split");
            graph.nodes[split].outputs.swap(0, 1);
        });
    });
    caught(run, 1, &[GRAPH, "layer 2 (short convolution)"]);
}

#[test]
fn a_convolution_padded_on_the_wrong_side() {
    let run = run(Q4, |f| {
        f.rewire(|graph| {
            let concat = |n: &usize| graph.nodes[*n].inputs[0] == "past_conv.0";
            let join = graph.of("Concat").find(concat).expect("a convolution");
            graph.nodes[join].inputs.swap(0, 1);
        });
    });
    caught(run, 1, &[GRAPH, "layer 0 (short convolution)"]);
}

#[test]
fn a_norm_left_out() {
    let name = "model.layers.1.self_attn.q_layernorm.weight";
    let run = run(Q4, |f| {
        f.rewire(|graph| {
            let norm = graph.of("SimplifiedLayerNormalization");
            let norm = norm.into_iter().find(|n| graph.nodes[*n].inputs[1] == name).expect("a norm");
            graph.nodes[norm].op = "Identity".to_owned();
            graph.nodes[norm].inputs.truncate(1);
        });
    });
    caught(run, 1, &[name, "missing"]);
}

#[test]
fn gate_and_up_swapped() {
    let run = run(Q4, |f| {
        f.rewire(|graph| {
            let of = |graph: &Graph, w: &str| {
                let name = format!("model.layers.0.feed_forward.{w}.weight.codes");
                graph.of("MatMulNBits").find(|n| graph.nodes[*n].inputs[1] == name).expect("a matrix")
            };
            let (gate, up) = (of(graph, "w1"), of(graph, "w3"));
            let (a, b) = (graph.nodes[gate].inputs.split_off(1), graph.nodes[up].inputs.split_off(1));
            graph.nodes[gate].inputs.extend(b);
            graph.nodes[up].inputs.extend(a);
        });
    });
    caught(run, 1, &[GRAPH, "layer 0"]);
}

#[test]
fn a_state_that_is_not_carried_over() {
    // All tokens at once read no state, so only feeding in pieces tells.
    let run = run(Q8, |f| {
        f.rewire(|graph| {
            let slice = graph.of("Slice").find(|n| graph.nodes[*n].outputs[0] == "present_conv.2").expect("a state");
            graph.nodes[slice].op = "Identity".to_owned();
            graph.nodes[slice].inputs = vec!["past_conv.2".to_owned()];
        });
    });
    caught(run, 1, &["the states are wrong"]);
}
