//! Seven tiny checkpoints that cover what a converter meets, byte for byte those of which llama.cpp's tools gave
//! the digests in [`crate::expected_sha`].

use crate::arith::{bf16_bits, nasty, vals};
use crate::safetensors::{Entry, save};
use crate::shape::{Draw, Moe, Shape, Slot, extend};
use crate::{pyjson, tokenizer};
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};
use std::{fs, io};

/// One of the tiny checkpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// 12 layers (so that layer 10 sorts before layer 2 by name), attention at 2, 5, 8, 10, tied, bf16.
    Dense,
    /// The same with a head of its own.
    Untied,
    /// 6 experts, top 4, two dense layers first.
    Moe,
    /// The same with 8 experts, where llama-quantize changes its rules.
    Moe8,
    /// The mixture in two files, cut between two experts of layer 7.
    Shards,
    /// The dense model in f32 with adversarial rows, see [`nasty`].
    Nasty,
    /// The mixture in f32 with adversarial rows.
    NastyMoe,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Dense, Self::Untied, Self::Moe, Self::Moe8, Self::Shards, Self::Nasty, Self::NastyMoe];

    /// Its short name, as in `conv/<word>-bf16.gguf`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Dense => "dense",
            Self::Untied => "untied",
            Self::Moe => "moe",
            Self::Moe8 => "moe8",
            Self::Shards => "shards",
            Self::Nasty => "nasty",
            Self::NastyMoe => "nastymoe",
        }
    }

    /// The folder name, which is also the model's name: `LFM2-Tiny-<word>`.
    #[must_use]
    pub fn folder(self) -> String {
        format!("LFM2-Tiny-{}", self.word())
    }

    /// Whether weights are stored in f32 with adversarial rows.
    const fn is_nasty(self) -> bool {
        matches!(self, Self::Nasty | Self::NastyMoe)
    }

    pub(crate) fn shape(self) -> Shape {
        let moe = |experts| Some(Moe { experts, width: 256, dense: 2 });
        Shape {
            hidden: 256,
            layers: 12,
            attention: &[2, 5, 8, 10],
            heads: 8,
            kv_heads: 2,
            head_dim: 32,
            ffn: 512,
            vocab: 512,
            untied: self == Self::Untied,
            moe: match self {
                Self::Moe | Self::Shards | Self::NastyMoe => moe(6),
                Self::Moe8 => moe(8),
                Self::Dense | Self::Untied | Self::Nasty => None,
            },
        }
    }
}

/// Writes the checkpoint into the new folder `<parent>/LFM2-Tiny-<word>` and returns that path.
///
/// # Errors
/// I/O.
pub fn write(parent: &Path, kind: Kind) -> io::Result<PathBuf> {
    let folder = parent.join(kind.folder());
    fs::create_dir_all(&folder)?;
    let entries: Vec<Entry> = kind.shape().slots().into_iter().map(|slot| entry(slot, kind.is_nasty())).collect();
    match kind {
        Kind::Shards => write_shards(&folder, &entries)?,
        // In the order of making, deliberately not sorted.
        _ => save(&folder.join("model.safetensors"), &entries)?,
    }
    write_texts(&folder, &config(kind), &tokenizer::tiny())?;
    Ok(folder)
}

/// How a checkpoint stores the experts of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Experts {
    /// Three tensors an expert.
    Apart,
    /// Two stacks a layer: gate above up of each expert, and down.
    Fused,
}

/// Writes a checkpoint of any shape, in bf16, into the new folder `<parent>/<name>` and returns that path.
///
/// # Errors
/// I/O.
pub fn write_shape(parent: &Path, name: &str, shape: &Shape, experts: Experts) -> io::Result<PathBuf> {
    let folder = parent.join(name);
    fs::create_dir_all(&folder)?;
    let mut entries: Vec<Entry> = shape.slots().into_iter().map(|slot| entry(slot, false)).collect();
    if experts == Experts::Fused {
        entries = fuse(entries);
    }
    save(&folder.join("model.safetensors"), &entries)?;
    write_texts(&folder, &config_of(shape, "bfloat16"), &tokenizer::tiny())?;
    Ok(folder)
}

/// Joins what is there by expert, in their order, and of each expert gate, down, up.
fn fuse(entries: Vec<Entry>) -> Vec<Entry> {
    let mut all: Vec<Entry> = Vec::new();
    for entry in entries {
        let Some((layer, matrix)) = entry.name.split_once("experts.") else {
            all.push(entry);
            continue;
        };
        let (word, parts) = if matrix.ends_with("w2.weight") { ("down_proj", 1) } else { ("gate_up_proj", 2) };
        let name = format!("{layer}experts.{word}");
        let at = all.iter().position(|stack| stack.name == name).unwrap_or_else(|| {
            let shape = vec![0, parts * entry.shape[0], entry.shape[1]];
            all.push(Entry { name, dtype: entry.dtype, shape, bytes: Vec::new() });
            all.len() - 1
        });
        all[at].shape[0] += usize::from(!matrix.ends_with("w3.weight"));
        all[at].bytes.extend(entry.bytes);
    }
    all
}

/// Writes everything that is not weights.
pub(crate) fn write_texts(folder: &Path, config: &Value, tokenizer: &Value) -> io::Result<()> {
    let generation = json!({"bos_token_id": 1, "eos_token_id": 7, "pad_token_id": 0, "do_sample": true,
                            "temperature": 0.3, "min_p": 0.15, "repetition_penalty": 1.05});
    for (name, value) in [
        ("config.json", config),
        ("generation_config.json", &generation),
        ("tokenizer.json", tokenizer),
        ("tokenizer_config.json", &tokenizer::config()),
    ] {
        fs::write(folder.join(name), pyjson::dumps(value))?;
    }
    fs::write(folder.join("README.md"), README)
}

const README: &str = "---\nlibrary_name: transformers\nlicense: other\nlicense_name: lfm1.0\nlicense_link: LICENSE\n\
language:\n- en\n- no\npipeline_tag: text-generation\ntags:\n- liquid\n- lfm2\nbase_model:\n- LiquidAI/LFM2-1.2B\n---\n";

/// Makes the values of one tensor.
fn entry(slot: Slot, hostile: bool) -> Entry {
    let mut x = vals(&slot.name, slot.elements());
    match slot.draw {
        Draw::Norm => x.iter_mut().for_each(|v| *v = 1.0 + *v * 4.0),
        Draw::Taps => x.iter_mut().for_each(|v| *v *= 16.0),
        Draw::Matrix if hostile => nasty(&mut x, slot.shape[1], &slot.name),
        Draw::Matrix | Draw::Router | Draw::Bias => {}
    }
    let (dtype, bytes) = if hostile || slot.draw == Draw::Bias {
        ("F32", x.iter().flat_map(|v| v.to_le_bytes()).collect())
    } else {
        ("BF16", x.iter().flat_map(|&v| bf16_bits(v).to_le_bytes()).collect())
    };
    Entry { name: slot.name, dtype, shape: slot.shape, bytes }
}

/// Two files in the order of making, cut before expert 3 of layer 7, and their index.
fn write_shards(folder: &Path, entries: &[Entry]) -> io::Result<()> {
    let cut = entries.iter().position(|e| e.name.starts_with("model.layers.7.feed_forward.experts.3."));
    let (first, second) = entries.split_at(cut.unwrap_or(0));
    let mut map = Map::new();
    for (part, name) in [(first, "model-00001-of-00002.safetensors"), (second, "model-00002-of-00002.safetensors")] {
        save(&folder.join(name), part)?;
        map.extend(part.iter().map(|e| (e.name.clone(), Value::from(name))));
    }
    let total: usize = entries.iter().map(|e| e.bytes.len()).sum();
    let index = json!({"metadata": {"total_size": total}, "weight_map": map});
    fs::write(folder.join("model.safetensors.index.json"), pyjson::dumps(&index))
}

pub(crate) fn config(kind: Kind) -> Value {
    config_of(&kind.shape(), if kind.is_nasty() { "float32" } else { "bfloat16" })
}

fn config_of(shape: &Shape, dtype: &str) -> Value {
    let mut config = shape.config(dtype);
    let dense = json!({"architectures": ["Lfm2ForCausalLM"], "model_type": "lfm2", "block_auto_adjust_ff_dim": true,
                       "block_ff_dim": 704, "block_ffn_dim_multiplier": 1.0, "block_multiple_of": 256});
    extend(&mut config, shape.moe_config().unwrap_or(dense));
    if shape.untied {
        extend(&mut config, json!({"tie_embedding": false, "tie_word_embeddings": false}));
    }
    config
}

pub use crate::importance::importance;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{expected_paths, expected_sha, sha256_hex};

    #[test]
    fn fused_experts_lie_one_after_another() {
        let shape = Shape { layers: 3, attention: &[], ..Kind::Moe.shape() };
        let apart: Vec<Entry> = shape.slots().into_iter().map(|slot| entry(slot, false)).collect();
        let fused = fuse(apart.clone());
        assert_eq!(apart.len() - fused.len(), 3 * 6 - 2);
        let bytes = |all: &[Entry], name: &str| -> Vec<u8> {
            let name = format!("model.layers.2.feed_forward.experts.{name}");
            all.iter().find(|e| e.name == name).unwrap_or_else(|| panic!("no {name}")).bytes.clone()
        };
        let join = |words: &[&str]| -> Vec<u8> {
            let names = (0..6).flat_map(|e| words.iter().map(move |w| format!("{e}.{w}.weight")));
            names.flat_map(|name| bytes(&apart, &name)).collect()
        };
        assert!(bytes(&fused, "gate_up_proj") == join(&["w1", "w3"]));
        assert!(bytes(&fused, "down_proj") == join(&["w2"]));
        let shapes = |word: &str| fused.iter().find(|e| e.name.ends_with(word)).map(|e| e.shape.clone());
        assert_eq!(shapes("gate_up_proj"), Some(vec![6, 512, 256]));
        assert_eq!(shapes("down_proj"), Some(vec![6, 256, 256]));
    }

    #[test]
    fn checkpoints_are_those_the_digests_were_taken_of() {
        let parent = tempfile::tempdir().unwrap();
        let mut seen = 0;
        for kind in Kind::ALL {
            let folder = write(parent.path(), kind).unwrap();
            for file in fs::read_dir(&folder).unwrap() {
                let name = file.unwrap().file_name().into_string().unwrap();
                let path = format!("hf/{}/{name}", kind.folder());
                let found = sha256_hex(&fs::read(folder.join(&name)).unwrap());
                assert_eq!(Some(found.as_str()), expected_sha(&path), "{path}");
                seen += 1;
            }
        }
        assert_eq!(seen, expected_paths().filter(|path| path.starts_with("hf/")).count());
    }
}
