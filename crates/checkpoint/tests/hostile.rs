//! Damaged files: each must be told apart by its error, and nothing may panic.

mod common;

use common::small_config as config;
use lfmq_checkpoint::{Checkpoint, disk_name, spec_from_config};
use lfmq_testkit::safetensors::{Entry, framed, save};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// Its tensors, all ones.
fn entries() -> Vec<Entry> {
    let one = |name: String, shape: Vec<usize>| {
        let bytes = [0x80, 0x3f].repeat(shape.iter().product());
        Entry { name, dtype: "BF16", shape, bytes }
    };
    let tensors = spec_from_config(&config()).unwrap().tensors();
    let shaped = tensors.into_iter().map(|(id, (rows, cols))| match disk_name(id) {
        name if name.ends_with("norm.weight") => one(name, vec![cols]),
        name if name.ends_with("conv.conv.weight") => one(name, vec![rows, 1, cols]),
        name => one(name, vec![rows, cols]),
    });
    shaped.collect()
}

/// A folder with the model's configuration.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("config.json"), config().to_string()).unwrap();
    folder
}

/// The folder's error must be `variant` and mention `mark`.
fn refused(case: &str, folder: &Path, variant: &str, mark: &str) {
    let error = Checkpoint::open(folder).expect_err(case);
    let (kind, text) = (format!("{error:?}"), error.to_string());
    assert!(kind.starts_with(variant), "{case}: {kind}");
    assert!(text.contains(mark), "{case}: `{text}` does not mention `{mark}`");
}

/// As [`refused`] for the content of `model.safetensors`.
fn refused_file(case: &str, file: &[u8], variant: &str, mark: &str) {
    let folder = folder();
    fs::write(folder.path().join("model.safetensors"), file).unwrap();
    refused(case, folder.path(), variant, mark);
}

#[test]
fn the_undamaged_model_opens() {
    let folder = folder();
    save(&folder.path().join("model.safetensors"), &entries()).unwrap();
    Checkpoint::open(folder.path()).unwrap();
}

#[test]
fn impossible_header_lengths() {
    let long = |word: u64| [&word.to_le_bytes()[..], b"{}"].concat();
    for (case, file, mark) in [
        ("empty", vec![], "0 bytes"),
        ("shorter than the length word", vec![8, 0, 0], "3 bytes"),
        ("longer than the file", long(3), "says 3"),
        ("past the limit", long(100_000_001), "100000000 is the limit"),
        ("not an address", long(u64::MAX), "18446744073709551615"),
    ] {
        refused_file(case, &file, "HeaderLength", mark);
    }
}

#[test]
fn headers_that_are_not_what_they_should_be() {
    let with = |line: &str| framed(&format!("{{\"a\":{line}}}"));
    for (case, file) in [
        ("nothing", framed("")),
        ("not utf-8", framed("{\"a\u{1}\":1}").iter().map(|&b| if b == 1 { 0xff } else { b }).collect()),
        ("cut off", framed("{\"a\":{\"dtype\":\"F32\"")),
        ("a list", framed("[]")),
        ("garbage behind", framed("{}{}")),
        ("nested too deep", framed(&"{\"a\":".repeat(100_000))),
        ("metadata of numbers", framed("{\"__metadata__\":{\"format\":1}}")),
        ("no type", with("{\"shape\":[1],\"data_offsets\":[0,4]}")),
        ("no shape", with("{\"dtype\":\"F32\",\"data_offsets\":[0,4]}")),
        ("no offsets", with("{\"dtype\":\"F32\",\"shape\":[1]}")),
        ("negative dimension", with("{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]}")),
        ("broken dimension", with("{\"dtype\":\"F32\",\"shape\":[1.5],\"data_offsets\":[0,4]}")),
        ("dimension past 64 bits", with("{\"dtype\":\"F32\",\"shape\":[18446744073709551616],\"data_offsets\":[0,4]}")),
        ("three offsets", with("{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4,8]}")),
        ("one offset", with("{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0]}")),
    ] {
        refused_file(case, &file, "HeaderText", "header");
    }
}

#[test]
fn tensors_that_do_not_fill_the_file() {
    let lines = |lines: &[(&str, &str, &str, u64, u64)], data: usize| {
        let line = |(name, dtype, shape, begin, end): &(&str, &str, &str, u64, u64)| {
            format!("\"{name}\":{{\"dtype\":\"{dtype}\",\"shape\":{shape},\"data_offsets\":[{begin},{end}]}}")
        };
        let text = lines.iter().map(line).collect::<Vec<_>>().join(",");
        [framed(&format!("{{{text}}}")), vec![0; data]].concat()
    };
    let max = u64::MAX;
    for (case, file, variant, mark) in [
        ("twice", lines(&[("a", "F32", "[1]", 0, 4), ("a", "F32", "[1]", 4, 8)], 8), "DuplicateTensor", "`a`"),
        ("fp8", lines(&[("a", "F8_E4M3", "[4]", 0, 4)], 4), "UnsupportedDtype", "F8_E4M3"),
        ("int8", lines(&[("a", "I8", "[4]", 0, 4)], 4), "UnsupportedDtype", "I8"),
        ("double", lines(&[("a", "F64", "[1]", 0, 8)], 8), "UnsupportedDtype", "F64"),
        ("lower case", lines(&[("a", "f32", "[1]", 0, 4)], 4), "UnsupportedDtype", "f32"),
        ("more shape than bytes", lines(&[("a", "F32", "[2]", 0, 4)], 4), "TensorSize", "4 bytes"),
        ("more bytes than shape", lines(&[("a", "F32", "[1]", 0, 8)], 8), "TensorSize", "8 bytes"),
        ("backwards", lines(&[("a", "F32", "[1]", 4, 0)], 4), "TensorSize", "4..0"),
        ("product past 64 bits", lines(&[("a", "F32", "[4294967296,4294967296]", 0, 0)], 0), "TensorSize", "`a`"),
        ("bytes past 64 bits", lines(&[("a", "F32", "[4611686018427387904]", 0, 0)], 0), "TensorSize", "`a`"),
        (
            "gap",
            lines(&[("a", "F32", "[1]", 0, 4), ("b", "F32", "[1]", 8, 12)], 12),
            "NotContiguous",
            "`b` starts at 8",
        ),
        ("overlap", lines(&[("a", "F32", "[2]", 0, 8), ("b", "F32", "[2]", 4, 12)], 12), "NotContiguous", "ends at 8"),
        ("same place", lines(&[("a", "F32", "[1]", 0, 4), ("b", "F32", "[1]", 0, 4)], 4), "NotContiguous", "`b`"),
        ("late start", lines(&[("a", "F32", "[1]", 4, 8)], 8), "NotContiguous", "ends at 0"),
        ("far away", lines(&[("a", "F32", "[0]", max, max)], 0), "NotContiguous", "`a`"),
        ("endless", lines(&[("a", "BF16", "[9223372036854775807]", 0, max - 1)], 8), "FileSize", "calls for"),
        ("data cut", lines(&[("a", "F32", "[2]", 0, 8)], 7), "FileSize", "calls for"),
        ("bytes behind", lines(&[("a", "F32", "[2]", 0, 8)], 9), "FileSize", "calls for"),
        ("data without tensors", lines(&[], 9), "FileSize", "calls for"),
    ] {
        refused_file(case, &file, variant, mark);
    }
}

#[test]
fn tensors_other_than_those_of_the_configuration() {
    type Damage = fn(&mut Vec<Entry>);
    let cases: [(&str, Damage, &str, &str); 9] = [
        ("none", |t| t.clear(), "TensorSet", "model.embed_tokens.weight, model.embedding_norm.weight"),
        ("one missing", |t| drop(t.pop()), "TensorSet", "missing model.layers.1.feed_forward.w2.weight;"),
        (
            "one too many",
            |t| t.push(Entry { name: "vision.weight".into(), ..t[1].clone() }),
            "TensorSet",
            "unexpected vision",
        ),
        ("another name", |t| t[0].name = "model.tok.weight".into(), "TensorSet", "unexpected model.tok.weight"),
        (
            "a tied head that differs",
            |t| t.push(Entry { name: "lm_head.weight".into(), ..t[1].clone() }),
            "HeadDiffers",
            "ties",
        ),
        ("transposed", |t| t[0].shape.reverse(), "TensorShape", "config.json says [16, 8], the file has [8, 16]"),
        ("taps in the middle", |t| taps(t).shape = vec![8, 3, 1], "TensorShape", "[8, 1, 3]"),
        ("taps squeezed", |t| taps(t).shape = vec![8, 3], "TensorShape", "[8, 1, 3]"),
        ("norm as a matrix", |t| t[1].shape = vec![1, 8], "TensorShape", "embedding_norm"),
    ];
    for (case, damage, variant, mark) in cases {
        let mut tensors = entries();
        damage(&mut tensors);
        let folder = folder();
        save(&folder.path().join("model.safetensors"), &tensors).unwrap();
        refused(case, folder.path(), variant, mark);
    }
}

/// The convolution's kernel.
fn taps(tensors: &mut [Entry]) -> &mut Entry {
    tensors.iter_mut().find(|t| t.name.ends_with("conv.conv.weight")).unwrap()
}

/// Writes the model in two files and returns the honest index.
fn shards(folder: &Path) -> Value {
    let tensors = entries();
    let mut map = serde_json::Map::new();
    for (name, part) in [("a.safetensors", &tensors[..5]), ("b.safetensors", &tensors[5..])] {
        save(&folder.join(name), part).unwrap();
        map.extend(part.iter().map(|t| (t.name.clone(), json!(name))));
    }
    json!({"metadata": {"total_size": 0}, "weight_map": map})
}

#[test]
fn indices_that_lie() {
    const EMBEDDING: &str = "model.embed_tokens.weight";
    type Damage = fn(&mut Value);
    let cases: [(&str, Damage, &str, &str); 10] = [
        ("no map", |i| *i = json!({"metadata": {}}), "Index", "weight_map"),
        ("a list", |i| *i = json!([]), "Index", "invalid"),
        ("empty", |i| i["weight_map"] = json!({}), "Index", "empty"),
        ("a number", |i| i["weight_map"][EMBEDDING] = json!(1), "Index", "invalid type"),
        ("outside", |i| i["weight_map"][EMBEDDING] = json!("../a.safetensors"), "Index", "../a.safetensors"),
        ("absolute", |i| i["weight_map"][EMBEDDING] = json!("/etc/a.safetensors"), "Index", "/etc/a.safetensors"),
        ("not safetensors", |i| i["weight_map"][EMBEDDING] = json!("a.bin"), "Index", "a.bin"),
        ("no such file", |i| i["weight_map"][EMBEDDING] = json!("c.safetensors"), "MissingShard", "c.safetensors"),
        (
            "the other file",
            |i| i["weight_map"][EMBEDDING] = json!("b.safetensors"),
            "Misplaced",
            "lies in a.safetensors",
        ),
        ("in no file", |i| i["weight_map"]["x"] = json!("a.safetensors"), "Misplaced", "`x`"),
    ];
    for (case, damage, variant, mark) in cases {
        let folder = folder();
        let mut index = shards(folder.path());
        let path = folder.path().join("model.safetensors.index.json");
        fs::write(&path, index.to_string()).unwrap();
        Checkpoint::open(folder.path()).unwrap();
        damage(&mut index);
        fs::write(&path, index.to_string()).unwrap();
        refused(case, folder.path(), variant, mark);
    }
}

#[test]
fn shards_that_disagree() {
    let folder = folder();
    let index = shards(folder.path());
    let path = folder.path().join("model.safetensors.index.json");
    let name = "model.embed_tokens.weight";
    fs::write(&path, "{\"weight_map\":").unwrap();
    refused("cut off", folder.path(), "Index", "EOF");
    fs::write(
        &path,
        index
            .to_string()
            .replacen('{', "{\"a\":1,", 1)
            .replace("\"model.embedding_norm.weight\"", "\"model.embed_tokens.weight\""),
    )
    .unwrap();
    refused("twice in the index", folder.path(), "Index", "twice");
    fs::write(&path, index.to_string()).unwrap();
    let tensors = entries();
    save(&folder.path().join("b.safetensors"), tensors[5..].iter().chain(&tensors[..1])).unwrap();
    refused("in both files", folder.path(), "Misplaced", "a.safetensors and b.safetensors");
    save(&folder.path().join("b.safetensors"), &tensors[5..]).unwrap();
    let mut short = index.clone();
    short["weight_map"].as_object_mut().unwrap().remove(name);
    fs::write(&path, short.to_string()).unwrap();
    refused("not in the index", folder.path(), "Misplaced", "the index says no file");
}

#[test]
fn folders_that_are_no_checkpoint() {
    let empty = tempfile::tempdir().unwrap();
    refused("no folder", &empty.path().join("none"), "Io", "none");
    refused("no configuration", empty.path(), "Io", "config.json");
    refused("no weights", folder().path(), "NoWeights", "no model.safetensors");
    let broken = folder();
    fs::write(broken.path().join("config.json"), "{\"architectures\": [").unwrap();
    refused("broken configuration", broken.path(), "Json", "config.json");
    fs::File::create(broken.path().join("tokenizer.json")).unwrap().set_len((64 << 20) + 1).unwrap();
    refused("huge tokenizer", broken.path(), "TooLarge", "tokenizer.json");
    let strange = folder();
    fs::create_dir(strange.path().join("model.safetensors")).unwrap();
    refused("weights are a folder", strange.path(), "Io", "model.safetensors");
}
