//! Checkpoints of the real shapes with random weights, written as fast as the disk takes them: for measuring, where
//! the values do not matter but their spread does.

use crate::arith::{bell, bf16_bits, fnv, mix};
use crate::kit::{self, Kind};
use crate::safetensors::header;
use crate::shape::{Draw, Moe, Shape, Slot, extend};
use crate::tokenizer;
use rayon::prelude::*;
use serde_json::{Map, Value, json};
use std::fs::{self, File};
use std::io::{self, Write};
use std::ops::Range;
use std::path::Path;

/// Bytes after which `save_pretrained` begins another file.
const SHARD_BYTES: usize = 5_000_000_000;
/// Weights made at a time by one thread; a multiple of the lanes of a word.
const PIECE: usize = 1 << 21;
/// Pieces held in memory.
const BATCH: usize = 16;
/// Entries of the table of values that weights are drawn from.
const TABLE: usize = 1 << 12;
/// Ids in use of the vocabulary of 65,536; the rest is padding.
const REAL_TOKENS: usize = 64_400;

/// Which model's shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// LFM2.5-230M.
    M230,
    /// LFM2-350M.
    M350,
    /// LFM2-1.2B.
    B1_2,
    /// LFM2-8B-A1B.
    B8A1,
    /// Its first eight layers, for machines that have not 30 GB to spare.
    B8A1Third,
    /// As [`Kind::Dense`].
    Tiny,
    /// As [`Kind::Moe`].
    TinyMoe,
}

impl Size {
    /// All of them with the words they are called by.
    pub const ALL: [(&'static str, Self); 7] = [
        ("230M", Self::M230),
        ("350M", Self::M350),
        ("1.2B", Self::B1_2),
        ("8B-A1B", Self::B8A1),
        ("8B-A1B-third", Self::B8A1Third),
        ("tiny", Self::Tiny),
        ("tiny-moe", Self::TinyMoe),
    ];

    fn shape(self) -> Shape {
        let real = |hidden: usize, heads, ffn| Shape {
            hidden,
            layers: 16,
            attention: &[2, 5, 8, 10, 12, 14],
            heads,
            kv_heads: 8,
            head_dim: 64,
            ffn,
            vocab: 65_536,
            untied: false,
            moe: None,
        };
        match self {
            Self::M230 => Shape { layers: 14, attention: &[2, 4, 6, 8, 10, 12], ..real(1024, 16, 2560) },
            Self::M350 => real(1024, 16, 4608),
            Self::B1_2 => real(2048, 32, 8192),
            Self::B8A1 => Shape {
                layers: 24,
                attention: &[2, 6, 10, 14, 18, 21],
                moe: Some(Moe { experts: 32, width: 1792, dense: 2 }),
                ..real(2048, 32, 7168)
            },
            Self::B8A1Third => Shape { layers: 8, attention: &[2, 6], ..Self::B8A1.shape() },
            Self::Tiny => Kind::Dense.shape(),
            Self::TinyMoe => Kind::Moe.shape(),
        }
    }

    /// Its config.json.
    #[must_use]
    pub fn config(self) -> Value {
        let shape = self.shape();
        let dense = |nominal: usize, adjust: bool| {
            json!({"architectures": ["Lfm2ForCausalLM"], "model_type": "lfm2", "block_auto_adjust_ff_dim": adjust,
                   "block_ff_dim": nominal, "intermediate_size": nominal, "block_ffn_dim_multiplier": 1.0,
                   "block_multiple_of": 256})
        };
        let more = match self {
            Self::M230 => dense(2560, false),
            Self::M350 => dense(6656, true),
            Self::B1_2 => dense(12_288, true),
            Self::B8A1 | Self::B8A1Third => shape.moe_config().unwrap_or_default(),
            Self::Tiny => return kit::config(Kind::Dense),
            Self::TinyMoe => return kit::config(Kind::Moe),
        };
        let mut config = shape.config("bfloat16");
        extend(&mut config, more);
        config
    }

    fn tokenizer(self) -> Value {
        match self {
            Self::Tiny | Self::TinyMoe => tokenizer::tiny(),
            _ => tokenizer::filled(REAL_TOKENS),
        }
    }
}

/// Writes a checkpoint into the folder `folder`, which is made if need be. One seed gives the same bytes everywhere.
///
/// # Errors
/// I/O.
pub fn write(folder: &Path, size: Size, seed: u64) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    write_weights(folder, &size.shape().slots(), SHARD_BYTES, seed)?;
    kit::write_texts(folder, &size.config(), &size.tokenizer())
}

/// One file, or several of at most `limit` bytes of data and their index.
fn write_weights(folder: &Path, slots: &[Slot], limit: usize, seed: u64) -> io::Result<()> {
    let shards = cut(slots, limit);
    if let [whole] = shards.as_slice() {
        return write_shard(&folder.join("model.safetensors"), whole, seed);
    }
    let mut map = Map::new();
    for (index, shard) in shards.iter().enumerate() {
        let name = format!("model-{:05}-of-{:05}.safetensors", index + 1, shards.len());
        write_shard(&folder.join(&name), shard, seed)?;
        map.extend(shard.iter().map(|slot| (slot.name.clone(), Value::from(name.as_str()))));
    }
    let total: usize = slots.iter().map(bytes).sum();
    let index = json!({"metadata": {"total_size": total}, "weight_map": map});
    fs::write(folder.join("model.safetensors.index.json"), index.to_string())
}

/// Groups the tensors in order, so that no group is larger than `limit` bytes.
fn cut(slots: &[Slot], limit: usize) -> Vec<&[Slot]> {
    let (mut shards, mut start, mut filled) = (Vec::new(), 0, 0);
    for (index, slot) in slots.iter().enumerate() {
        if filled + bytes(slot) > limit && index > start {
            shards.push(&slots[start..index]);
            (start, filled) = (index, 0);
        }
        filled += bytes(slot);
    }
    shards.push(&slots[start..]);
    shards
}

fn bytes(slot: &Slot) -> usize {
    slot.elements() * if slot.draw == Draw::Bias { 4 } else { 2 }
}

fn write_shard(path: &Path, slots: &[Slot], seed: u64) -> io::Result<()> {
    let mut file = File::create(path)?;
    let dtype = |slot: &Slot| if slot.draw == Draw::Bias { "F32" } else { "BF16" };
    file.write_all(&header(slots.iter().map(|s| (s.name.as_str(), dtype(s), s.shape.as_slice(), bytes(s) as u64))))?;
    let pieces = slots.iter().flat_map(|slot| {
        (0..slot.elements()).step_by(PIECE).map(move |start| (slot, start..slot.elements().min(start + PIECE)))
    });
    let pieces: Vec<(&Slot, Range<usize>)> = pieces.collect();
    for batch in pieces.chunks(BATCH) {
        let made: Vec<Vec<u8>> = batch.par_iter().map(|(slot, range)| make(slot, range.clone(), seed)).collect();
        made.iter().try_for_each(|piece| file.write_all(piece))?;
    }
    Ok(())
}

/// The bytes of the weights `range` of a tensor.
fn make(slot: &Slot, range: Range<usize>, seed: u64) -> Vec<u8> {
    let key = fnv(&slot.name) ^ seed;
    let (mean, sigma) = spread(slot);
    // Values are drawn from a table of bell-shaped ones: one word of the stream picks four.
    let scale = sigma / 0.018;
    let value = |z: u64| mean + scale * bell(z);
    if slot.draw == Draw::Bias {
        return range.flat_map(|i| value(mix(key, i as u64)).to_le_bytes()).collect();
    }
    let table: Vec<[u8; 2]> = (0..TABLE as u64).map(|i| bf16_bits(value(mix(seed, i))).to_le_bytes()).collect();
    let mut out = vec![0; range.len() * 2];
    let first = range.start as u64 / 4;
    for (word, four) in (first..).zip(out.chunks_mut(8)) {
        let z = mix(key, word);
        for (lane, pair) in four.chunks_exact_mut(2).enumerate() {
            pair.copy_from_slice(&table[(z >> (16 * lane)) as usize % TABLE]);
        }
    }
    out
}

/// Mean and standard deviation that keep activations near 1 and logits near 2.
fn spread(slot: &Slot) -> (f32, f32) {
    let fan_in = slot.shape.last().map_or(1.0, |&n| n as f32);
    match slot.draw {
        Draw::Norm => (1.0, 0.1),
        Draw::Taps => (0.0, 0.5),
        Draw::Bias => (0.0, 0.1),
        Draw::Matrix if slot.name.contains("embed") => (0.0, 2.0 / fan_in.sqrt()),
        Draw::Matrix | Draw::Router => (0.0, 1.0 / fan_in.sqrt()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_have_the_wanted_spread_and_do_not_depend_on_pieces() {
        let slot = Slot { name: "w".into(), shape: vec![256, 1024], draw: Draw::Matrix };
        let whole = make(&slot, 0..slot.elements(), 7);
        let parts = [make(&slot, 0..1000, 7), make(&slot, 1000..slot.elements(), 7)].concat();
        assert!(whole == parts && whole != make(&slot, 0..slot.elements(), 8));
        let values: Vec<f64> =
            whole.as_chunks::<2>().0.iter().map(|w| half::bf16::from_le_bytes(*w).to_f64()).collect();
        let square = values.iter().map(|v| v * v).sum::<f64>() / values.len() as f64;
        assert!((square.sqrt() * 32.0 - 1.0).abs() < 0.03, "sigma {}", square.sqrt());
    }

    #[test]
    fn real_shapes_have_the_published_number_of_parameters() {
        for (size, parameters) in [
            (Size::M230, 229_693_184),
            (Size::M350, 354_483_968),
            (Size::B1_2, 1_170_340_608),
            (Size::B8A1, 8_339_929_856 + 704),
        ] {
            assert_eq!(size.shape().slots().iter().map(Slot::elements).sum::<usize>(), parameters);
        }
        assert_eq!(cut(&Size::B8A1.shape().slots(), SHARD_BYTES).len(), 4);
        assert_eq!(cut(&Size::B1_2.shape().slots(), SHARD_BYTES).len(), 1);
    }

    #[test]
    fn several_files_hold_what_one_file_holds() {
        let folder = tempfile::tempdir().unwrap();
        let slots = Size::TinyMoe.shape().slots();
        write_weights(folder.path(), &slots, usize::MAX, 3).unwrap();
        write_weights(folder.path(), &slots, 4_000_000, 3).unwrap();
        let read = |name: &str| fs::read(folder.path().join(name)).unwrap();
        let whole = read("model.safetensors");
        let whole = safetensors::SafeTensors::deserialize(&whole).unwrap();
        let index: Value = serde_json::from_slice(&read("model.safetensors.index.json")).unwrap();
        let mut seen = 0;
        for number in 1..=8 {
            let name = format!("model-{number:05}-of-00008.safetensors");
            let file = read(&name);
            assert!(file.len() < 4_100_000);
            for (tensor, view) in safetensors::SafeTensors::deserialize(&file).unwrap().tensors() {
                assert_eq!(index["weight_map"][&tensor], Value::from(name.as_str()));
                assert!(view == whole.tensor(&tensor).unwrap(), "{tensor}");
                seen += 1;
            }
        }
        assert_eq!((seen, index["weight_map"].as_object().unwrap().len()), (slots.len(), slots.len()));
    }

    #[test]
    fn the_large_tokenizer_uses_every_id_once() {
        let tokenizer = tokenizer::filled(REAL_TOKENS);
        let vocabulary = tokenizer["model"]["vocab"].as_object().unwrap();
        assert_eq!(vocabulary.len(), REAL_TOKENS);
        let mut ids: Vec<u64> = vocabulary.values().filter_map(Value::as_u64).collect();
        ids.sort_unstable();
        assert!(ids.iter().copied().eq(0..REAL_TOKENS as u64));
    }
}
