//! Damage of stored weights is found and named; another way of quantizing is not taken for damage.

mod common;

use common::{Memory, tensors};
use lfmq_core::{QuantizedRows, Silent, TensorId};
use lfmq_verify::weights::{Difference, Mismatch, Replay, ReplayVerdict, WeightReport, compare};

const COLS: usize = 64;

fn quantized(source: &Memory, index: usize, importance: Option<&[f32]>) -> Vec<f32> {
    let scheme = lfmq_quant::scheme(&source.stored[index].scheme).unwrap();
    let mut rows = QuantizedRows::default();
    scheme.quantize(&source.values[index], source.stored[index].cols, importance, &mut rows).unwrap();
    let mut values = vec![0.0; source.values[index].len()];
    lfmq_quant::dequantize(&scheme.grid(), &rows, &mut values).unwrap();
    values
}

/// A checkpoint and the artifact that quantizing it gives.
fn pair(scheme: &str) -> (Memory, Memory) {
    let source = Memory::new(&tensors(), scheme);
    let mut artifact = source.clone();
    for i in 0..artifact.values.len() {
        artifact.values[i] = quantized(&source, i, None);
    }
    (source, artifact)
}

fn report(artifact: &Memory, source: &Memory) -> WeightReport {
    compare(artifact, source, None, &Silent).unwrap()
}

fn difference<'a>(report: &'a WeightReport, name: &str) -> &'a Difference {
    match &report.tensors.iter().find(|t| t.name == name).unwrap().replay {
        Replay::Differs(d) => d,
        other => panic!("{name}: {other:?}"),
    }
}

#[test]
fn what_was_quantized_replays() {
    for scheme in ["q4_0", "q8_0", "q5_1", "iq4_nl", "f16", "bf16"] {
        let (source, artifact) = pair(scheme);
        let report = report(&artifact, &source);
        assert_eq!((&report.replay, report.exact, report.differs), (&ReplayVerdict::Exact, 6, 0), "{scheme}");
        assert!(report.mismatches.is_empty() && report.findings().is_empty());
        let db = |role: &str| report.roles.iter().find(|r| r.role == role).unwrap().sqnr_db;
        assert_eq!(db("mixer_norm"), None, "a norm kept in f32 has no noise");
        let bits = match scheme {
            "q4_0" | "iq4_nl" => 15.0..26.0,
            "q5_1" => 22.0..34.0,
            "q8_0" => 40.0..50.0,
            _ => 45.0..80.0,
        };
        assert!(bits.contains(&db("ffn_up").unwrap()), "{scheme}: {:?}", db("ffn_up"));
    }
}

#[test]
fn signal_to_noise_by_hand() {
    // x = 1 everywhere, y = 1.1: 10 log10(1 / 0.01) = 20 dB, cosine 1.
    let mut source = Memory::new(&tensors()[2..3], "unknown");
    source.values[0].fill(1.0);
    let mut artifact = source.clone();
    artifact.values[0].fill(1.1);
    let report = report(&artifact, &source);
    let t = &report.tensors[0];
    assert!((t.sqnr_db.unwrap() - 20.0).abs() < 1e-4 && (t.cosine - 1.0).abs() < 1e-12);
    assert!((t.max_abs_error - 0.1).abs() < 1e-6);
    assert!(matches!(&t.replay, Replay::NotReplayed { why } if why.contains("unknown")));
    assert_eq!(report.not_replayed, 1);
}

#[test]
fn one_flipped_nibble_is_found() {
    let (source, mut artifact) = pair("q4_0");
    let at = 37 * COLS + 11;
    let was = artifact.values[3][at];
    artifact.values[3][at] = was + 0.25;
    let report = report(&artifact, &source);
    assert_eq!(report.replay, ReplayVerdict::Differs { tensors: vec!["t3".into()] });
    let d = difference(&report, "t3");
    assert_eq!((d.values, d.rows, d.first, d.expected, d.found), (1, 1, (37, 11), was, was + 0.25));
    assert_eq!(d.diagnosis.as_deref(), Some("a single value changed"));
    assert!(report.findings()[0].contains("row 37, column 11"), "{:?}", report.findings());
}

#[test]
fn swapped_experts_are_named() {
    let (source, mut artifact) = pair("q4_0");
    artifact.values.swap(4, 5);
    let report = report(&artifact, &source);
    assert_eq!(report.replay, ReplayVerdict::Differs { tensors: vec!["t4".into(), "t5".into()] });
    assert_eq!(difference(&report, "t4").diagnosis.as_deref(), Some("holds the values of layer 0 expert_up[1]"));
    assert_eq!(difference(&report, "t5").diagnosis.as_deref(), Some("holds the values of layer 0 expert_up[0]"));
}

#[test]
fn a_negated_scale_is_named() {
    let (source, mut artifact) = pair("q8_0");
    // One group of 32: the second of row 5.
    artifact.values[2][5 * COLS + 32..6 * COLS].iter_mut().for_each(|v| *v = -*v);
    let report = report(&artifact, &source);
    let d = difference(&report, "t2");
    assert!(d.negated && d.first.0 == 5 && d.rows == 1);
    assert_eq!(d.diagnosis.as_deref(), Some("sign flipped in row 5, columns 32 to 63"));
    let worst = report.tensors[2].worst_row.unwrap();
    assert!(worst.row == 5 && worst.sqnr_db < 10.0);
}

#[test]
fn a_transposed_weight_is_named() {
    let (source, mut artifact) = pair("q4_0");
    let straight = artifact.values[2].clone();
    for r in 0..COLS {
        for c in 0..COLS {
            artifact.values[2][r * COLS + c] = straight[c * COLS + r];
        }
    }
    assert_eq!(difference(&report(&artifact, &source), "t2").diagnosis.as_deref(), Some("transposed"));
}

#[test]
fn a_float_that_is_not_the_source_rounded_fails_even_if_all_else_differs() {
    let (source, mut artifact) = pair("q4_0");
    artifact.values[1][3] = f32::from_bits(artifact.values[1][3].to_bits() ^ 1);
    for i in [0, 2, 3, 4, 5] {
        artifact.values[i][0] += 1.0;
    }
    match report(&artifact, &source).replay {
        ReplayVerdict::Differs { tensors } => assert_eq!(tensors, ["t1"]),
        other => panic!("{other:?}"),
    }
}

#[test]
fn made_with_importance_is_not_damage_and_replays_when_it_is_given() {
    let source = Memory::new(&tensors(), "q4_0");
    let weights = |_: &TensorId, cols: usize| Some((0..cols).map(|c| if c % 7 == 0 { 50.0 } else { 0.1 }).collect());
    let mut artifact = source.clone();
    for (i, tensor) in source.stored.iter().enumerate() {
        let importance: Option<Vec<f32>> = weights(&tensor.id.unwrap(), tensor.cols);
        artifact.values[i] = quantized(&source, i, importance.as_deref());
    }
    let without = report(&artifact, &source);
    assert!(matches!(without.replay, ReplayVerdict::NotReplayable { .. }), "{:?}", without.replay);
    assert!(without.findings().is_empty());
    let with = compare(&artifact, &source, Some(&weights), &Silent).unwrap();
    assert_eq!((with.replay, with.exact), (ReplayVerdict::Exact, 6));
}

#[test]
fn tensors_that_do_not_correspond_are_named() {
    let (source, mut artifact) = pair("q8_0");
    artifact.stored[0].rows = 4;
    artifact.stored[1].id = artifact.stored[1].id.map(|id| TensorId::layer(7, id.role));
    let report = report(&artifact, &source);
    let expected = [
        Mismatch::Missing { tensor: "t1".into() },
        Mismatch::Shape { tensor: "t0".into(), expected: (8, 64), found: (4, 64) },
        Mismatch::Unknown { tensor: "t1".into() },
    ];
    assert_eq!(report.mismatches, expected);
    assert_eq!(report.findings().len(), 3);
}

#[test]
fn names_alone_tell_what_a_tensor_is_and_the_grid_which_schemes_to_try() {
    let (source, mut artifact) = pair("q4_0");
    artifact.stored.iter_mut().for_each(|t| t.id = None);
    artifact.stored.iter_mut().filter(|t| t.scheme == "q4_0").for_each(|t| t.scheme = "int4-g32".into());
    let same = report(&artifact, &source);
    assert_eq!((&same.replay, same.exact), (&ReplayVerdict::Exact, 6));
    assert_eq!((same.tensors[2].scheme.as_str(), same.tensors[2].role), ("q4_0", "conv_out"));
    artifact.values[3][5] += 0.25;
    assert_eq!(report(&artifact, &source).replay, ReplayVerdict::Differs { tensors: vec!["t3".into()] });
    // What nobody computes with is missing; what the checkpoint has no name for is told.
    artifact.stored[1].name = "x".into();
    let odd = report(&artifact, &source).mismatches;
    assert_eq!(odd, [Mismatch::Missing { tensor: "t1".into() }, Mismatch::Unknown { tensor: "x".into() }]);
    // Names of another program say nothing about damage.
    artifact.stored.iter_mut().for_each(|t| t.name = format!("node_{}", t.name));
    let strange = report(&artifact, &source);
    assert!(matches!(strange.replay, ReplayVerdict::NotReplayable { .. }) && strange.findings().is_empty());
}

#[test]
fn another_checkpoint_is_named_as_such() {
    let (source, mut artifact) = pair("q8_0");
    artifact.values.iter_mut().flatten().for_each(|v| *v = 1.0 - *v);
    let report = report(&artifact, &source);
    assert!(matches!(&report.replay, ReplayVerdict::Differs { tensors } if *tensors == ["t1"]), "{:?}", report.replay);
    artifact.stored.iter_mut().for_each(|t| t.scheme = "f32".into());
    let report = compare(&artifact, &source, None, &Silent).unwrap();
    assert!(report.findings()[0].contains("another one"), "{:?}", report.findings());
}

#[test]
fn threads_change_nothing() {
    let (source, artifact) = pair("q4_0");
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| serde_json::to_string(&report(&artifact, &source)).unwrap())
    };
    assert_eq!(run(1), run(4));
}
