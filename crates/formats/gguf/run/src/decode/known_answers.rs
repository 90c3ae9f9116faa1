//! Blocks that llama-quantize made of 24 adversarial and 8 plain rows of 256 weights (zeros of both signs, subnormals,
//! ties, outliers, scales near the binary16 limit), and the digest of the f32 values that both the gguf package and
//! llama.cpp's own code give for them.

use super::{fill, form, values};
use lfmq_core::Activation;
use lfmq_gguf_wire::GgmlType;
use lfmq_kernels::{Arena, Kernels};
use lfmq_ops::{BlockLinear, OpsError, Run};
use sha2::{Digest, Sha256};

/// Type, first 12 hex digits of the SHA-256 of the blocks and of the values as little-endian f32.
const ANSWERS: [(GgmlType, &str, &str); 17] = [
    (GgmlType::F16, "9e19a755d702", "20d1f75d8922"),
    (GgmlType::BF16, "8938ee16afe1", "e9f56eb7c808"),
    (GgmlType::Q8_0, "52cb6504d404", "67a7f711e3c1"),
    (GgmlType::Q4_0, "0520870cd1a4", "9e1b14d4d150"),
    (GgmlType::Q4_1, "56869de85142", "1fbc799b2f7d"),
    (GgmlType::Q5_0, "93bb852499f5", "2e09329da6c2"),
    (GgmlType::Q5_1, "fabefecbb7d6", "bad6e280dcdb"),
    (GgmlType::Q2_K, "941d80b34435", "7ae24a3c93c0"),
    (GgmlType::Q3_K, "443fa34861e7", "712791bd7f0b"),
    (GgmlType::Q4_K, "eae5e51303a4", "b14bb9540fee"),
    (GgmlType::Q5_K, "62f300cf11b2", "e152a0b9de30"),
    (GgmlType::Q6_K, "7ae77d473224", "2b81375bb82e"),
    (GgmlType::IQ4_NL, "2505e2ba4261", "7f10bbfbc862"),
    (GgmlType::IQ4_XS, "c4ff1319a1a1", "b50e7c2a799f"),
    (GgmlType::TQ1_0, "a5564723af39", "de685379d5cb"),
    (GgmlType::TQ2_0, "3a877b4813f3", "de685379d5cb"),
    (GgmlType::MXFP4, "6ab1f3cc9f59", "040f91b738a1"),
];

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().take(6).map(|b| format!("{b:02x}")).collect()
}

fn blocks(ty: GgmlType) -> Vec<u8> {
    let path = format!("{}/tests/kat/{ty}.blocks", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|e| panic!("{path}: {e}"))
}

#[test]
fn every_type_decodes_to_the_known_values() {
    for (ty, input, output) in ANSWERS {
        let blocks = blocks(ty);
        assert_eq!(digest(&blocks), input, "{ty}: the blocks");
        let values = values(ty, &blocks);
        assert_eq!(values.len(), 32 * 256, "{ty}");
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        assert_eq!(digest(&bytes), output, "{ty}: the values");
    }
    assert_eq!(ANSWERS.len() + 1, GgmlType::all().count(), "every type but F32");
}

/// What products are made of: every type fits the form it is kept in, and the kernels' own widening of it gives the same
/// bits.
#[test]
fn kernels_widen_to_the_same_values() {
    for (ty, ..) in ANSWERS {
        if form(ty).is_none() {
            continue;
        }
        let expected = values(ty, &blocks(ty));
        for kernels in Kernels::available() {
            let mut widened = vec![0.0_f32; 32 * 256];
            laid_out(ty, &blocks(ty), kernels).unwrap().widen(0..32, &mut widened);
            let same = expected.iter().zip(&widened).all(|(a, b)| a.to_bits() == b.to_bits());
            assert!(same, "{ty} on {}", kernels.name);
        }
    }
}

/// 32 rows of 256 weights.
fn laid_out(ty: GgmlType, blocks: &[u8], kernels: &'static Kernels) -> Result<BlockLinear, OpsError> {
    let fill = |rows: std::ops::Range<usize>, run: &mut Run<'_>| {
        let per_row = blocks.len() / 32;
        fill(ty, &blocks[rows.start * per_row..rows.end * per_row], run)
    };
    BlockLinear::read((32, 256), form(ty).unwrap(), Activation::Runtime, kernels, &Arena::default(), fill)
}

#[test]
fn scales_that_are_not_finite_are_seen() {
    let refused = |ty, at: usize, bytes: [u8; 2]| {
        let mut blocks = blocks(ty);
        let row = 21;
        let at = blocks.len() / 32 * row + at;
        blocks[at..at + 2].copy_from_slice(&bytes);
        let error = laid_out(ty, &blocks, Kernels::best()).unwrap_err();
        assert!(matches!(error, OpsError::NotFinite { row: 21, .. }), "{ty}: {error}");
        error.to_string()
    };
    assert_eq!(refused(GgmlType::Q4_K, 2, [0x00, 0x7c]), "minimum in row 21: expected a finite number, found inf");
    assert_eq!(refused(GgmlType::Q4_0, 0, [0x00, 0xfc]), "scale in row 21: expected a finite number, found -inf");
    assert_eq!(refused(GgmlType::Q8_0, 0, [0x01, 0x7e]), "scale in row 21: expected a finite number, found NaN");
}
