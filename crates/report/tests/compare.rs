//! Verdicts on regressions: paired intervals, identical runs, figures that cannot be compared.

mod common;

use common::{dress, read, whole, windows};
use lfmq_report::{Allowed, Comparison, Finding, Report, Verdict, compare, comparison_markdown};
use serde_json::{Value, json};

fn of<'c>(c: &'c Comparison, metric: &str) -> &'c Finding {
    c.findings.iter().find(|f| f.metric == metric).unwrap_or_else(|| panic!("no {metric} in {c:?}"))
}

fn run(size: f64, seed: u64, times: &[f64]) -> Value {
    let mut value = whole("a.gguf", &windows(size, seed));
    dress(&mut value, times);
    value
}

fn against(baseline: &Value, current: &Value) -> Comparison {
    let (b, c): (Report, Report) = (read("b", baseline), read("c", current));
    compare(&b, &c, &Allowed::default())
}

const TIMES: [f64; 5] = [1.0, 1.02, 0.98, 1.01, 0.99];

#[test]
fn a_run_against_itself_passes_everywhere_with_no_change() {
    let one = run(0.1, 3, &TIMES);
    let c = against(&one, &one);
    assert_eq!((c.verdict, c.same_artifact), (Verdict::Pass, true));
    for f in &c.findings {
        assert_eq!((f.change, f.low, f.high, f.verdict), (Some(0.0), Some(0.0), Some(0.0), Verdict::Pass), "{f:?}");
    }
    // Also without means of windows.
    let mut bare = one.clone();
    bare["drift"].as_object_mut().unwrap().remove("per_window");
    assert_eq!(against(&bare, &bare).verdict, Verdict::Pass);
}

#[test]
fn pairing_proves_what_two_intervals_cannot() {
    // The text makes some windows twice as hard as others for both runs.
    let (b, mut c) = (run(0.1, 3, &TIMES), run(0.1, 3, &TIMES));
    for window in c["drift"]["per_window"].as_array_mut().unwrap() {
        window["kld"] = json!(window["kld"].as_f64().unwrap() * 1.2);
    }
    c["drift"]["kld"]["mean"]["value"] = json!(c["drift"]["kld"]["mean"]["value"].as_f64().unwrap() * 1.2);
    let paired = against(&b, &c);
    let found = of(&paired, "KLD mean");
    assert!(found.paired && found.verdict == Verdict::Fail, "{found:?}");
    assert!((found.change.unwrap() - 0.2).abs() < 1e-12 && (found.low.unwrap() - 0.2).abs() < 1e-9, "{found:?}");

    c["drift"].as_object_mut().unwrap().remove("per_window");
    let apart = against(&b, &c);
    let found = of(&apart, "KLD mean");
    assert!(!found.paired && found.verdict == Verdict::Inconclusive, "{found:?}");
    assert!(found.note.as_ref().unwrap().contains("not paired"));
}

#[test]
fn the_interval_decides() {
    let b = run(0.1, 3, &TIMES);
    for (size, seed, kld, overall) in [
        (0.02, 3, Verdict::Pass, None),
        (0.3, 3, Verdict::Fail, Some(Verdict::Fail)),
        (0.108, 4, Verdict::Inconclusive, None),
    ] {
        let c = against(&b, &run(size, seed, &TIMES));
        assert_eq!(of(&c, "KLD mean").verdict, kld, "{size}: {:?}", of(&c, "KLD mean"));
        if let Some(overall) = overall {
            assert_eq!(c.verdict, overall);
        }
    }
}

#[test]
fn intervals_do_not_depend_on_the_run() {
    let (b, c) = (run(0.1, 3, &TIMES), run(0.12, 9, &[1.0, 1.3, 0.9, 1.1, 1.2]));
    assert_eq!(against(&b, &c), against(&b, &c));
}

#[test]
fn times_are_compared_on_one_rung_and_length_only() {
    let b = run(0.1, 3, &TIMES);
    let slow = run(0.1, 3, &TIMES.map(|t| 2.0 * t));
    let found = of(&against(&b, &slow), "decode, per token").clone();
    assert!(found.verdict == Verdict::Fail && (found.change.unwrap() - 1.0).abs() < 1e-12, "{found:?}");
    assert!(found.low.unwrap() > 0.9 && found.high.unwrap() < 1.1, "{found:?}");
    let noisy = run(0.1, 3, &[0.7, 1.5, 1.0, 1.3, 0.8]);
    assert_eq!(of(&against(&b, &noisy), "decode, per token").verdict, Verdict::Inconclusive);

    let mut elsewhere = slow.clone();
    elsewhere["latency"]["rung"] = json!("avx2");
    assert_eq!(of(&against(&b, &elsewhere), "decode, per token").verdict, Verdict::NotMeasured);
    let mut longer = slow;
    longer["latency"]["decode"]["depth"] = json!(4096);
    longer["latency"]["prefill"][0]["tokens"] = json!(4096);
    assert_eq!(of(&against(&b, &longer), "decode, per token").verdict, Verdict::NotMeasured);
}

#[test]
fn other_texts_sizes_and_tasks() {
    let b = run(0.1, 3, &TIMES);
    let mut c = b.clone();
    c["text"]["sha256"] = json!("00");
    let found = of(&against(&b, &c), "KLD mean").clone();
    assert!(!found.paired && found.verdict != Verdict::Fail && found.note.unwrap().contains("different texts"));

    let mut large = b.clone();
    large["artifact"]["bytes"] = json!(700);
    assert_eq!(of(&against(&b, &large), "artifact size").verdict, Verdict::Fail);
    assert_eq!(of(&against(&large, &b), "artifact size").verdict, Verdict::Pass);

    let mut worse = b.clone();
    worse["tasks"][0]["drop"] = json!(0.6);
    worse["tasks"][0]["drop_interval"] = json!([0.5, 0.7]);
    worse["tasks"][0]["candidate"]["field_f1"] = json!(0.4);
    let found = of(&against(&b, &worse), "task extract").clone();
    assert!(found.verdict == Verdict::Fail && (found.change.unwrap() - 0.5).abs() < 1e-12, "{found:?}");
    assert_eq!(of(&against(&worse, &b), "task extract").verdict, Verdict::Pass);
}

#[test]
fn a_table_a_comparison() {
    let (b, c) = (run(0.1, 3, &TIMES), run(0.3, 3, &TIMES));
    let text = comparison_markdown(&against(&b, &c));
    let rows: Vec<&str> = text.lines().filter(|l| l.starts_with('|')).collect();
    assert!(rows.len() > 6 && rows.iter().all(|r| r.matches('|').count() == 7), "{text}");
    assert!(text.contains("FAIL") && text.contains(" %"), "{text}");
}
