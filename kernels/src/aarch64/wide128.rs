//! What the rungs of ARM share for 8-bit products: four rows a register. A rung adds its `dot`.

/// Defines the operations of `strip_products` but for `dot`.
macro_rules! operations128 {
    ($features:literal) => {
        use crate::scalar::output_shape;
        use crate::strips::{AHEAD, Acts, Sub, fetch, strip_products, tokens};
        use crate::views::{Acts32, Acts256, ActsRow, Coding, Factors, RowSums, STRIP, Strips32, Strips256, StripsRow};
        use std::arch::aarch64::{
                        float32x4_t, int8x16_t, int32x4_t, uint16x4_t, vaddq_s32, vandq_s8, vcreate_s8, vcvtq_f32_s32, vdupq_n_s8,
            vdupq_n_s32, vfmaq_f32, vfmaq_n_f32, vget_low_s16, vld1_u16, vld1q_f32, vld1q_s8, vld1q_s32, vmlaq_n_s32, vmovl_s8,
            vmovl_s16, vmulq_n_f32, vmulq_s32, vorrq_s8, vqtbl1q_s8, vreinterpretq_s8_u8, vreinterpretq_u8_s8,
            vshlq_n_s8, vshrq_n_u8, vst1q_f32,
        };

        type Codes = int8x16_t;
        type Ints = int32x4_t;
        type Floats = float32x4_t;
        type Pair = (int32x4_t, int32x4_t);

        const LANES: usize = 4;
        const SIGNED_BIAS: i32 = 0;

        #[target_feature(enable = $features)]
        #[inline]
        fn load(from: &[u8; 16]) -> Codes {
            // SAFETY: the reference is to 16 bytes; the instruction asks for no alignment.
            unsafe { vld1q_s8(from.as_ptr().cast()) }
        }

        #[target_feature(enable = $features)]
        #[inline]
        fn keep(v: Codes, bits: i8) -> Codes {
                        vandq_s8(v, vdupq_n_s8(bits))
        }

        #[target_feature(enable = $features)]
        #[inline]
        fn shl<const N: i32>(v: Codes) -> Codes {
            vshlq_n_s8::<N>(v)
        }

        #[target_feature(enable = $features)]
        #[inline]
        fn shr<const N: i32>(v: Codes) -> Codes {
            vreinterpretq_s8_u8(vshrq_n_u8::<N>(vreinterpretq_u8_s8(v)))
        }

        #[target_feature(enable = $features)]
        #[inline]
        fn either(a: Codes, b: Codes) -> Codes {
            vorrq_s8(a, b)
        }

        #[target_feature(enable = $features)]
        #[inline]
        fn choose(table: &[i8; 16], v: Codes) -> Codes {
            // SAFETY: the reference is to 16 bytes; the instruction asks for no alignment.
            let table = unsafe { vld1q_s8(table.as_ptr()) };
            vqtbl1q_s8(table, vreinterpretq_u8_s8(v))
        }

        #[target_feature(enable = $features)]
        #[inline]
        fn signed(v: Codes) -> Codes {
            v
        }

        #[target_feature(enable = $features)]
        #[inline]
        fn splat(v: i32) -> Ints {
            vdupq_n_s32(v)
        }

        #[target_feature(enable = $features)]
        #[inline]
        fn ints(from: &[i32; 4]) -> Ints {
            // SAFETY: the reference is to 4 integers; the instruction asks for no alignment.
            unsafe { vld1q_s32(from.as_ptr()) }
        }

        #[target_feature(enable = $features)]
        #[inline]
        fn plus(a: Ints, b: Ints) -> Ints {
            vaddq_s32(a, b)
        }

        #[target_feature(enable = $features)]
        #[inline]
        fn times(a: Ints, b: Ints) -> Ints {
            vmulq_s32(a, b)
        }

        #[target_feature(enable = $features)]
        #[inline]
        fn widen<S: Sub>(subs: &[S; 4]) -> Ints {
            // SAFETY: the reference is to 4 values of one byte; reading them as a word asks for no alignment here.
            let word = unsafe { subs.as_ptr().cast::<u32>().read_unaligned() };
            vmovl_s16(vget_low_s16(vmovl_s8(vcreate_s8(u64::from(word)))))
        }

        #[target_feature(enable = $features)]
        #[inline]
        fn pair(even: Ints, odd: Ints) -> Pair {
            (even, odd)
        }

        #[target_feature(enable = $features)]
        #[inline]
        fn plus_pair(sums: Ints, (even, odd): Pair, by: [i16; 2]) -> Ints {
            vmlaq_n_s32(vmlaq_n_s32(sums, even, i32::from(by[0])), odd, i32::from(by[1]))
        }

        #[target_feature(enable = $features)]
        #[inline]
        fn factors(all: &Factors<'_>, at: usize) -> Floats {
            match all {
                Factors::F16(all) => {
                    let from: &[u16] = &all[at..][..4];
                    // SAFETY: the slice is of 4 values; the instruction asks for no alignment.
                    from_halves(unsafe { vld1_u16(from.as_ptr()) })
                }
                Factors::F32(all) => {
                    let from: &[f32] = &all[at..][..4];
                    // SAFETY: the slice is of 4 floats; the instruction asks for no alignment.
                    unsafe { vld1q_f32(from.as_ptr()) }
                }
            }
        }

        /// binary16 to f32; the intrinsic wants a type that is not stable.
        #[target_feature(enable = $features)]
        #[inline]
        fn from_halves(v: uint16x4_t) -> Floats {
            let wide: Floats;
            // SAFETY: one instruction of the baseline, from register to register.
            unsafe {
                std::arch::asm!(
                    "fcvtl {wide:v}.4s, {v:v}.4h",
                    wide = out(vreg) wide, v = in(vreg) v,
                    options(pure, nomem, nostack, preserves_flags)
                );
            }
            wide
        }

        #[target_feature(enable = $features)]
        #[inline]
        fn floats(v: Ints) -> Floats {
            vcvtq_f32_s32(v)
        }

        #[target_feature(enable = $features)]
        #[inline]
        fn by(v: Floats, factor: f32) -> Floats {
            vmulq_n_f32(v, factor)
        }

        #[target_feature(enable = $features)]
        #[inline]
        fn fma(a: Floats, b: Floats, c: Floats) -> Floats {
            vfmaq_f32(c, a, b)
        }

        #[target_feature(enable = $features)]
        #[inline]
        fn fma_by(a: Floats, factor: f32, c: Floats) -> Floats {
            vfmaq_n_f32(c, a, factor)
        }

        #[target_feature(enable = $features)]
        #[inline]
        fn put(to: &mut [f32; 4], v: Floats) {
            // SAFETY: the reference is to 4 floats; the instruction asks for no alignment.
            unsafe { vst1q_f32(to.as_mut_ptr(), v) }
        }
    };
}
pub(super) use operations128;
