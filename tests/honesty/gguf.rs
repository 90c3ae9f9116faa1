use super::support::{Run, fixture_arg, lfmq, quantized, scratch};
use super::{MODEL, caught, verify};
use lfmq_gguf_wire::Container;
use std::ops::Range;

/// Where the bytes of a tensor lie in the file.
fn tensor(file: &[u8], name: &str) -> Range<usize> {
    let container = Container::parse(file).expect("a sound file");
    container.tensors().iter().find(|t| t.name() == name).expect(name).range()
}

/// Where the f32 value of a key lies in the file.
fn f32_key(file: &[u8], key: &str) -> Range<usize> {
    let at = file.windows(key.len()).position(|w| w == key.as_bytes()).expect(key) + key.len();
    assert_eq!(file[at..at + 4], 6u32.to_le_bytes(), "{key} is an f32");
    at + 4..at + 8
}

/// Damages a copy of the artifact and returns the verifier's run.
fn damaged(recipe: &str, damage: impl FnOnce(&mut Vec<u8>)) -> Run {
    let folder = scratch();
    let file = quantized(folder.path(), MODEL, recipe);
    let mut bytes = std::fs::read(&file).expect("the artifact");
    damage(&mut bytes);
    let other = folder.path().join("damaged.gguf");
    std::fs::write(&other, bytes).expect("write");
    verify(folder.path(), &other)
}

#[test]
fn an_undamaged_artifact_passes() {
    for recipe in ["Q4_0", "BF16", "Q4_K_M"] {
        damaged(recipe, |_| {}).expect(0);
    }
}

#[test]
fn one_nibble() {
    for (recipe, skip) in [("Q4_0", 2), ("Q4_K_M", 16)] {
        let name = "blk.2.shortconv.in_proj.weight";
        caught(
            damaged(recipe, |f| {
                let at = tensor(f, name).start + skip;
                f[at] ^= 0x01;
            }),
            1,
            &[name],
        );
    }
}

#[test]
fn two_experts_swapped() {
    let name = "blk.2.ffn_gate_exps.weight";
    let run = damaged("Q4_0", |f| {
        let stack = tensor(f, name);
        let one = stack.len() / 10;
        let (a, b) = f[stack].split_at_mut(one);
        a.swap_with_slice(&mut b[..one]);
    });
    caught(run, 1, &[name, "expert_gate[0]", "expert_gate[1]"]);
}

#[test]
fn one_scale_negated() {
    let name = "blk.1.attn_output.weight";
    caught(
        damaged("Q4_0", |f| {
            let at = tensor(f, name).start + 1;
            f[at] ^= 0x80;
        }),
        1,
        &[name],
    );
}

#[test]
fn one_weight_transposed() {
    let name = "blk.1.attn_q.weight";
    let run = damaged("BF16", |f| {
        let range = tensor(f, name);
        let old = f[range.clone()].to_vec();
        for (i, pair) in f[range].chunks_exact_mut(2).enumerate() {
            let (row, col) = (i / 256, i % 256);
            pair.copy_from_slice(&old[2 * (col * 256 + row)..][..2]);
        }
    });
    caught(run, 1, &[name, "transposed"]);
}

#[test]
fn rope_base_shifted() {
    let run = damaged("Q4_0", |f| {
        let at = f32_key(f, "lfm2moe.rope.freq_base");
        f[at].copy_from_slice(&1e4f32.to_le_bytes());
    });
    caught(run, 1, &["rope_theta", "1000000", "10000"]);
}

#[test]
fn epsilon_shifted() {
    let run = damaged("Q4_0", |f| {
        let at = f32_key(f, "lfm2moe.attention.layer_norm_rms_epsilon");
        f[at].copy_from_slice(&1e-3f32.to_le_bytes());
    });
    caught(run, 1, &["norm_eps"]);
}

#[test]
fn expert_bias_dropped() {
    let name = "blk.1.exp_probs_b.bias";
    let run = damaged("Q4_0", |f| {
        let range = tensor(f, name);
        f[range].fill(0);
    });
    caught(run, 1, &[name]);
    // Taken out of the file altogether, it is missed when the file is opened.
    let run = damaged("Q4_0", |f| {
        let at = f.windows(name.len()).position(|w| w == name.as_bytes()).expect(name);
        f[at..at + name.len()].copy_from_slice(b"blk.1.exp_probs_x.bias");
    });
    caught(run, 3, &["blk.1.exp_probs"]);
}

#[test]
fn gate_and_up_swapped() {
    let run = damaged("Q4_0", |f| {
        let (gate, up) = (tensor(f, "blk.0.ffn_gate.weight"), tensor(f, "blk.0.ffn_up.weight"));
        let (old_gate, old_up) = (f[gate.clone()].to_vec(), f[up.clone()].to_vec());
        f[gate].copy_from_slice(&old_up);
        f[up].copy_from_slice(&old_gate);
    });
    caught(run, 1, &["blk.0.ffn_gate.weight", "blk.0.ffn_up.weight"]);
}

#[test]
fn a_norm_left_out() {
    let name = "blk.3.ffn_norm.weight";
    let run = damaged("Q4_0", |f| {
        let range = tensor(f, name);
        f[range].chunks_exact_mut(4).for_each(|v| v.copy_from_slice(&1f32.to_le_bytes()));
    });
    caught(run, 1, &[name]);
}

#[test]
fn the_behaviour_alone_also_shows_it() {
    // With a gate that does not look at stored values, the swapped experts must still fail by their drift.
    let folder = scratch();
    let file = quantized(folder.path(), MODEL, "Q8_0");
    let mut bytes = std::fs::read(&file).expect("the artifact");
    let stack = tensor(&bytes, "blk.2.ffn_gate_exps.weight");
    let one = stack.len() / 10;
    bytes[stack].rotate_left(one);
    let other = folder.path().join("damaged.gguf");
    std::fs::write(&other, bytes).expect("write");
    std::fs::write(folder.path().join("gates.toml"), "[all]\nweights = \"any\"\nkld_mean_max = 0.01\n").expect("write");
    let (file, model) = (other.display().to_string(), fixture_arg(MODEL));
    let run = lfmq(
        folder.path(),
        &[
            "verify",
            &file,
            "--against",
            &model,
            "--windows",
            "4",
            "--window",
            "128",
            "--task-items",
            "0",
            "--no-latency",
            "--gate",
            "gates.toml",
        ],
    );
    caught(run, 1, &["kld_mean_max"]);
}
