//! Metadata of checkpoints with unusual side files, against files of llama.cpp's converter (`--outtype bf16`,
//! its tokenizer check answered with `lfm2`), by SHA-256 of the whole file.
//!
//! `LFMQ_KEEP=<folder>` leaves the checkpoints there, to run the converter on them again.

use lfmq_checkpoint::Checkpoint;
use lfmq_core::{ExportJob, ExportPlan, Exporter, Silent, Sink};
use lfmq_gguf_export::{GgufExporter, GgufOptions, Profile};
use lfmq_quant::{Recipe, quantize};
use lfmq_testkit::kit::{self, Kind};
use lfmq_testkit::sha256_hex;
use lfmq_testkit::sink::Counting;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

const RICH: &str = "c00e913aec53f1012703042e67e20fe34fed930007e3345f779600c705c56e64";
const BARE: &str = "b19c7bda93e0db0fbe7815b15cf7bc0bf9a1bf4740f2e070a785ea40f36fe2b4";
const FRAMED: &str = "6088972dd6c86d9e07817247058a32379123ade0ac07a745030a2ec138a78840";

fn convert(folder: &Path) -> Vec<u8> {
    let source = Checkpoint::open(folder).unwrap();
    let plan = lfmq_quant::plan(&source, &Recipe::named("BF16").unwrap(), None).unwrap();
    let exporter = GgufExporter { options: GgufOptions { profile: Profile::Convert, ..GgufOptions::default() } };
    let export = exporter.plan(&ExportJob { source: &source, plan: &plan, stem: "x" }).unwrap();
    let memory = Counting::of(&*export);
    export.write_frame(&memory).unwrap();
    let outputs: [(&dyn ExportPlan, &dyn Sink); 1] = [(&*export, &memory)];
    quantize(&source, &plan, None, &outputs, &|_| false, &|_| Ok(()), 1 << 26, &Silent).unwrap();
    let [file] = memory.once().try_into().expect("one file");
    file
}

/// Changes one JSON file of a checkpoint.
fn edit(folder: &Path, name: &str, change: impl FnOnce(&mut Value)) {
    let path = folder.join(name);
    let mut value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    change(&mut value);
    fs::write(path, serde_json::to_string_pretty(&value).unwrap()).unwrap();
}

fn drop_key(value: &mut Value, key: &str) {
    value.as_object_mut().unwrap().remove(key);
}

/// A checkpoint of `kind` called `name`.
fn checkpoint(parent: &Path, kind: Kind, name: &str) -> PathBuf {
    let folder = parent.join(name);
    fs::rename(kit::write(parent, kind).unwrap(), &folder).unwrap();
    folder
}

/// Every field of a card, one way or another.
fn rich_card(parent: &Path) -> PathBuf {
    let folder = checkpoint(parent, Kind::Dense, "LFM2.5-9M-Instruct-v1.5-bf16");
    let readme = "---\nlicense:\n- mit\n- apache-2.0\nlicense_name: two\nmodel_author: \"Some: One\"\nmodel_creator: no\n\
        description: |\n  Two\n  lines.\nlanguage: en\ntags: lone\npipeline_tag: text-generation\n\
        base_model:\n- https://huggingface.co/Org-x/base-v2\n- https://example.org/x\n- lone-name-7B-chat-v3\n\
        - name: Ours\n  author: Me\n  repo_url: https://example.org/o\n\
        datasets:\n- org/data-set\n- plain\nurl: https://example.org\nmodel_repo_url: https://example.org/r # comment\n\
        extra: {a: [1, 2]}\ntabbed:\n\t- 'x'\n---\n# Text\n";
    fs::write(folder.join("README.md"), readme).unwrap();
    edit(&folder, "generation_config.json", |g| {
        *g = json!({"top_k": 40, "top_p": 0.9, "temperature": 1, "min_p": null, "penalty_last_n": 64, "sequence": "a;b"});
    });
    edit(&folder, "config.json", |c| c["_name_or_path"] = json!("acme labs"));
    edit(&folder, "tokenizer_config.json", |t| {
        drop_key(t, "chat_template");
        t["bos_token"] = json!({"__type": "AddedToken", "content": "<|startoftext|>", "lstrip": false, "normalized": false,
                                "rstrip": false, "single_word": false, "special": true});
        t["add_bos_token"] = json!(false);
    });
    fs::write(folder.join("chat_template.jinja"), "{{ messages }}\u{20ac}\n").unwrap();
    folder
}

/// No card, and a tokenizer of another style.
fn bare(parent: &Path) -> PathBuf {
    let folder = checkpoint(parent, Kind::Moe, "tiny_mixture");
    for name in ["README.md", "generation_config.json"] {
        fs::remove_file(folder.join(name)).unwrap();
    }
    edit(&folder, "tokenizer.json", |t| {
        let merges = t["model"]["merges"].as_array().unwrap();
        let joined = merges.iter().map(|m| format!("{} {}", m[0].as_str().unwrap(), m[1].as_str().unwrap()));
        let joined: Value = joined.collect();
        t["model"]["merges"] = joined;
        t["post_processor"] = t["post_processor"]["processors"][0].clone();
        let added = |content: &str, normalized: bool, special: bool| {
            json!({"id": 0, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
                   "normalized": normalized, "special": special})
        };
        let more = [
            added("\u{120}led", false, false),
            added("caf\u{e9}", false, false),
            added("\u{e9}t\u{e9}", true, false),
            added("<unused7>", true, false),
            added("\u{2581}a", true, false),
            added("two  blanks", false, true),
        ];
        t["added_tokens"].as_array_mut().unwrap().extend(more);
    });
    edit(&folder, "tokenizer_config.json", |t| {
        for key in ["eos_token", "pad_token", "add_eos_token"] {
            drop_key(t, key);
        }
        t["unk_token"] = json!("<|reserved_12|>");
        t["mask_token"] = json!("<|reserved_13|>");
        t["sep_token"] = json!("<|reserved_14|>");
        t["add_sep_token"] = json!(true);
        t["chat_template"] = json!([{"name": "default", "template": "d"}, {"name": "tool use", "template": "t"}]);
    });
    edit(&folder, "config.json", |c| c["_name_or_path"] = json!("acme/tiny-9M-chat"));
    folder
}

/// A template that begins and ends with tokens of its own.
fn framed(parent: &Path) -> PathBuf {
    let folder = checkpoint(parent, Kind::Untied, "v2-framed-small");
    edit(&folder, "tokenizer.json", |t| {
        let template = &mut t["post_processor"]["processors"][1];
        let special = |id: &str| json!({"SpecialToken": {"id": id, "type_id": 0}});
        let (begin, end) = ("<|im_start|>", "<|endoftext|>");
        template["single"] = json!([special(begin), {"Sequence": {"id": "A", "type_id": 0}}, special(end)]);
        template["pair"] = json!([special(begin), {"Sequence": {"id": "A", "type_id": 0}}, special(end),
                                  {"Sequence": {"id": "B", "type_id": 1}}, special(end)]);
        template["special_tokens"] = json!({
            begin: {"id": begin, "ids": [6], "tokens": [begin]}, end: {"id": end, "ids": [2], "tokens": [end]}});
    });
    edit(&folder, "tokenizer_config.json", |t| drop_key(t, "chat_template"));
    let template = json!({"chat_template": "{{ 1 }}"});
    fs::write(folder.join("chat_template.json"), template.to_string()).unwrap();
    fs::write(folder.join("README.md"), "---\nname: Of the card\nversion: v1.0\nbase_model: org/one\ndatasets:\n---\n")
        .unwrap();
    folder
}

#[test]
fn unusual_side_files() {
    let own = tempfile::tempdir().unwrap();
    let parent = std::env::var_os("LFMQ_KEEP").map_or(own.path().to_owned(), PathBuf::from);
    let mut wrong = Vec::new();
    let keep = std::env::var_os("LFMQ_KEEP").is_some();
    for (folder, expected) in [(rich_card(&parent), RICH), (bare(&parent), BARE), (framed(&parent), FRAMED)] {
        let file = convert(&folder);
        if keep {
            fs::write(folder.join("ours.gguf"), &file).unwrap();
        }
        let found = sha256_hex(&file);
        wrong.extend((found != expected).then(|| format!("{}: {found}", folder.display())));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
