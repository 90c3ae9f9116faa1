//! What the bytes of each tensor type stand for: one file a type, each written from the layout's description.
//! A block becomes codes and scales; the same codes and scales give the f32 values and feed the kernels.

mod bits;
mod floats;
mod iq4_nl;
mod iq4_xs;
#[cfg(test)]
mod known_answers;
mod mxfp4;
mod q2_k;
mod q3_k;
mod q4_0;
mod q4_1;
mod q4_k;
mod q5_0;
mod q5_1;
mod q5_k;
mod q6_k;
mod q8_0;
mod tq1_0;
mod tq2_0;

use lfmq_gguf_wire::GgmlType;
use lfmq_kernels::Coding;
use lfmq_ops::{self as ops, BlockKind, Blocks, Factor, Form};

/// 32 weights: `scale * code`, then `+ min` where the type has minima.
pub(crate) struct Block32 {
    pub codes: [i8; 32],
    pub scale: f32,
    pub min: f32,
}

/// 256 weights in 16 sub-blocks of 16: `(scale * sub_scale) * code`, then `- min * sub_min` where the type has
/// minima. A type with sub-blocks of 32 names each of them twice.
pub(crate) struct Block256 {
    pub codes: [i8; 256],
    pub scale: f32,
    pub sub_scales: [i8; 16],
    pub min: f32,
    pub sub_mins: [u8; 16],
}

/// Whole rows of a 32-block type in the layout of the kernels; `mins` is empty for a type without.
#[derive(Default)]
pub(crate) struct Rows32 {
    pub codes: Vec<i8>,
    pub scales: Vec<f32>,
    pub mins: Vec<f32>,
}

/// Whole rows of a 256-block type in the layout of the kernels.
#[derive(Default)]
pub(crate) struct Rows256 {
    pub codes: Vec<i8>,
    pub scales: Vec<f32>,
    pub sub_scales: Vec<i8>,
    pub mins: Vec<f32>,
    pub sub_mins: Vec<u8>,
}

/// Decoded rows of any type.
pub(crate) enum Rows {
    Float(Vec<f32>),
    Of32(Rows32),
    Of256(Rows256),
}

/// Decodes whole blocks.
pub(crate) fn rows(ty: GgmlType, bytes: &[u8]) -> Rows {
    use GgmlType as T;
    match ty {
        T::F32 => Rows::Float(floats::f32s(bytes)),
        T::F16 => Rows::Float(floats::f16s(bytes)),
        T::BF16 => Rows::Float(floats::bf16s(bytes)),
        T::Q4_0 => rows32(bytes, false, q4_0::unpack),
        T::Q4_1 => rows32(bytes, true, q4_1::unpack),
        T::Q5_0 => rows32(bytes, false, q5_0::unpack),
        T::Q5_1 => rows32(bytes, true, q5_1::unpack),
        T::Q8_0 => rows32(bytes, false, q8_0::unpack),
        T::IQ4_NL => rows32(bytes, false, iq4_nl::unpack),
        T::MXFP4 => rows32(bytes, false, mxfp4::unpack),
        T::Q2_K => rows256(bytes, true, q2_k::unpack),
        T::Q3_K => rows256(bytes, false, q3_k::unpack),
        T::Q4_K => rows256(bytes, true, q4_k::unpack),
        T::Q5_K => rows256(bytes, true, q5_k::unpack),
        T::Q6_K => rows256(bytes, false, q6_k::unpack),
        T::IQ4_XS => rows256(bytes, false, iq4_xs::unpack),
        T::TQ1_0 => rows256(bytes, false, tq1_0::unpack),
        T::TQ2_0 => rows256(bytes, false, tq2_0::unpack),
    }
}

fn rows32<const N: usize>(bytes: &[u8], minima: bool, unpack: fn(&[u8; N]) -> Block32) -> Rows {
    let blocks = bytes.as_chunks::<N>().0;
    let mut rows = Rows32 {
        codes: Vec::with_capacity(32 * blocks.len()),
        scales: Vec::with_capacity(blocks.len()),
        mins: Vec::with_capacity(if minima { blocks.len() } else { 0 }),
    };
    for block in blocks {
        let block = unpack(block);
        rows.codes.extend_from_slice(&block.codes);
        rows.scales.push(block.scale);
        if minima {
            rows.mins.push(block.min);
        }
    }
    Rows::Of32(rows)
}

fn rows256<const N: usize>(bytes: &[u8], minima: bool, unpack: fn(&[u8; N]) -> Block256) -> Rows {
    let blocks = bytes.as_chunks::<N>().0;
    let few = if minima { blocks.len() } else { 0 };
    let mut rows = Rows256 {
        codes: Vec::with_capacity(256 * blocks.len()),
        scales: Vec::with_capacity(blocks.len()),
        sub_scales: Vec::with_capacity(16 * blocks.len()),
        mins: Vec::with_capacity(few),
        sub_mins: Vec::with_capacity(16 * few),
    };
    for block in blocks {
        let block = unpack(block);
        rows.codes.extend_from_slice(&block.codes);
        rows.scales.push(block.scale);
        rows.sub_scales.extend_from_slice(&block.sub_scales);
        if minima {
            rows.mins.push(block.min);
            rows.sub_mins.extend_from_slice(&block.sub_mins);
        }
    }
    Rows::Of256(rows)
}

/// How matrices of a type are kept; `None` for floats.
pub(crate) fn form(ty: GgmlType) -> Option<Form> {
    use GgmlType as T;
    let (coding, block, minima) = match ty {
        T::F32 | T::F16 | T::BF16 => return None,
        T::Q4_0 => (Coding::Four { offset: 8 }, BlockKind::Of32, false),
        T::Q4_1 => (Coding::Four { offset: 0 }, BlockKind::Of32, true),
        T::Q5_0 => (Coding::Five { offset: 16 }, BlockKind::Of32, false),
        T::Q5_1 => (Coding::Five { offset: 0 }, BlockKind::Of32, true),
        T::Q8_0 => (Coding::Byte, BlockKind::Of32, false),
        T::IQ4_NL => (Coding::Table(&iq4_nl::TABLE), BlockKind::Of32, false),
        T::MXFP4 => (Coding::Table(&mxfp4::LEVELS), BlockKind::Of32, false),
        T::Q2_K => (Coding::Four { offset: 0 }, BlockKind::Of256 { subs: 16 }, true),
        T::Q3_K => (Coding::Four { offset: 8 }, BlockKind::Of256 { subs: 16 }, false),
        T::Q4_K => (Coding::Four { offset: 0 }, BlockKind::Of256 { subs: 8 }, true),
        T::Q5_K => (Coding::Five { offset: 0 }, BlockKind::Of256 { subs: 8 }, true),
        T::Q6_K => (Coding::Six { offset: 32 }, BlockKind::Of256 { subs: 16 }, false),
        T::IQ4_XS => (Coding::Table(&iq4_nl::TABLE), BlockKind::Of256 { subs: 8 }, false),
        T::TQ1_0 | T::TQ2_0 => (Coding::Four { offset: 8 }, BlockKind::Of256 { subs: 8 }, false),
    };
    // MXFP4 has powers of two far outside binary16 for scales; every other type stores binary16.
    let factor = if ty == T::MXFP4 { Factor::F32 } else { Factor::F16 };
    Some(Form { coding, block, factor, minima })
}

impl Rows {
    /// The blocks of `[rows, cols]` weights; none of floats.
    pub(crate) fn into_blocks(self, rows: usize, cols: usize) -> Blocks {
        match self {
            Self::Float(_) => Blocks::B32(ops::Block32::default()),
            Self::Of32(Rows32 { codes, scales, mins }) => Blocks::B32(ops::Block32 { rows, cols, codes, scales, mins }),
            Self::Of256(Rows256 { codes, scales, sub_scales, mins, sub_mins }) => {
                Blocks::B256(ops::Block256 { rows, cols, codes, scales, sub_scales, mins, sub_mins })
            }
        }
    }

    /// False when a value or a scale is infinite or not a number.
    pub(crate) fn finite(&self) -> bool {
        let finite = |v: &[f32]| v.iter().all(|x| x.is_finite());
        match self {
            Self::Float(values) => finite(values),
            Self::Of32(rows) => finite(&rows.scales) && finite(&rows.mins),
            Self::Of256(rows) => finite(&rows.scales) && finite(&rows.mins),
        }
    }

    /// The values the blocks stand for; every operation rounds once, in the order the format describes.
    pub(crate) fn into_f32(self) -> Vec<f32> {
        match self {
            Self::Float(values) => values,
            Self::Of32(rows) => rows.to_f32(),
            Self::Of256(rows) => rows.to_f32(),
        }
    }
}

impl Rows32 {
    fn to_f32(&self) -> Vec<f32> {
        let scaled = self.codes.chunks_exact(32).zip(&self.scales);
        let mut out: Vec<f32> = scaled.flat_map(|(codes, d)| codes.iter().map(move |q| d * f32::from(*q))).collect();
        for (values, m) in out.chunks_exact_mut(32).zip(&self.mins) {
            values.iter_mut().for_each(|v| *v += m);
        }
        out
    }
}

impl Rows256 {
    fn to_f32(&self) -> Vec<f32> {
        let scales = self.sub_scales.chunks_exact(16).zip(&self.scales);
        let scales = scales.flat_map(|(subs, d)| subs.iter().map(move |s| d * f32::from(*s)));
        let scaled = self.codes.chunks_exact(16).zip(scales);
        let mut out: Vec<f32> = scaled.flat_map(|(codes, d)| codes.iter().map(move |q| d * f32::from(*q))).collect();
        let mins = self.sub_mins.chunks_exact(16).zip(&self.mins);
        let mins = mins.flat_map(|(subs, d)| subs.iter().map(move |s| d * f32::from(*s)));
        for (values, m) in out.chunks_exact_mut(16).zip(mins) {
            values.iter_mut().for_each(|v| *v -= m);
        }
        out
    }
}
