//! Every scheme chooses the same values on every instruction set.
#![allow(clippy::print_stderr, reason = "a skipped test says so")]

use lfmq_core::{Payload, QuantizedRows};
use lfmq_kernels::Isa;
use lfmq_quant::schemes::ALL;
use lfmq_testkit::arith::{NASTY_ROWS, nasty, vals};

/// A payload as bits.
fn bits(rows: &QuantizedRows) -> Vec<u64> {
    let floats = |values: &[f32]| values.iter().map(|v| v.to_bits().into()).collect::<Vec<u64>>();
    match &rows.payload {
        Payload::Float(values) => floats(values),
        Payload::Codes { codes, scales, zeros } => {
            let codes = codes.iter().map(|c| u64::from(c.cast_unsigned()));
            codes.chain(floats(scales)).chain(floats(zeros)).collect()
        }
        Payload::Blocks(bytes) => bytes.iter().map(|b| u64::from(*b)).collect(),
    }
}

#[test]
fn every_instruction_set_chooses_the_same_values() {
    let all = Isa::available();
    for name in ["avx2", "avx512"] {
        if cfg!(target_arch = "x86_64") && !all.iter().any(|isa| isa.name() == name) {
            eprintln!("SKIPPED: this machine lacks {name}");
        }
    }
    // Odd numbers of blocks leave lanes empty.
    for cols in [256, 768, 1792] {
        let mut x = vals("isa", (NASTY_ROWS + 3) * cols);
        nasty(&mut x, cols, "isa");
        let importance: Vec<f32> = vals("isa.im", cols).iter().map(|v| v * v).collect();
        for scheme in ALL {
            for weights in [None, Some(&importance[..])] {
                let mut seen: Option<(Vec<u64>, Vec<u32>)> = None;
                for isa in &all {
                    let (mut out, mut values) = (QuantizedRows::default(), vec![0.0; x.len()]);
                    let found = isa.scope(|| {
                        scheme.quantize(&x, cols, weights, &mut out)?;
                        lfmq_quant::dequantize(&scheme.grid(), &out, &mut values)
                    });
                    if let Err(why) = found {
                        panic!("{} of {cols} on {}: {why}", scheme.id(), isa.name());
                    }
                    let found = (bits(&out), values.iter().map(|v| v.to_bits()).collect());
                    let first = seen.get_or_insert_with(|| found.clone());
                    assert!(
                        *first == found,
                        "{} of {cols}, importance {}: {}",
                        scheme.id(),
                        weights.is_some(),
                        isa.name()
                    );
                }
            }
        }
    }
}
