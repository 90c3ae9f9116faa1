//! Stored floats to f32.

use half::f16;
use half::slice::HalfFloatSliceExt;
use lfmq_core::DType;
use lfmq_kernels::multiversion;

/// Converts little-endian `bytes` of type `dtype`; both slices hold as many values. Exact for all three types.
pub fn to_f32(dtype: DType, bytes: &[u8], out: &mut [f32]) {
    match dtype {
        DType::F32 => {
            for (x, word) in out.iter_mut().zip(bytes.as_chunks::<4>().0) {
                *x = f32::from_le_bytes(*word);
            }
        }
        DType::BF16 => bf16_to_f32(bytes, out),
        DType::F16 => f16_to_f32(bytes, out),
    }
}

multiversion! {
    fn bf16_to_f32['a](bytes: &'a [u8], out: &'a mut [f32]) -> () {
        for (x, word) in out.iter_mut().zip(bytes.as_chunks::<2>().0) {
            *x = f32::from_bits(u32::from(u16::from_le_bytes(*word)) << 16);
        }
    }
}

/// By way of an aligned buffer, so that the conversion of whole slices can use the machine's instruction for it.
fn f16_to_f32(bytes: &[u8], out: &mut [f32]) {
    const BLOCK: usize = 512;
    let mut buffer = [f16::ZERO; BLOCK];
    for (x, words) in out.chunks_mut(BLOCK).zip(bytes.as_chunks::<2>().0.chunks(BLOCK)) {
        for (half, word) in buffer.iter_mut().zip(words) {
            *half = f16::from_le_bytes(*word);
        }
        let halves = buffer.get(..x.len()).unwrap_or_default();
        halves.convert_to_f32_slice(x);
    }
}
