//! Shards give exactly the figures of one run, and what does not belong together is refused.

mod common;

use common::{WINDOWS, detail, dress, raw, read, whole, windows};
use lfmq_report::{Report, ReportError, merge, merge_all};
use proptest::prelude::*;
use serde_json::{Value, json};

/// The shards of a run: shard `i` has the windows for which `of` says `i`; only the first measured the rest.
fn shards(of: &[usize], count: usize, size: f64) -> (Value, Vec<Value>) {
    let all = windows(size, 7);
    let mut one = whole("a.gguf", &all);
    dress(&mut one, &[1.0, 1.1, 1.2]);
    let parts = (0..count).map(|shard| {
        let chosen: Vec<usize> = (0..WINDOWS).filter(|w| of[*w] == shard).collect();
        let mut value = raw("a.gguf", &all, &chosen);
        if shard == 0 {
            dress(&mut value, &[1.0, 1.1, 1.2]);
        }
        value["shard"] = json!({ "index": shard + 1, "of": count });
        value["detail"] = detail(&all, &chosen);
        value
    });
    (one, parts.collect())
}

fn read_all(values: &[Value]) -> Vec<Report> {
    values.iter().enumerate().map(|(i, v)| read(&format!("shard{i}.json"), v)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]
    /// Any split of the windows over any number of machines, in any order of the files.
    #[test]
    fn merged_is_one_run(of in prop::collection::vec(0_usize..4, WINDOWS), turn in 0_usize..4, size in 0.001_f64..0.4) {
        let (one, mut parts) = shards(&of, 4, size);
        parts.rotate_left(turn);
        let merged = merge(&read_all(&parts)).unwrap();
        prop_assert_eq!(merged, one);
    }
}

#[test]
fn files_of_several_artifacts_are_sorted_out() {
    let (one, parts) = shards(&[0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1], 2, 0.1);
    let mut other = one.clone();
    other["artifact"]["files"][0]["sha256"] = json!("00");
    let mut other_parts = parts.clone();
    other_parts.iter_mut().for_each(|p| p["artifact"]["files"][0]["sha256"] = json!("00"));
    let mixed = [&parts[1], &other_parts[0], &one, &parts[0], &other_parts[1], &one].map(Clone::clone);
    let merged = merge_all(read_all(&mixed)).unwrap();
    assert_eq!(merged.iter().map(|r| r.raw.clone()).collect::<Vec<_>>(), [one.clone(), other, one.clone(), one]);
    assert!(merge_all(read_all(&parts[..1])).is_err(), "a part alone is no run");
}

#[test]
fn what_does_not_belong_together_is_named() {
    let (_, good) = shards(&[0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1], 2, 0.1);
    type Change = fn(&mut Value);
    let cases: [(Change, &str); 9] = [
        (|v| v["artifact"]["files"][0]["sha256"] = json!("00"), "artifact digest"),
        (|v| v["checkpoint"] = json!("other"), "checkpoint"),
        (|v| v["text"]["sha256"] = json!("00"), "text"),
        (|v| v["candidate"]["activation"] = json!("runtime"), "activation"),
        (|v| v["detail"] = Value::Null, "detail"),
        (|v| v["llama_compatible"] = json!({}), "llama.cpp"),
        (|v| v["detail"][0]["window"] = json!(0), "window 0 of 12 is in 2 shards"),
        (|v| v["detail"][0]["window"] = json!(99), "outside"),
        (
            |v| {
                v["detail"][0]["kld"].as_array_mut().unwrap().pop();
            },
            "lengths",
        ),
    ];
    for (change, part) in cases {
        let mut bad = good.clone();
        change(&mut bad[1]);
        let error = merge(&read_all(&bad)).unwrap_err().to_string();
        assert!(error.contains(part), "{part}: {error}");
    }
    let missing = merge(&read_all(&good[..1])).unwrap_err();
    assert!(matches!(missing, ReportError::Coverage { window: 6, windows: 12, times: 0 }), "{missing}");
    assert!(merge(&[]).is_err());
}
