//! Whole files against those of llama.cpp's converter and quantizer, by SHA-256.
//!
//! Set `LFMQ_GOLDEN` to a folder with the files themselves to be told the first key or tensor that differs.

mod cases;
mod diff;
mod export;

use cases::Case;
use export::Bench;
use lfmq_testkit::kit::Kind;
use lfmq_testkit::{expected_paths, expected_sha, sha256_hex};
use std::collections::BTreeSet;

/// Runs cases and tells all mismatches at once.
fn compare(cases: &[Case]) {
    let bench = Bench::default();
    let mut wrong = Vec::new();
    let mut seen = 0;
    for case in cases {
        let files = match bench.export(case) {
            Ok(files) => files,
            Err(error) => {
                wrong.push(format!("{}: {error}", case.path));
                continue;
            }
        };
        for (path, bytes) in files {
            seen += 1;
            let found = sha256_hex(&bytes);
            match expected_sha(&path) {
                Some(expected) if expected == found => {}
                Some(_) => wrong.push(format!("{path}: {}", diff::explain(&path, &bytes))),
                None => wrong.push(format!("{path}: no such golden")),
            }
        }
    }
    assert!(seen > 0);
    assert!(wrong.is_empty(), "{} of {seen} files differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn converter_files() {
    compare(&cases::converter());
}

#[test]
fn split_files() {
    compare(&cases::split());
}

#[test]
fn quantizer_files_of_dense_models() {
    compare(&[cases::quantizer(Kind::Dense), cases::quantizer(Kind::Untied), cases::quantizer(Kind::Nasty)].concat());
}

#[test]
fn quantizer_files_of_mixtures() {
    compare(&[cases::quantizer(Kind::Moe), cases::quantizer(Kind::NastyMoe)].concat());
}

#[test]
fn files_with_options() {
    compare(&cases::options());
}

/// What the outsider refuses is refused here too.
#[test]
fn two_bits_need_importance_weights() {
    let bench = Bench::default();
    for kind in [Kind::Dense, Kind::Moe] {
        let mut case = cases::quantizer(kind).remove(0);
        case.recipe = "Q2_K_S";
        assert!(bench.export(&case).is_err());
        case.weighted = cases::Weighted::All;
        // Two weights of the file have no entry.
        assert!(bench.export(&case).is_err());
    }
}

#[test]
fn no_golden_is_forgotten() {
    let ours = ["conv/", "split/", "quant/", "opt/"];
    let wanted = expected_paths().filter(|path| ours.iter().any(|group| path.starts_with(group)));
    let made: BTreeSet<String> = cases::all().iter().flat_map(Case::paths).collect();
    let left_out = |path: &str| cases::NOT_OURS.iter().any(|(p, _)| *p == path);
    let forgotten: Vec<&str> = wanted.filter(|path| !made.contains(*path) && !left_out(path)).collect();
    assert!(forgotten.is_empty(), "{forgotten:?}");
}
