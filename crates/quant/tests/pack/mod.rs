//! GGUF's block bytes of quantized rows, for comparison only: the exporter has its own packing.

use half::{bf16, f16};
use lfmq_core::{Payload, QuantizedRows};

/// The bytes of `rows` as blocks of type `ty`.
pub fn pack(ty: &str, rows: &QuantizedRows) -> Vec<u8> {
    match &rows.payload {
        Payload::Blocks(bytes) => bytes.clone(),
        Payload::Float(values) => match ty.to_ascii_uppercase().as_str() {
            "F16" => values.iter().flat_map(|v| f16::from_f32(*v).to_le_bytes()).collect(),
            "BF16" => values.iter().flat_map(|v| bf16::from_f32(*v).to_le_bytes()).collect(),
            _ => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        },
        Payload::Codes { codes, scales, zeros } if ty.starts_with("int") => {
            let bytes = |v: &[f32], r: usize| -> Vec<u8> {
                let n = v.len() / rows.rows;
                v[r * n..(r + 1) * n].iter().flat_map(|v| v.to_le_bytes()).collect()
            };
            let row = |r: usize| {
                let codes = codes[r * rows.cols..(r + 1) * rows.cols].iter().map(|c| *c as u8);
                codes.chain(bytes(scales, r)).chain(bytes(zeros, r)).collect::<Vec<_>>()
            };
            (0..rows.rows).flat_map(row).collect()
        }
        Payload::Codes { codes, scales, zeros } => codes
            .chunks(32)
            .enumerate()
            .flat_map(|(g, codes)| group(&ty.to_ascii_uppercase(), codes, scales[g], zeros.get(g).copied()))
            .collect(),
    }
}

fn group(ty: &str, codes: &[i8], scale: f32, bias: Option<f32>) -> Vec<u8> {
    let mut out = Vec::new();
    if ty == "MXFP4" {
        let bits = scale.to_bits();
        out.push(if bits == 0x0020_0000 { 0 } else { (bits >> 23) as u8 + 1 });
    } else {
        out.extend(f16::from_f32(scale).to_le_bytes());
        out.extend(bias.into_iter().flat_map(|b| f16::from_f32(b).to_le_bytes()));
    }
    let lift = match ty {
        "Q4_0" => 8,
        "Q5_0" => 16,
        _ => 0,
    };
    let q: Vec<u8> = codes.iter().map(|c| (c + lift) as u8).collect();
    if ty == "Q8_0" {
        out.extend(q);
        return out;
    }
    if ty.starts_with("Q5") {
        let high = q.iter().enumerate().fold(0u32, |bits, (i, q)| bits | u32::from(q >> 4) << i);
        out.extend(high.to_le_bytes());
    }
    out.extend((0..16).map(|i| q[i] & 15 | q[i + 16] << 4));
    out
}
