//! TFLite: damaged weights are told by name, a graph that computes something else by what it says.

use super::flat::Model;
use super::support::{Run, fixture_arg, lfmq, scratch};
use super::{GRAPH, MODEL, caught};

/// Builtin codes.
const MUL: usize = 18;
const SPLIT: usize = 49;
const SLICE: usize = 65;
const TOPK: usize = 48;
const COS: usize = 108;

/// Damages a copy of the model of `recipe` and returns the verifier's run on it.
fn damaged(recipe: &str, windows: &str, damage: impl FnOnce(&mut Model<'_>)) -> Run {
    let folder = scratch();
    let model = fixture_arg(MODEL);
    // With a prefill step of one token both subgraphs are alike, and may share what is changed.
    let sizes = ["--tflite-context", "256", "--tflite-prefill", "1"];
    let args = [&["--to", "tflite", "--tflite-files", "tflite", "--out", "t", "--no-verify"], &sizes[..]].concat();
    lfmq(folder.path(), &[&["quantize", &model, "--recipe", recipe][..], &args, &["--quiet"]].concat()).expect(0);
    let made = folder.path().join("t").join(format!("{MODEL}-{recipe}.tflite"));
    let mut bytes = std::fs::read(&made).expect("the artifact");
    damage(&mut Model(&mut bytes));
    // Beside the tokenizer, but not under the name that is in the list of digests.
    let other = made.with_file_name("damaged.tflite");
    std::fs::write(&other, bytes).expect("write");
    let (other, quick) = (other.display().to_string(), ["--window", "64", "--task-items", "0", "--no-latency"]);
    let args = ["verify", &other, "--against", &model, "--windows", windows];
    lfmq(folder.path(), &[&args[..], &quick].concat())
}

#[test]
fn sound_models_pass() {
    for recipe in ["tflite-q8", "tflite-q4"] {
        damaged(recipe, "1", |_| {}).expect(0);
    }
}

#[test]
fn one_nibble() {
    let name = "model.layers.2.feed_forward.experts.3.w1.weight";
    let run = damaged("tflite-q4", "1", |m| {
        let at = m.weights(name).start + 5;
        m.0[at] ^= 1;
    });
    caught(run, 1, &[name]);
}

#[test]
fn two_experts_swapped() {
    let name = |e: usize| format!("model.layers.2.feed_forward.experts.{e}.w2.weight");
    let run = damaged("tflite-q8", "1", |m| {
        for part in [Model::weights, Model::scales] {
            let (a, b) = (part(m, &name(0)), part(m, &name(1)));
            let (first, second) = (m.0[a.clone()].to_vec(), m.0[b.clone()].to_vec());
            m.0[a].copy_from_slice(&second);
            m.0[b].copy_from_slice(&first);
        }
    });
    let values = |e: usize| format!("holds the values of layer 2 expert_down[{e}]");
    caught(run, 1, &[&name(0), &values(1), &name(1), &values(0)]);
}

#[test]
fn one_scale_negated() {
    let name = "model.layers.1.self_attn.q_proj.weight";
    let run = damaged("tflite-q8", "1", |m| {
        let at = m.scales(name).start + 4 * 7 + 3;
        m.0[at] ^= 0x80;
    });
    // The runtime refuses such a file as a whole, and so do we.
    caught(run, 3, &[name, "a scale of -"]);
}

#[test]
fn one_weight_transposed() {
    let name = "model.layers.2.conv.out_proj.weight";
    let run = damaged("tflite-q8", "1", |m| {
        let range = m.weights(name);
        let old = m.0[range.clone()].to_vec();
        let side = 256;
        assert_eq!(old.len(), side * side);
        for (i, byte) in m.0[range].iter_mut().enumerate() {
            *byte = old[i % side * side + i / side];
        }
    });
    caught(run, 1, &[name]);
}

#[test]
fn expert_bias_dropped() {
    let name = "model.layers.1.feed_forward.expert_bias";
    let run = damaged("tflite-q8", "1", |m| {
        let range = m.weights(name);
        m.0[range].fill(0);
    });
    caught(run, 1, &[name]);
    // The weights are there; the choice does without them.
    let run = damaged("tflite-q8", "4", |m| {
        let step = m.subgraph(0);
        for choice in m.of(step, TOPK) {
            let ports = m.ports(choice, 1);
            let scores = ports[0] - 1;
            assert!(m.called(step, scores).ends_with("sigmoid"), "{}", m.called(step, scores));
            m.rewire(choice, 1, &[scores, ports[1]]);
        }
    });
    caught(run, 1, &["moe.expert_bias"]);
}

#[test]
fn rope_base_shifted() {
    let run = damaged("tflite-q8", "1", |m| {
        let step = m.subgraph(0);
        let angles = m.ports(m.of(step, COS)[0], 1)[0];
        let makers = m.of(step, MUL);
        let maker = makers.into_iter().find(|o| m.ports(*o, 2) == [angles]).expect("angles");
        let frequencies = m.constant(step, m.ports(maker, 1)[1]);
        let count = frequencies.len() / 4;
        for (i, at) in frequencies.step_by(4).enumerate() {
            // From a base of 1e6 to one of 1e4.
            let value = 1e4f32.powf(-(i as f32) / count as f32);
            m.0[at..at + 4].copy_from_slice(&value.to_le_bytes());
        }
    });
    caught(run, 1, &[GRAPH, "layer 1 (attention)"]);
}

#[test]
fn gates_swapped() {
    let run = damaged("tflite-q8", "1", |m| {
        let step = m.subgraph(0);
        for split in m.of(step, SPLIT) {
            let [b, c, x] = m.ports(split, 2)[..] else { panic!("three parts") };
            m.rewire(split, 2, &[c, b, x]);
        }
    });
    caught(run, 1, &[GRAPH, "layer 0 (short convolution)"]);
}

#[test]
fn a_norm_left_out() {
    let run = damaged("tflite-q8", "1", |m| {
        let step = m.subgraph(0);
        let weight =
            |m: &Model<'_>, o: usize| m.called(step, m.ports(o, 1)[1]) == "model.layers.2.operator_norm.weight";
        let scaled = m.of(step, MUL).into_iter().find(|o| weight(m, *o)).expect("the norm");
        // x rsqrt(..) w becomes x w.
        let ports = m.ports(scaled, 1);
        let normed = m.of(step, MUL).into_iter().find(|o| m.ports(*o, 2) == [ports[0]]).expect("x rsqrt");
        let x = m.ports(normed, 1)[0];
        m.rewire(scaled, 1, &[x, ports[1]]);
    });
    caught(run, 1, &[GRAPH, "layer 2"]);
}

#[test]
fn taps_reversed() {
    let run = damaged("tflite-q8", "1", |m| {
        let step = m.subgraph(0);
        let begin = |m: &Model<'_>, o: usize| m.0[m.constant(step, m.ports(o, 1)[1])].to_vec();
        let at = |t: u32| [0, t, 0].iter().flat_map(|v: &u32| v.to_le_bytes()).collect::<Vec<u8>>();
        let all = m.of(step, SLICE);
        let newest: Vec<usize> = all.iter().copied().filter(|o| begin(m, *o) == at(2)).collect();
        let windows: Vec<usize> = newest.iter().map(|o| m.ports(*o, 1)[0]).collect();
        let mine = |m: &Model<'_>, o: usize| windows.contains(&m.ports(o, 1)[0]);
        let oldest: Vec<usize> = all.iter().copied().filter(|o| mine(m, *o) && begin(m, *o) == at(0)).collect();
        let [first, last] = [&oldest, &newest].map(|slices| m.ports(slices[0], 1)[1]);
        for (slices, begin) in [(oldest, last), (newest, first)] {
            for slice in slices {
                let ports = m.ports(slice, 1);
                m.rewire(slice, 1, &[ports[0], begin, ports[2]]);
            }
        }
    });
    caught(run, 1, &[GRAPH, "layer 0 (short convolution)"]);
}
