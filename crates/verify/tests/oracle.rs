//! An executor against a runtime, both with logits that are known.

mod common;

use common::{Table, noise};
use lfmq_core::Silent;
use lfmq_verify::oracle::{OracleReport, compare};
use lfmq_verify::{ArtifactFacts, DriftReport, GateFile, Verdict, WindowOptions, Windows};

const VOCAB: usize = 16;

fn windows() -> Windows {
    let text: Vec<u32> = (0..400).map(|i| (i * 7 + i / 5) % VOCAB as u32).collect();
    Windows::cut(&text, Some(1), &WindowOptions { context: 32, ..WindowOptions::default() }).unwrap()
}

fn runtime(position: usize, token: u32) -> Vec<f32> {
    (0..VOCAB).map(|v| 3.0 * noise((position * 977 + token as usize * 31 + v) as u64)).collect()
}

fn against(candidate: Table) -> OracleReport {
    compare(&Table::new(VOCAB, runtime), &candidate, &windows(), &Silent).unwrap()
}

/// The verdict of the gate, and whether the report as a whole holds.
fn judged(oracle: OracleReport) -> (Verdict, bool) {
    let facts = lfmq_core::Facts { vocab: VOCAB, ..lfmq_core::Facts::default() };
    let mut report = DriftReport::new("t", ArtifactFacts::new("a", vec![], &facts), &facts, "c", &facts);
    report.oracle = Some(oracle);
    let gates = report.judge(&GateFile::parse("none", "").unwrap(), &[]).clone();
    (gates.gates.iter().find(|g| g.name == "oracle").unwrap().verdict, gates.holds)
}

#[test]
fn the_same_arithmetic_is_the_same() {
    let same = against(Table::new(VOCAB, runtime));
    assert_eq!((same.kld.tokens, same.kld.max, same.agreement.same_top.value), (180, 0.0, 1.0));
    assert_eq!((same.logits.median, same.logits.max), (0.0, 0.0));
    assert_eq!((same.prompts.prompts, same.prompts.median, same.prompts.max), (12, 0.0, 0.0));
    assert_eq!((same.greedy.exact, same.runtime.as_str()), (1.0, "table"));
    assert_eq!(judged(same), (Verdict::Pass, true));
}

/// One value in a text rounded the other way: the medians do not move, and nothing fails.
#[test]
fn a_lone_flip_is_no_mistake() {
    let flipped = |position: usize, token: u32| {
        let mut logits = runtime(position, token);
        if position == 20 && token.is_multiple_of(5) {
            logits[3] += 0.05;
        }
        logits
    };
    let flip = against(Table::new(VOCAB, flipped));
    assert!(flip.logits.max > 0.01 && flip.prompts.max >= 0.0, "{:?}", flip.logits);
    assert_eq!((flip.logits.median, flip.prompts.median), (0.0, 0.0));
    assert_eq!(judged(flip), (Verdict::Pass, true));
}

#[test]
fn other_arithmetic_fails() {
    let other = |position: usize, token: u32| runtime(position, token).iter().map(|l| l * 0.7).collect();
    let other = against(Table::new(VOCAB, other));
    assert!(other.prompts.median > 0.1 && other.logits.median > 0.1 && other.kld.mean.value > 0.01);
    assert_eq!(judged(other), (Verdict::Fail, false));
}

#[test]
fn another_vocabulary_is_refused() {
    let narrow = Table::new(VOCAB - 1, |_, _| vec![0.0; VOCAB - 1]);
    assert!(compare(&Table::new(VOCAB, runtime), &narrow, &windows(), &Silent).is_err());
}
