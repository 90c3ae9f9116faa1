//! Synthetic importance files for the tiny models: columns of zero and of great weight, one expert never hit, two
//! weights left out.

use crate::arith::raw;
use crate::kit::Kind;

/// Alignment of tensor data.
const ALIGN: usize = 32;
/// Value types of the container's metadata.
const U32: u32 = 4;
const STRING: u32 = 8;
const ARRAY: u32 = 9;

/// The bytes of the importance file for the dense (`im/dense.gguf`) or the mixture shape (`im/moe.gguf`).
#[must_use]
pub fn importance(kind: Kind) -> Vec<u8> {
    let mut tensors: Vec<Tensor> = weights(kind).into_iter().flat_map(sums).collect();
    tensors.sort_by(|a, b| a.name.cmp(&b.name));
    container(&tensors)
}

/// A weight by its GGUF name: columns and, for a stack, experts.
struct Weight {
    name: String,
    cols: usize,
    experts: Option<usize>,
}

struct Tensor {
    name: String,
    dims: Vec<usize>,
    values: Vec<f32>,
}

/// The matrices of every layer, less two.
fn weights(kind: Kind) -> Vec<Weight> {
    let shape = kind.shape();
    let mut all = Vec::new();
    for layer in 0..shape.layers {
        let mut put = |name: &str, cols, experts| {
            let name = format!("blk.{layer}.{name}.weight");
            if name != "blk.1.ffn_up.weight" && name != "blk.3.shortconv.out_proj.weight" {
                all.push(Weight { name, cols, experts });
            }
        };
        let mixer: &[&str] = match shape.attention.contains(&layer) {
            true => &["attn_q", "attn_k", "attn_v", "attn_output"],
            false => &["shortconv.in_proj", "shortconv.out_proj"],
        };
        mixer.iter().for_each(|name| put(name, shape.hidden, None));
        let moe = shape.moe.filter(|moe| layer >= moe.dense);
        let (suffix, width) = moe.map_or(("", shape.ffn), |moe| ("_exps", moe.width));
        for (name, cols) in [("gate", shape.hidden), ("up", shape.hidden), ("down", width)] {
            put(&format!("ffn_{name}{suffix}"), cols, moe.map(|moe| moe.experts));
        }
    }
    all
}

/// Sums of squares and counts of one weight.
fn sums(weight: Weight) -> [Tensor; 2] {
    let experts = weight.experts.unwrap_or(1);
    let words = raw(&format!("{}.im", weight.name), weight.cols * experts);
    let mut values: Vec<f32> = words.iter().map(|z| ((z >> 40) as f32 + 1.0) * 2f32.powi(-18)).collect();
    values.iter_mut().skip(5).step_by(16).for_each(|v| *v = 0.0);
    values.iter_mut().skip(7).step_by(32).for_each(|v| *v *= 1024.0);
    let mut counts = vec![48.0];
    let (mut dims, mut count_dims) = (vec![weight.cols], vec![1]);
    if weight.experts.is_some() {
        counts = (0..experts).map(|e| if e == 3 { 0.0 } else { 40.0 + e as f32 }).collect();
        values.chunks_mut(weight.cols).skip(3).take(1).for_each(|row| row.fill(0.0));
        dims.push(experts);
        count_dims.push(experts);
    }
    [
        Tensor { name: format!("{}.in_sum2", weight.name), dims, values },
        Tensor { name: format!("{}.counts", weight.name), dims: count_dims, values: counts },
    ]
}

/// A GGUF file (version 3) of f32 tensors.
fn container(tensors: &[Tensor]) -> Vec<u8> {
    let mut out = b"GGUF".to_vec();
    out.extend(3u32.to_le_bytes());
    out.extend((tensors.len() as u64).to_le_bytes());
    out.extend(4u64.to_le_bytes());
    key(&mut out, "general.type", STRING);
    text(&mut out, "imatrix");
    key(&mut out, "imatrix.datasets", ARRAY);
    out.extend(STRING.to_le_bytes());
    out.extend(1u64.to_le_bytes());
    text(&mut out, "synthetic.txt");
    for (name, value) in [("imatrix.chunk_count", 3u32), ("imatrix.chunk_size", 16)] {
        key(&mut out, name, U32);
        out.extend(value.to_le_bytes());
    }
    let mut at = 0usize;
    for tensor in tensors {
        text(&mut out, &tensor.name);
        out.extend((tensor.dims.len() as u32).to_le_bytes());
        tensor.dims.iter().for_each(|&dim| out.extend((dim as u64).to_le_bytes()));
        out.extend(0u32.to_le_bytes());
        out.extend((at as u64).to_le_bytes());
        at += (tensor.values.len() * 4).next_multiple_of(ALIGN);
    }
    for tensor in tensors {
        out.resize(out.len().next_multiple_of(ALIGN), 0);
        out.extend(tensor.values.iter().flat_map(|v| v.to_le_bytes()));
    }
    out.resize(out.len().next_multiple_of(ALIGN), 0);
    out
}

fn key(out: &mut Vec<u8>, name: &str, kind: u32) {
    text(out, name);
    out.extend(kind.to_le_bytes());
}

fn text(out: &mut Vec<u8>, s: &str) {
    out.extend((s.len() as u64).to_le_bytes());
    out.extend(s.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_those_the_digests_were_taken_of() {
        for (kind, path) in [(Kind::Dense, "im/dense.gguf"), (Kind::Moe, "im/moe.gguf")] {
            let found = crate::sha256_hex(&importance(kind));
            assert_eq!(Some(found.as_str()), crate::expected_sha(path), "{path}");
        }
    }
}
