//! Importance files of llama.cpp's collector in both forms, and damaged ones.

mod model;
mod shapes;

use lfmq_core::{Classify, Kind, SourceTensor, TensorSource};
use lfmq_gguf_wire::names::tensor_name;
use lfmq_quant::{Importance, Recipe, plan};
use lfmq_testkit::fixtures;
use proptest::prelude::*;
use std::path::PathBuf;

fn golden(name: &str) -> PathBuf {
    fixtures().join("golden/llama.cpp").join(name)
}

/// A file of the older form: `(name, calls, values)`, chunks, data set.
fn dat(entries: &[(&str, i32, &[f32])], end: Option<(i32, &str)>) -> Vec<u8> {
    let mut out = (entries.len() as i32).to_le_bytes().to_vec();
    for (name, calls, values) in entries {
        out.extend((name.len() as i32).to_le_bytes());
        out.extend(name.as_bytes());
        out.extend(calls.to_le_bytes());
        out.extend((values.len() as i32).to_le_bytes());
        out.extend(values.iter().flat_map(|v| v.to_le_bytes()));
    }
    if let Some((chunks, dataset)) = end {
        out.extend(chunks.to_le_bytes());
        out.extend((dataset.len() as i32).to_le_bytes());
        out.extend(dataset.as_bytes());
    }
    out
}

#[test]
fn both_forms_of_one_measurement_agree() {
    for model in ["lfm2-tiny", "lfm2-tiny-moe"] {
        let new = Importance::read(&golden(&format!("{model}.imatrix.gguf"))).unwrap();
        let old = Importance::read(&golden(&format!("{model}.imatrix.dat"))).unwrap();
        assert_eq!(new.source().entries, old.source().entries, "{model}");
        assert_eq!(new.source().chunks, old.source().chunks, "{model}");
        assert_eq!(new.source().dataset, old.source().dataset, "{model}");
        assert!(new.source().file.ends_with(".imatrix.gguf"));
        let mut compared = 0;
        for layer in 0..8 {
            for name in ["attn_v", "shortconv.in_proj", "ffn_up", "ffn_gate_exps"] {
                let name = format!("blk.{layer}.{name}.weight");
                let expert = name.contains("exps").then_some(1);
                let hidden = hidden(model);
                let Some(new) = new.weights(&name, expert, hidden).unwrap() else { continue };
                let old = old.weights(&name, expert, hidden).unwrap().unwrap();
                for (a, b) in new.iter().zip(&old) {
                    // The older form holds mean * calls, rounded once more.
                    assert!((a - b).abs() <= 2e-6 * a.abs(), "{model} {name}: {a} {b}");
                }
                compared += 1;
            }
        }
        assert!(compared >= 8, "{model}: {compared}");
    }
}

/// Width of the residual stream of a fixture.
fn hidden(model: &str) -> usize {
    let text = std::fs::read_to_string(fixtures().join(model).join("config.json")).unwrap();
    let rest = text.split_once("\"hidden_size\":").unwrap().1;
    rest.split(',').next().unwrap().trim().parse().unwrap()
}

#[test]
fn sums_become_means_and_unreached_experts_count_as_ones() {
    let sums = [2.0, 4.0, 6.0, 8.0];
    let old = dat(&[("blk.0.ffn_up.weight", 2, &sums)], Some((7, "wiki.txt")));
    let old = Importance::parse(&old).unwrap();
    assert_eq!(old.weights("blk.0.ffn_up.weight", None, 4).unwrap(), Some(vec![1.0, 2.0, 3.0, 4.0]));
    assert_eq!((old.source().chunks, old.source().dataset.as_deref()), (7, Some("wiki.txt")));
    let uncalled = Importance::parse(&dat(&[("blk.0.ffn_up.weight", 0, &sums)], None)).unwrap();
    assert_eq!(uncalled.weights("blk.0.ffn_up.weight", None, 4).unwrap(), Some(sums.to_vec()));
    let stack = gguf(&[("blk.2.ffn_up_exps.weight", &[3.0, 6.0, 0.0, 0.0, 9.0, 12.0], &[3.0, 0.0, 1.0])]);
    let stack = Importance::parse(&stack).unwrap();
    let of = |e| stack.weights("blk.2.ffn_up_exps.weight", Some(e), 2).unwrap().unwrap();
    assert_eq!([of(0), of(1), of(2)], [vec![1.0, 2.0], vec![1.0, 1.0], vec![9.0, 12.0]]);
}

#[test]
fn missing_is_unweighted_and_another_size_is_an_error() {
    let entries: [(&str, i32, &[f32]); 2] =
        [("blk.0.ffn_up.weight", 1, &[1.0; 6]), ("token_embd.weight", 1, &[1.0; 6])];
    let file = Importance::parse(&dat(&entries, None)).unwrap();
    assert_eq!(file.weights("blk.1.ffn_up.weight", None, 4).unwrap(), None);
    assert_eq!(file.weights("token_embd.weight", None, 4).unwrap(), None);
    for (expert, cols) in [(None, 4), (None, 3), (Some(2), 3), (Some(0), 4), (Some(0), 0), (Some(9), 6)] {
        let found = file.weights("blk.0.ffn_up.weight", expert, cols);
        assert!(found.unwrap_err().to_string().contains("blk.0.ffn_up.weight"), "{expert:?} {cols}");
    }
    assert_eq!(file.weights("blk.0.ffn_up.weight", Some(1), 3).unwrap(), Some(vec![1.0; 3]));
}

#[test]
fn experts_that_nothing_reached_are_named_and_unweighted() {
    let model = model::tiny();
    // Every stack of experts, expert 2 without a token; by expert, the sums of squares of its columns.
    let stack = |t: &SourceTensor, e: u16| (t.id.role.expert() == Some(e)).then(|| (tensor_name(t.id), t.cols));
    let stacks: Vec<(String, usize)> = model.tensors().iter().filter_map(|t| stack(t, 0)).collect();
    let file = |counts: [f32; 4]| {
        let sums: Vec<Vec<f32>> =
            stacks.iter().map(|(_, cols)| [vec![8.0; 2 * cols], vec![0.0; *cols], vec![8.0; *cols]].concat()).collect();
        let entries: Vec<_> = stacks.iter().zip(&sums).map(|((n, _), s)| (n.as_str(), &s[..], &counts[..])).collect();
        Importance::parse(&gguf(&entries)).unwrap()
    };
    let (some, all) = (file([4.0, 2.0, 0.0, 4.0]), file([4.0; 4]));
    let recipe = Recipe::named("Q4_0").unwrap();
    let planned = plan(&model, &recipe, Some(&some)).unwrap();
    let told: Vec<_> = planned.tensors.iter().filter(|t| t.reason.contains("no calibration token")).collect();
    assert!(!told.is_empty() && told.iter().all(|t| t.id.role.expert() == Some(2)));
    assert_eq!(told.len(), stacks.len());
    let name = tensor_name(told[0].id);
    assert_eq!(some.weights(&name, Some(2), 256).unwrap(), Some(vec![1.0; 256]));
    assert_ne!(some.weights(&name, Some(1), 256).unwrap(), Some(vec![1.0; 256]));

    let lines = Lines::default();
    let silent = |importance: &Importance| {
        let done = |_: usize| false;
        lfmq_quant::quantize(&model, &planned, Some(importance), &[], &done, &|_| Ok(()), 1 << 26, &lines).unwrap();
    };
    silent(&all);
    assert!(lines.0.lock().unwrap().is_empty());
    silent(&some);
    let lines = lines.0.into_inner().unwrap();
    assert!(lines.iter().any(|l| l.contains("ffn_up_exps") && l.contains("expert 2;")), "{lines:?}");
}

/// Keeps what it is told.
#[derive(Default)]
struct Lines(std::sync::Mutex<Vec<String>>);

impl lfmq_core::Observer for Lines {
    fn begin(&self, _: &str, _: u64, _: lfmq_core::Unit) {}
    fn advance(&self, _: u64) {}
    fn end(&self) {}
    fn note(&self, line: &str) {
        self.0.lock().unwrap().push(line.to_owned());
    }
}

#[test]
fn coverage_tells_what_is_missing() {
    let spec = shapes::released("8B-A1B").unwrap();
    let file = gguf(&[
        ("blk.0.ffn_up.weight", &[1.0; 2048], &[1.0]),
        ("blk.2.ffn_up_exps.weight", &[1.0; 2 * 32], &[[4.0; 30].as_slice(), &[2.0, 0.0]].concat()),
        ("blk.2.ffn_gate_inp.weight", &[1.0; 2048], &[1.0]),
    ]);
    let coverage = Importance::parse(&file).unwrap().coverage(&spec);
    assert_eq!(coverage.covered, 2);
    assert_eq!(coverage.unreached, [("blk.2.ffn_up_exps.weight".to_owned(), 31)]);
    assert_eq!(coverage.least, Some(("blk.2.ffn_up_exps.weight".to_owned(), 30, 2.0)));
    assert_eq!(coverage.unknown, ["blk.2.ffn_gate_inp.weight"]);
    // 18 convolutions of 2, 6 attentions of 4, 24 feed-forwards of 3.
    assert_eq!(coverage.missing.len(), 18 * 2 + 6 * 4 + 24 * 3 - 2);
    assert!(!coverage.missing.iter().any(|name| name.starts_with("token_embd")));
}

/// A file of the GGUF form: `(name, sums, counts)`.
fn gguf(entries: &[(&str, &[f32], &[f32])]) -> Vec<u8> {
    let text = |s: &str| [&(s.len() as u64).to_le_bytes(), s.as_bytes()].concat();
    let mut out = b"GGUF\x03\0\0\0".to_vec();
    out.extend((2 * entries.len() as u64).to_le_bytes());
    out.extend(4u64.to_le_bytes());
    out.extend([text("general.type"), 8u32.to_le_bytes().to_vec(), text("imatrix")].concat());
    out.extend(
        [text("imatrix.datasets"), vec![9, 0, 0, 0, 8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0], text("t.txt")].concat(),
    );
    for (key, value) in [("imatrix.chunk_count", 3u32), ("imatrix.chunk_size", 16)] {
        out.extend([text(key), 4u32.to_le_bytes().to_vec(), value.to_le_bytes().to_vec()].concat());
    }
    let (mut data, mut infos) = (Vec::<u8>::new(), Vec::new());
    for (name, sums, counts) in entries {
        for (suffix, values, cols) in [(".in_sum2", sums, sums.len() / counts.len()), (".counts", counts, 1)] {
            infos.extend(text(&format!("{name}{suffix}")));
            infos.extend(2u32.to_le_bytes());
            infos.extend((cols as u64).to_le_bytes());
            infos.extend(((values.len() / cols) as u64).to_le_bytes());
            infos.extend(0u32.to_le_bytes());
            infos.extend((data.len() as u64).to_le_bytes());
            data.extend(values.iter().flat_map(|v| v.to_le_bytes()));
            data.resize(data.len().next_multiple_of(32), 0);
        }
    }
    out.extend(infos);
    out.resize(out.len().next_multiple_of(32), 0);
    out.extend(data);
    out
}

#[test]
fn damage_is_refused_by_name() {
    let name = "blk.0.ffn_up.weight";
    let table: Vec<(Vec<u8>, &str)> = vec![
        (vec![], "number of entries"),
        (dat(&[], None), "no entries"),
        (dat(&[(name, -1, &[1.0])], None), "-1"),
        (dat(&[(name, 1, &[])], None), name),
        (dat(&[(name, 1, &[1.0]), (name, 1, &[1.0])], None), "twice"),
        (dat(&[(name, 1, &[f32::NAN])], None), name),
        (dat(&[(name, 1, &[-1.0])], None), name),
        ([dat(&[(name, 1, &[1.0])], Some((1, "d"))), vec![0]].concat(), "follow"),
        ([i32::MAX.to_le_bytes(), i32::MAX.to_le_bytes()].concat(), "ends inside a name"),
        (gguf(&[(name, &[1.0, 2.0], &[f32::INFINITY])]), name),
        (gguf(&[(name, &[1.0, 2.0], &[-1.0])]), name),
        (gguf(&[(name, &[1.0, f32::NAN], &[1.0])]), "column 1"),
        (gguf(&[(name, &[1.0, 2.0], &[1e-40])]), "mean square"),
        (b"GGUF".to_vec(), "ends inside"),
    ];
    for (bytes, part) in table {
        let error = Importance::parse(&bytes).unwrap_err();
        assert!(error.to_string().contains(part), "{error}, expected {part}");
        assert_eq!(error.kind(), Kind::Input);
    }
    let good = gguf(&[(name, &[1.0, 2.0], &[1.0])]);
    for (from, to, part) in [
        ("imatrix.chunk_size", "imatrix.chunk_sizf", "chunk_size"),
        (".counts", ".countz", "neither"),
        ("weight.in_sum2", "weighu.in_sum2", "sums are missing"),
    ] {
        let mut text = good.clone();
        let at = text.windows(from.len()).position(|w| w == from.as_bytes()).unwrap();
        text[at..at + to.len()].copy_from_slice(to.as_bytes());
        let error = Importance::parse(&text).unwrap_err().to_string();
        assert!(error.contains(part) || error.contains("missing"), "{error}, expected {part}");
    }
}

#[test]
fn every_cut_is_an_error() {
    let entry: [(&str, i32, &[f32]); 1] = [("blk.0.ffn_up.weight", 1, &[1.0; 8])];
    let (bare, ended) = (dat(&entry, None), dat(&entry, Some((3, "text"))));
    let new = gguf(&[(entry[0].0, entry[0].2, &[1.0])]);
    // What may be missing: the padding after the last count, and what the older form was measured on.
    let table = [(&new, new.len() - 28..new.len()), (&bare, 0..0), (&ended, bare.len()..bare.len() + 1)];
    for (whole, allowed) in table {
        for end in (0..whole.len()).filter(|end| !allowed.contains(end)) {
            assert!(Importance::parse(&whole[..end]).is_err(), "{end} of {}", whole.len());
        }
        assert!(Importance::parse(whole).is_ok());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_damage_panics(at in 0usize..1 << 16, byte: u8, old: bool) {
        let name = "blk.0.ffn_up.weight";
        let mut bytes = match old {
            true => dat(&[(name, 1, &[1.0; 8])], Some((3, "text"))),
            false => gguf(&[(name, &[1.0; 8], &[1.0, 1.0])]),
        };
        let at = at % bytes.len();
        bytes[at] = byte;
        if let Ok(read) = Importance::parse(&bytes) {
            let _ = read.weights(name, Some(1), 4);
        }
    }
}
