//! What travels with an artifact: card, manifest, licence, digests, and the seal.

mod support;

use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use support::{command, fixture, fixture_arg, lfmq, scratch};

const QUICK: [&str; 7] = ["--windows", "4", "--window", "64", "--task-items", "2", "--no-latency"];

/// Every file below `folder`, by its path.
fn tree(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).expect("a folder").map(|e| e.expect("an entry")) {
        let name = entry.file_name().into_string().expect("a name");
        if entry.path().is_dir() {
            found.extend(tree(&entry.path()).into_iter().map(|(inner, bytes)| (format!("{name}/{inner}"), bytes)));
        } else {
            found.insert(name, fs::read(entry.path()).expect("a file"));
        }
    }
    found
}

fn text(tree: &BTreeMap<String, Vec<u8>>, name: &str) -> String {
    String::from_utf8(tree[name].clone()).expect("text")
}

#[test]
fn papers_say_everything_and_nothing_of_the_machine() {
    let folder = scratch();
    let model = fixture_arg("lfm2-tiny");
    let args = |out: &'static str| ["quantize", &model, "--bits", "4", "--out", out].map(str::to_owned);
    lfmq(folder.path(), &[args("here").as_slice(), &QUICK.map(str::to_owned)].concat()).expect(0);
    let mut other = command(folder.path());
    other.args(args("deep/there")).args(QUICK).env("LFMQ_ISA", "scalar").env("LFMQ_THREADS", "3");
    let other = other.output().expect("the program starts");
    assert!(other.status.success(), "{}", String::from_utf8_lossy(&other.stderr));

    let here = tree(&folder.path().join("here"));
    let there = tree(&folder.path().join("deep/there"));
    let names: Vec<&String> = here.keys().collect();
    let expected = [
        "LICENSE",
        "MODIFICATIONS.md",
        "README.md",
        "SHA256SUMS",
        "leap/Q4_K_M.json",
        "lfm2-tiny-Q4_K_M.gguf",
        "lfmq.json",
    ];
    assert_eq!(names, expected);
    for (name, bytes) in &here {
        assert!(there[name] == *bytes, "{name} depends on the machine, the folder or the threads");
    }

    let card = text(&here, "README.md");
    let front = "---\nlicense: apache-2.0\nlanguage:\n- en\n- ja\n- de\n- fr\n- es\nbase_model: \"lfm2-tiny\"\n\
                 base_model_relation: quantized\npipeline_tag: text-generation\ntags:\n- liquid\n- edge\n- lfm2\n- gguf\n---\n";
    assert!(card.starts_with(front), "{card}");
    for word in
        ["| embedding | 1 | q6_k |", "KL divergence, mean", "llama-cli -m lfm2-tiny-Q4_K_M.gguf", "**PASS**", "extract"]
    {
        assert!(card.contains(word), "no {word} in\n{card}");
    }

    let manifest: Value = serde_json::from_slice(&here["lfmq.json"]).expect("JSON");
    let weights = fixture("lfm2-tiny").join("model.safetensors");
    let digest = |bytes: &[u8]| {
        use sha2::Digest as _;
        sha2::Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect::<String>()
    };
    let file = |list: &str, name: &str| {
        let found = manifest[list].as_array().expect(list).iter().find(|f| f["name"] == name).cloned();
        found.unwrap_or_else(|| panic!("{name} is not among the {list}"))
    };
    let weights = fs::read(weights).expect("weights");
    assert_eq!(file("inputs", "model.safetensors")["sha256"], digest(&weights));
    for name in ["lfm2-tiny-Q4_K_M.gguf", "README.md", "LICENSE"] {
        assert_eq!(file("outputs", name)["sha256"], digest(&here[name]), "{name}");
    }
    assert_eq!(manifest["runtimes"][0]["name"], "llama.cpp");
    let tensors = manifest["plan"]["tensors"].as_array().expect("a plan");
    assert!(tensors.len() > 50 && tensors.iter().all(|t| t["reason"].as_str().is_some_and(|r| r.len() > 3)));
    let drift = &manifest["drift"];
    assert_eq!((&drift["verdict"], &drift["text"]["windows"]), (&"pass".into(), &4.into()));
    assert!(drift["kld_mean"]["value"].as_f64().is_some_and(|v| v > 0.0), "{drift}");
    assert!(drift["tasks"].as_array().is_some_and(|t| !t.is_empty()));

    let leap: Value = serde_json::from_slice(&here["leap/Q4_K_M.json"]).expect("JSON");
    assert_eq!(leap["inference_type"], "llama.cpp/text-to-text");
    assert_eq!(leap["schema_version"], "1.0.0");
    let model = leap["load_time_parameters"]["model"].as_str().expect("a path");
    assert!(folder.path().join("here/leap").join(model).is_file(), "{model}");
    assert_eq!(leap["generation_time_parameters"]["sampling_parameters"]["temperature"], 0.3);

    let listed: Vec<String> =
        text(&here, "SHA256SUMS").lines().map(|l| l.split_once("  ").expect("a line").1.to_owned()).collect();
    let rest: Vec<&String> = names.iter().filter(|n| **n != "SHA256SUMS").copied().collect();
    let mut sorted: Vec<&String> = listed.iter().collect();
    sorted.sort();
    assert_eq!(sorted, rest, "the digests cover all but themselves");
}

#[test]
fn without_a_licence_nothing_is_handed_on() {
    let folder = scratch();
    let model = folder.path().join("bare");
    fs::create_dir(&model).expect("a folder");
    for (name, bytes) in tree(&fixture("lfm2-tiny")).into_iter().filter(|(name, _)| name != "LICENSE") {
        fs::write(model.join(name), bytes).expect("a copy");
    }
    let args = ["quantize", "bare", "--bits", "8", "--no-verify", "--out", "out"];
    let refused = lfmq(folder.path(), &args).expect(3);
    assert!(refused.stderr.contains("--license-file"), "{}", refused.stderr);
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1, "something was written");
    fs::write(folder.path().join("terms.txt"), "LFM Open License v1.0\n").expect("terms");
    lfmq(folder.path(), &[&args[..], &["--license-file", "terms.txt"]].concat()).expect(0);
    let out = tree(&folder.path().join("out"));
    assert_eq!(text(&out, "LICENSE"), "LFM Open License v1.0\n");
    assert!(text(&out, "MODIFICATIONS.md").contains("`bare`"));
    assert!(text(&out, "README.md").contains("Not measured."));
}

#[cfg(feature = "seal")]
#[test]
fn a_sealed_folder_checks_and_opens_to_the_same_bytes() {
    use age::secrecy::ExposeSecret;
    let folder = scratch();
    let path = folder.path();
    let keys: Vec<String> = ["anna", "ben", "eve"]
        .map(|name| {
            let secret = age::x25519::Identity::generate();
            fs::write(path.join(name), secret.to_string().expose_secret()).expect("a key");
            secret.to_public().to_string()
        })
        .to_vec();
    let model = fixture_arg("lfm2-tiny");
    let made = |out: &str, more: &[&str]| {
        let args = ["quantize", &model, "--recipe", "Q4_0", "--out", out];
        lfmq(path, &[&args, more, &QUICK].concat()).expect(0);
    };
    made("plain", &[]);
    made("sealed", &["--seal", &keys[0], "--seal", &keys[1]]);
    let sealed = tree(&path.join("sealed"));
    assert!(sealed.contains_key("lfm2-tiny-Q4_0.gguf.age") && !sealed.contains_key("lfm2-tiny-Q4_0.gguf"));
    assert!(sealed["lfm2-tiny-Q4_0.gguf.age"].starts_with(b"age-encryption.org/v1"));
    lfmq(path, &["check", "sealed"]).expect(0);
    let run = lfmq(path, &["run", "sealed", "-p", "x"]).expect(3);
    assert!(run.stderr.contains("lfmq unseal"), "{}", run.stderr);
    assert!(!path.join("sealed.partial").exists());

    for name in ["anna", "ben"] {
        lfmq(path, &["unseal", "sealed", "-i", "eve", "-i", name, "-o", "opened"]).expect(0);
        assert!(tree(&path.join("opened")) == tree(&path.join("plain")), "{name} opens something else");
        lfmq(path, &["check", "opened"]).expect(0);
        fs::remove_dir_all(path.join("opened")).expect("a folder");
    }
    // A sealed folder is finished if the run that made it proved it.
    let args = ["quantize", &model, "--recipe", "Q4_0", "--resume", "--out"];
    let resumed = |out: &str, more: &[&str]| lfmq(path, &[&args[..], &[out], more, &QUICK].concat());
    let again = resumed("sealed", &["--seal", &keys[0]]).expect(0);
    assert!(again.stderr.contains("which proved it: pass"), "{}", again.stderr);
    made("unproved", &["--no-verify", "--seal", &keys[0]]);
    for (out, more, why) in [
        ("unproved", &["--seal", keys[0].as_str()][..], "did not prove it"),
        ("sealed", &[][..], "not asked for"),
        ("plain", &["--seal", keys[0].as_str()][..], "is not sealed"),
    ] {
        let refused = resumed(out, more).expect(2);
        assert!(refused.stderr.contains(why) && refused.stderr.contains("--overwrite"), "{}", refused.stderr);
    }
    resumed("unproved", &["--no-verify", "--seal", &keys[0]]).expect(0);

    let closed = lfmq(path, &["unseal", "sealed", "-i", "eve", "-o", "opened"]).expect(5);
    assert!(closed.stderr.contains("--identity"), "{}", closed.stderr);
    let file = path.join("sealed/lfm2-tiny-Q4_0.gguf.age");
    let bytes = fs::read(&file).expect("a file");
    fs::write(&file, &bytes[..bytes.len() - 1]).expect("a shorter file");
    lfmq(path, &["check", "sealed"]).expect(1);
    lfmq(path, &["unseal", "sealed", "-i", "anna", "-o", "opened"]).expect(3);
    assert!(!path.join("opened").exists() && !path.join("opened.partial").exists());
    lfmq(path, &["quantize", &model, "--bits", "8", "--seal", "age1nobody"]).expect(2);
}
