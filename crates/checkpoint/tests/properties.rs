//! Whatever the bytes, no panic; and never laxer than the format's own library.

mod common;

use lfmq_checkpoint::{Header, spec_from_config};
use lfmq_testkit::safetensors::{framed, header};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// Whatever this crate accepts the format's own library must accept, and see the same in it.
fn agrees(file: &[u8]) -> Result<(), TestCaseError> {
    let Ok(ours) = Header::parse(Path::new("x"), file) else { return Ok(()) };
    let (length, theirs) = safetensors::SafeTensors::read_metadata(file).expect("accepted here, refused there");
    prop_assert_eq!(ours.tensors.len(), theirs.tensors().len());
    for tensor in ours.tensors {
        let info = theirs.info(&tensor.name).unwrap();
        let begin = tensor.offset - length - 8;
        prop_assert_eq!(info.data_offsets, (begin, begin + tensor.bytes));
        prop_assert_eq!(&info.shape.iter().map(|&d| d as u64).collect::<Vec<_>>(), &tensor.shape);
        prop_assert_eq!(info.dtype.to_string(), tensor.dtype.to_string().to_uppercase());
    }
    Ok(())
}

/// A small valid file.
fn small() -> Vec<u8> {
    let tensors = [("a", "F32", &[2, 3][..], 24), ("b", "BF16", &[1, 1, 5], 10), ("c", "F16", &[0], 0)];
    [header(tensors), vec![7; 34]].concat()
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        agrees(&bytes)?;
        agrees(&framed(&String::from_utf8_lossy(&bytes)))?;
    }

    #[test]
    fn damaged_headers_never_panic(edits in proptest::collection::vec((any::<usize>(), any::<u8>()), 0..6), cut in any::<usize>()) {
        let mut file = small();
        for (at, byte) in edits {
            let at = at % file.len();
            file[at] = byte;
        }
        agrees(&file)?;
        file.truncate(cut % file.len());
        agrees(&file)?;
    }

    #[test]
    fn what_the_formats_library_writes_is_read(shapes in proptest::collection::vec(proptest::collection::vec(0usize..5, 0..4), 0..6)) {
        let data = vec![0u8; 500];
        let views = shapes.iter().enumerate().map(|(i, shape)| {
            let bytes = shape.iter().product::<usize>() * 2;
            let view = safetensors::tensor::TensorView::new(safetensors::Dtype::BF16, shape.clone(), &data[..bytes]);
            (format!("t{i}"), view.unwrap())
        });
        let file = safetensors::serialize(views, None).unwrap();
        prop_assert_eq!(Header::parse(Path::new("x"), &file).unwrap().tensors.len(), shapes.len());
        agrees(&file)?;
    }

    #[test]
    fn strange_configurations_never_panic(field in 0usize..30, value in 0usize..14, other in 0usize..30, another in 0usize..14) {
        let mut config = common::small_config();
        for (field, value) in [(field, value), (other, another)] {
            config[FIELDS[field]] = strange(value);
        }
        if let Ok(spec) = spec_from_config(&config) {
            prop_assert!(spec.parameters() > 0);
        }
    }
}

const FIELDS: [&str; 30] = [
    "architectures",
    "model_type",
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "block_ff_dim",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "max_position_embeddings",
    "norm_eps",
    "rope_theta",
    "rope_parameters",
    "rope_scaling",
    "conv_L_cache",
    "conv_bias",
    "block_multiple_of",
    "block_ffn_dim_multiplier",
    "block_auto_adjust_ff_dim",
    "full_attn_idxs",
    "layer_types",
    "tie_word_embeddings",
    "tie_embedding",
    "bos_token_id",
    "eos_token_id",
    "num_experts",
    "num_experts_per_tok",
    "moe_intermediate_size",
    "num_dense_layers",
];

fn strange(index: usize) -> Value {
    [
        json!(null),
        json!(0),
        json!(-1),
        json!(1),
        json!(512),
        json!(1 << 24),
        json!(u64::MAX),
        json!(1e300),
        json!(0.1),
        json!("lfm2_moe"),
        json!(["Lfm2MoeForCausalLM"]),
        json!([0, 1]),
        json!({"rope_theta": 1}),
        json!(true),
    ][index]
        .clone()
}

/// The seeds of the fuzzers, run once as they are: those called `good-…` must be accepted, the others must not.
fn seeds(target: &str, accepts: impl Fn(&[u8]) -> bool) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds").join(target);
    let mut seen = 0;
    for file in fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let good = path.file_name().unwrap().to_string_lossy().starts_with("good-");
        assert_eq!(accepts(&fs::read(&path).unwrap()), good, "{}", path.display());
        seen += 1;
    }
    assert!(seen > 0);
}

#[test]
fn seeds_of_the_safetensors_fuzzer() {
    seeds("safetensors", |file| Header::parse(Path::new("x"), file).is_ok());
}

#[test]
fn seeds_of_the_configuration_fuzzer() {
    seeds("config", |file| serde_json::from_slice(file).is_ok_and(|config| spec_from_config(&config).is_ok()));
}
