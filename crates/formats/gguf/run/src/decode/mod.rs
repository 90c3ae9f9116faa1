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
use lfmq_ops::{BlockKind, Factor, Form, OpsError, Run, Unpacked32, Unpacked256};

/// What is done with the blocks of a tensor, whatever their type: compiled for each type with its `unpack` inside.
trait Reader {
    type Out;

    /// Of plain values.
    fn floats(self, values: fn(&[u8]) -> Vec<f32>) -> Self::Out;

    /// Of blocks of 32 weights in `N` bytes.
    fn of32<const N: usize>(self, unpack: impl Fn(&[u8; N]) -> Unpacked32) -> Self::Out;

    /// Of blocks of 256 weights in `N` bytes.
    fn of256<const N: usize>(self, unpack: impl Fn(&[u8; N]) -> Unpacked256) -> Self::Out;
}

fn read<R: Reader>(ty: GgmlType, reader: R) -> R::Out {
    use GgmlType as T;
    match ty {
        T::F32 => reader.floats(floats::f32s),
        T::F16 => reader.floats(floats::f16s),
        T::BF16 => reader.floats(floats::bf16s),
        T::Q4_0 => reader.of32(q4_0::unpack),
        T::Q4_1 => reader.of32(q4_1::unpack),
        T::Q5_0 => reader.of32(q5_0::unpack),
        T::Q5_1 => reader.of32(q5_1::unpack),
        T::Q8_0 => reader.of32(q8_0::unpack),
        T::IQ4_NL => reader.of32(iq4_nl::unpack),
        T::MXFP4 => reader.of32(mxfp4::unpack),
        T::Q2_K => reader.of256(q2_k::unpack),
        T::Q3_K => reader.of256(q3_k::unpack),
        T::Q4_K => reader.of256(q4_k::unpack),
        T::Q5_K => reader.of256(q5_k::unpack),
        T::Q6_K => reader.of256(q6_k::unpack),
        T::IQ4_XS => reader.of256(iq4_xs::unpack),
        T::TQ1_0 => reader.of256(tq1_0::unpack),
        T::TQ2_0 => reader.of256(tq2_0::unpack),
    }
}

/// The values that whole blocks stand for; every operation rounds once, in the order the format describes.
pub(crate) fn values(ty: GgmlType, bytes: &[u8]) -> Vec<f32> {
    struct Values<'a>(&'a [u8], bool);
    impl Reader for Values<'_> {
        type Out = Vec<f32>;

        fn floats(self, values: fn(&[u8]) -> Vec<f32>) -> Vec<f32> {
            values(self.0)
        }

        fn of32<const N: usize>(self, unpack: impl Fn(&[u8; N]) -> Unpacked32) -> Vec<f32> {
            let Self(bytes, minima) = self;
            let mut out = Vec::with_capacity(bytes.len() / N * 32);
            for b in bytes.as_chunks().0.iter().map(unpack) {
                // What leaves every value as it is, zeros of both signs too.
                let min = if minima { b.min } else { -0.0 };
                out.extend(b.codes.iter().map(|q| b.scale * f32::from(*q) + min));
            }
            out
        }

        fn of256<const N: usize>(self, unpack: impl Fn(&[u8; N]) -> Unpacked256) -> Vec<f32> {
            let Self(bytes, minima) = self;
            let mut out = Vec::with_capacity(bytes.len() / N * 256);
            for b in bytes.as_chunks().0.iter().map(unpack) {
                let subs = b.sub_scales.iter().zip(b.sub_mins);
                for (codes, (scale, min)) in b.codes.as_chunks::<16>().0.iter().zip(subs) {
                    let scale = b.scale * f32::from(*scale);
                    let min = if minima { b.min * f32::from(min) } else { 0.0 };
                    out.extend(codes.iter().map(|q| scale * f32::from(*q) - min));
                }
            }
            out
        }
    }
    read(ty, Values(bytes, form(ty).is_some_and(|f| f.minima)))
}

/// Lays whole rows of blocks out in strips.
pub(crate) fn fill(ty: GgmlType, bytes: &[u8], run: &mut Run<'_>) -> Result<(), OpsError> {
    struct Strips<'a, 'r>(&'a [u8], &'a mut Run<'r>);
    impl Reader for Strips<'_, '_> {
        type Out = Result<(), OpsError>;

        /// Floats have no form that a run could be of; they are no blocks of any.
        fn floats(self, _: fn(&[u8]) -> Vec<f32>) -> Self::Out {
            self.of32::<1>(|_| Unpacked32 { codes: [0; 32], scale: f32::NAN, min: 0.0 })
        }

        fn of32<const N: usize>(self, unpack: impl Fn(&[u8; N]) -> Unpacked32) -> Self::Out {
            self.1.fill32(self.0.as_chunks().0, unpack)
        }

        fn of256<const N: usize>(self, unpack: impl Fn(&[u8; N]) -> Unpacked256) -> Self::Out {
            self.1.fill256(self.0.as_chunks().0, unpack)
        }
    }
    read(ty, Strips(bytes, run))
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
