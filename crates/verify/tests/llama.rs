//! Our statistics against what `llama-perplexity` printed about the same files, and our files against its own.

#![allow(clippy::print_stderr, reason = "skips are loud")]

mod common;

use common::{Table, noise};
use lfmq_core::Silent;
use lfmq_verify::llama::{BaseFile, LlamaStatistics, compare, compare_files, encode, save};
use lfmq_verify::{WindowOptions, Windows};
use std::path::PathBuf;

fn golden(name: &str) -> Option<Vec<u8>> {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/golden/llama.cpp")).join(name);
    let bytes = std::fs::read(&path).ok();
    if bytes.is_none() {
        eprintln!("SKIPPED: no fixture golden/llama.cpp/{name}");
    }
    bytes
}

/// Label and numbers of each line of the final statistics; `-nan` is left out.
fn lines(text: &str) -> Vec<(String, Vec<f64>)> {
    let last = text.rfind("====== Perplexity statistics").unwrap();
    let split = |line: &str| {
        let (label, numbers) = line.rsplit_once(':')?;
        let numbers = numbers.replace(['%', '±'], " ");
        Some((label.trim().to_owned(), numbers.split_whitespace().filter_map(|n| n.parse().ok()).collect()))
    };
    text[last..].lines().filter_map(split).collect()
}

#[test]
fn figures_are_those_that_the_tool_prints() {
    let mut seen = 0;
    for model in ["lfm2-tiny", "lfm2-tiny-moe"] {
        for scheme in ["Q8_0", "Q4_0", "Q4_K_M"] {
            let Some(base) = golden(&format!("{model}-f32.kld")) else { continue };
            let Some(other) = golden(&format!("{model}-{scheme}.kld")) else { continue };
            let Some(printed) = golden(&format!("{model}-{scheme}.txt")) else { continue };
            let stats = compare_files(&BaseFile::parse(&base).unwrap(), &BaseFile::parse(&other).unwrap()).unwrap();
            check(&String::from_utf8(printed).unwrap(), &stats, &format!("{model} {scheme}"));
            seen += 1;
        }
    }
    eprintln!("{seen} of 6 goldens compared");
}

fn check(printed: &str, stats: &LlamaStatistics, name: &str) {
    let (theirs, ours) = (lines(printed), lines(&stats.to_string()));
    if theirs.last().is_none_or(|(label, _)| label != "Same top p") {
        eprintln!("SKIPPED: {name}: the printed statistics are not complete");
        return;
    }
    assert_eq!(theirs.len(), ours.len(), "{name}");
    for ((label, expected), (our_label, got)) in theirs.iter().zip(&ours) {
        assert_eq!(label, our_label, "{name}");
        // The tool knows the second model's logits exactly, the file in steps of 2.4e-4: half a step (1.2e-4) is the most
        // that one token can be off, and means over 126 tokens are off by a tenth of that.
        let tolerance = match label.as_str() {
            "Same top p" => 0.0011,
            "Mean    KLD" => 1.2e-5,
            l if l.contains("KLD") => 1.25e-4,
            l if l.contains("Δp") => 0.0125,
            "Mean PPL(Q)" | "Mean PPL(base)" | "Mean PPL(Q)-PPL(base)" => 2e-5 * stats.ppl.value.max(100.0),
            l if l.starts_with("Cor") => 0.011,
            _ => 3e-5,
        };
        for (e, g) in expected.iter().zip(got) {
            assert!((e - g).abs() <= tolerance, "{name}: {label}: {g} instead of {e}");
        }
    }
}

#[test]
fn their_files_are_read_and_written_again() {
    for name in ["lfm2-tiny-f32.kld", "lfm2-tiny-moe-Q4_0.kld", "micro-Q4_K_M.kld"] {
        let Some(bytes) = golden(name) else { continue };
        let file = BaseFile::parse(&bytes).unwrap();
        let mut record = Vec::new();
        for chunk in 0..file.chunks() {
            for i in 0..file.scored() {
                let theirs: Vec<f32> = file.record(chunk, i).unwrap().log_probs().collect();
                let sum: f64 = theirs.iter().map(|l| f64::from(*l).exp()).sum();
                assert!((sum - 1.0).abs() < 2e-3, "{name}: probabilities sum to {sum}");
                // Encoding what was decoded moves nothing by more than a step.
                encode(&theirs, &mut record);
                let scale = f32::from_le_bytes(record[..4].try_into().unwrap());
                let min = f32::from_le_bytes(record[4..8].try_into().unwrap());
                for (code, l) in record[8..].chunks_exact(2).zip(&theirs) {
                    let again = f32::from(u16::from_le_bytes(code.try_into().unwrap())) * scale + min;
                    assert!((again - l).abs() < 2e-3, "{name}: {again} instead of {l}");
                }
            }
        }
    }
}

#[test]
fn a_model_against_its_own_file_drifts_by_16_bits_only() {
    let logits = |p: usize, t: u32| (0..40).map(|v| 4.0 * noise((p * 401 + t as usize * 53 + v) as u64)).collect();
    let model = Table::new(40, logits);
    let text: Vec<u32> = (0..512).map(|i| (i * 11 + i / 7) % 40).collect();
    let windows = Windows::cut(&text, Some(1), &WindowOptions { context: 64, ..WindowOptions::default() }).unwrap();
    let mut bytes = Vec::new();
    save(&model, &windows, &mut bytes, &Silent).unwrap();
    let file = BaseFile::parse(&bytes).unwrap();
    assert_eq!((file.chunks(), file.scored()), (8, 31));
    let stats = compare(&file, &model, Some(1), &Silent).unwrap();
    assert_eq!((stats.tokens, stats.same_top.value), (248, 1.0));
    assert!(stats.kld.value.abs() < 2e-6 && stats.ln_ratio.value.abs() < 1e-4, "{stats}");
    // Twice as sure: far away, and a text says so.
    let sharper = Table::new(40, move |p, t| logits(p, t).into_iter().map(|l: f32| 2.0 * l).collect());
    let stats = compare(&file, &sharper, Some(1), &Silent).unwrap();
    assert!(stats.kld.value > 0.1 && stats.same_top.value == 1.0, "{stats}");
    assert!(compare(&file, &Table::new(41, |_, _| vec![0.0; 41]), None, &Silent).is_err());
}
