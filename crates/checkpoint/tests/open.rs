//! Whole checkpoints: the kit's seven, those the transformers library saved, and variants of spelling and layout.

use lfmq_checkpoint::{Checkpoint, CheckpointError, Digested, disk_name};
use lfmq_core::{DType, Silent, TensorId, TensorRole, TensorSource};
use lfmq_digest::Digests;
use lfmq_testkit::kit::{self, Kind};
use lfmq_testkit::synth::{self, Size};
use lfmq_testkit::{arith, expected_sha, golden};
use std::collections::HashSet;
use std::fs;
use std::path::Path;

/// The whole of a tensor.
fn read(source: &Checkpoint, id: TensorId) -> Vec<f32> {
    let index = source.find(id).unwrap();
    let tensor = &source.tensors()[index];
    let mut out = vec![f32::NAN; tensor.rows * tensor.cols];
    source.read_rows(index, 0..tensor.rows, &mut out).unwrap();
    out
}

#[test]
fn every_kind_opens_with_exactly_the_tensors_of_its_spec() {
    let parent = tempfile::tempdir().unwrap();
    for kind in Kind::ALL {
        let source = Checkpoint::open(&kit::write(parent.path(), kind).unwrap()).unwrap();
        assert_eq!(source.name(), kind.folder());
        let found: HashSet<TensorId> = source.tensors().iter().map(|t| t.id).collect();
        let expected: HashSet<TensorId> = source.spec().tensors().iter().map(|t| t.0).collect();
        assert_eq!(found, expected);
        assert!(source.tensors().is_sorted_by_key(|t| (t.shard, t.name.clone())));
        for tensor in source.tensors() {
            assert_eq!(tensor.name, disk_name(tensor.id));
            let full = matches!(kind, Kind::Nasty | Kind::NastyMoe) || tensor.id.role == TensorRole::RouterBias;
            assert_eq!(tensor.dtype, if full { DType::F32 } else { DType::BF16 });
        }
        for file in Digested::new(&source, &Digests::default()).digests(&Silent) {
            assert_eq!(Some(file.sha256.as_str()), expected_sha(&format!("hf/{}/{}", kind.folder(), file.name)));
        }
        assert_eq!(
            Digested::new(&source, &Digests::default()).digests(&Silent).len(),
            6 + usize::from(kind == Kind::Shards)
        );
    }
}

#[test]
fn rows_are_those_that_were_written() {
    let parent = tempfile::tempdir().unwrap();
    let source = Checkpoint::open(&kit::write(parent.path(), Kind::Moe).unwrap()).unwrap();
    let id = TensorId::layer(7, TensorRole::ExpertUp(3));
    let index = source.find(id).unwrap();
    let mut out = vec![0.0; 2 * 256];
    source.read_rows(index, 5..7, &mut out).unwrap();
    let made = arith::vals("model.layers.7.feed_forward.experts.3.w3.weight", 7 * 256);
    let expected: Vec<f32> =
        made[5 * 256..].iter().map(|&v| f32::from_bits(u32::from(arith::bf16_bits(v)) << 16)).collect();
    assert_eq!(out, expected);
    assert!(source.read_rows(index, 255..257, &mut out).is_err());
    assert!(source.read_rows(index, 5..7, &mut out[1..]).is_err());
    #[expect(clippy::reversed_empty_ranges, reason = "that is the test")]
    let backwards = source.read_rows(index, 7..5, &mut []);
    assert!(backwards.is_err());
    assert!(source.read_rows(usize::MAX, 0..0, &mut []).is_err());
}

#[test]
fn shards_hold_what_the_single_file_holds() {
    let parent = tempfile::tempdir().unwrap();
    let whole = Checkpoint::open(&kit::write(parent.path(), Kind::Moe).unwrap()).unwrap();
    let parts = Checkpoint::open(&kit::write(parent.path(), Kind::Shards).unwrap()).unwrap();
    assert_eq!(parts.weight_files().count(), 2);
    assert_eq!(whole.spec(), parts.spec());
    for (id, _) in whole.spec().tensors() {
        assert_eq!(read(&whole, id), read(&parts, id), "{id}");
    }
}

#[test]
fn checkpoints_of_the_transformers_library_open() {
    let cases = golden::all().unwrap();
    assert!(!cases.is_empty(), "fixtures/golden/transformers is absent");
    for case in cases {
        let source = Checkpoint::open(&case.model).unwrap_or_else(|e| panic!("{}: {e}", case.name));
        assert_eq!(source.spec().vocab, case.vocab, "{}", case.name);
        assert_eq!(source.tensors().len(), source.spec().tensors().len(), "{}", case.name);
    }
}

#[test]
fn synthetic_checkpoints_open() {
    for (word, size) in Size::ALL.into_iter().filter(|(word, _)| word.starts_with("tiny")) {
        let folder = tempfile::tempdir().unwrap();
        synth::write(folder.path(), size, 1).unwrap_or_else(|e| panic!("{word}: {e}"));
        Checkpoint::open(folder.path()).unwrap_or_else(|e| panic!("{word}: {e}"));
    }
}

/// The stored tensors of a checkpoint with one file.
fn entries(folder: &Path) -> Vec<lfmq_testkit::safetensors::Entry> {
    let file = fs::read(folder.join("model.safetensors")).unwrap();
    let header = lfmq_checkpoint::Header::parse(folder, &file).unwrap();
    let entry = |t: lfmq_checkpoint::StoredTensor| lfmq_testkit::safetensors::Entry {
        bytes: file[t.offset..t.offset + t.bytes].to_vec(),
        dtype: if t.dtype == DType::F32 { "F32" } else { "BF16" },
        shape: t.shape.iter().map(|&d| d as usize).collect(),
        name: t.name,
    };
    header.tensors.into_iter().map(entry).collect()
}

/// Stacks the experts of every mixture layer as the library holds them in memory.
fn fuse(entries: &mut Vec<lfmq_testkit::safetensors::Entry>, experts: usize) {
    for layer in 2..12 {
        let prefix = format!("model.layers.{layer}.feed_forward.experts.");
        let take = |entries: &mut Vec<lfmq_testkit::safetensors::Entry>, e: usize, w: &str| {
            let name = format!("{prefix}{e}.{w}.weight");
            entries.remove(entries.iter().position(|t| t.name == name).unwrap()).bytes
        };
        let (mut gate_up, mut down) = (Vec::new(), Vec::new());
        for e in 0..experts {
            gate_up.extend(take(entries, e, "w1"));
            gate_up.extend(take(entries, e, "w3"));
            down.extend(take(entries, e, "w2"));
        }
        for (word, rows, bytes) in [("gate_up_proj", 512, gate_up), ("down_proj", 256, down)] {
            let (name, shape) = (format!("{prefix}{word}"), vec![experts, rows, 256]);
            entries.push(lfmq_testkit::safetensors::Entry { name, dtype: "BF16", shape, bytes });
        }
    }
}

#[test]
fn stacked_experts_are_the_same_tensors() {
    let (plain, stacked) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let whole = kit::write(plain.path(), Kind::Moe).unwrap();
    let folder = kit::write(stacked.path(), Kind::Moe).unwrap();
    let mut tensors = entries(&folder);
    fuse(&mut tensors, 6);
    lfmq_testkit::safetensors::save(&folder.join("model.safetensors"), &tensors).unwrap();
    let (whole, stacked) = (Checkpoint::open(&whole).unwrap(), Checkpoint::open(&folder).unwrap());
    let names = |c: &Checkpoint| c.tensors().iter().map(|t| t.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&whole), names(&stacked));
    for (id, _) in whole.spec().tensors() {
        assert_eq!(read(&whole, id), read(&stacked, id), "{id}");
    }
}

#[test]
fn a_second_copy_of_a_tied_head_is_ignored_only_if_equal() {
    let parent = tempfile::tempdir().unwrap();
    let folder = kit::write(parent.path(), Kind::Dense).unwrap();
    let mut tensors = entries(&folder);
    let embedding = tensors.iter().find(|t| t.name == "model.embed_tokens.weight").unwrap().clone();
    tensors.push(lfmq_testkit::safetensors::Entry { name: "lm_head.weight".into(), ..embedding });
    let save = |tensors: &[_]| lfmq_testkit::safetensors::save(&folder.join("model.safetensors"), tensors).unwrap();
    save(&tensors);
    assert_eq!(Checkpoint::open(&folder).unwrap().find(TensorId::global(TensorRole::Head)), None);
    tensors.last_mut().unwrap().bytes[1000] ^= 1;
    save(&tensors);
    assert!(matches!(Checkpoint::open(&folder), Err(CheckpointError::HeadDiffers)));
}

#[test]
fn half_precision_and_the_longer_name_of_the_bias_are_read() {
    let parent = tempfile::tempdir().unwrap();
    let folder = kit::write(parent.path(), Kind::Moe).unwrap();
    let mut tensors = entries(&folder);
    for tensor in &mut tensors {
        if tensor.name.ends_with("expert_bias") {
            tensor.name.push_str(".weight");
        } else if tensor.name.contains("embed_tokens") {
            tensor.dtype = "F16";
        }
    }
    lfmq_testkit::safetensors::save(&folder.join("model.safetensors"), &tensors).unwrap();
    let source = Checkpoint::open(&folder).unwrap();
    let bytes = &tensors.iter().find(|t| t.dtype == "F16").unwrap().bytes;
    let found = read(&source, TensorId::global(TensorRole::Embedding));
    let half = |word: &[u8]| half::f16::from_le_bytes([word[0], word[1]]).to_f32();
    assert!(found.iter().zip(bytes.chunks(2)).all(|(x, word)| x.to_bits() == half(word).to_bits()));
}

#[test]
fn small_files_are_kept_and_the_name_is_the_repository() {
    let parent = tempfile::tempdir().unwrap();
    let cache = parent.path().join("models--LiquidAI--LFM2-350M/snapshots");
    let folder = cache.join("0123abcd");
    fs::create_dir_all(&cache).unwrap();
    fs::rename(kit::write(parent.path(), Kind::Dense).unwrap(), &folder).unwrap();
    for name in ["LICENSE.txt", "NOTICE", "chat_template.jinja", "other.txt"] {
        fs::write(folder.join(name), name).unwrap();
    }
    let source = Checkpoint::open(&folder).unwrap();
    assert_eq!(source.name(), "LFM2-350M");
    assert_eq!(source.sidecar("LICENSE.txt"), Some(&b"LICENSE.txt"[..]));
    assert_eq!(source.sidecar("NOTICE"), Some(&b"NOTICE"[..]));
    assert_eq!(source.sidecar("chat_template.jinja"), Some(&b"chat_template.jinja"[..]));
    assert_eq!(source.sidecar("other.txt"), None);
    assert!(source.sidecar("tokenizer.json").is_some());
}
