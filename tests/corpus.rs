//! The seeds of the fuzz targets as plain tests: what is named `good-…` is accepted, everything else refused.

use std::path::Path;

fn seeds(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
    let mut seeds: Vec<_> = std::fs::read_dir(&folder)
        .expect("the seeds")
        .map(|entry| entry.expect("a seed").path())
        .map(|p| (p.file_name().expect("a name").to_string_lossy().into_owned(), std::fs::read(&p).expect("a seed")))
        .collect();
    seeds.sort();
    assert!(seeds.iter().any(|s| s.0.starts_with("good-")) && seeds.len() > 3, "{target}: {} seeds", seeds.len());
    seeds
}

#[track_caller]
fn judged(target: &str, accepts: impl Fn(&[u8]) -> bool) {
    for (name, bytes) in seeds(target) {
        assert_eq!(accepts(&bytes), name.starts_with("good-"), "{target}/{name}");
    }
}

#[test]
fn gguf() {
    judged("gguf", |bytes| lfmq_gguf_wire::Container::parse(bytes).is_ok());
}

#[test]
fn imatrix() {
    judged("imatrix", |bytes| lfmq_quant::Importance::parse(bytes).is_ok());
}

#[test]
fn safetensors() {
    judged("safetensors", |bytes| lfmq_checkpoint::Header::parse(Path::new("seed"), bytes).is_ok());
}

#[test]
fn config() {
    judged("config", |bytes| {
        serde_json::from_slice(bytes).is_ok_and(|value| lfmq_checkpoint::spec_from_config(&value).is_ok())
    });
}
