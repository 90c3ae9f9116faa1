//! The shared bodies, compiled under a rung's features so that the compiler vectorises them with them.

/// Compiles every body under `$features` and defines `over`, which puts them into a table.
macro_rules! compile_bodies {
    ($features:literal) => {
        crate::x86_64::avx2::elementwise::compile_bodies! { $features,
            exp_f32(row: &mut [f32]);
            sigmoid_f32(row: &mut [f32]);
            softmax_f32(row: &mut [f32]);
            silu_mul_f32(gate: &mut [f32], up: &[f32]);
            quantize_b32(x: &[f32], codes: &mut [i8], scales: &mut [f32], sums: &mut [f32], totals: &mut [i16]);
            quantize_b256(x: &[f32], codes: &mut [i8], scales: &mut [f32], sums: &mut [i16]);
            quantize_row(x: &[f32], codes: &mut [i8], totals: &mut [i16]) -> (f32, i32);
            widen_row(w: &StripsRow<'_>, rows: Range<usize>, out: &mut [f32]);
            widen_b32(w: &Strips32<'_>, rows: Range<usize>, out: &mut [f32]);
            widen_b256(w: &Strips256<'_>, rows: Range<usize>, out: &mut [f32]);
            widen_bf16(bits: &[u16], out: &mut [f32]);
            widen_f16(bits: &[u16], out: &mut [f32]);
        }
    };
    ($features:literal, $($name:ident ( $($arg:ident : $ty:ty),* ) $(-> $ret:ty)?;)*) => {
        mod compiled {
            use crate::bodies;
            use crate::views::{Strips32, Strips256, StripsRow};
            use std::ops::Range;

            $(#[target_feature(enable = $features)]
            fn $name($($arg: $ty),*) $(-> $ret)? {
                bodies::$name($($arg),*)
            })*

            /// The same as plain functions, for tables.
            pub(super) mod plain {
                use super::{Range, Strips32, Strips256, StripsRow};

                $(pub(in super::super) fn $name($($arg: $ty),*) $(-> $ret)? {
                    // SAFETY: the tables are the only way here, and a table is handed out only where its rung has
                    // found the features that the function asks for.
                    unsafe { super::$name($($arg),*) }
                })*
            }
        }

        /// A table with these kernels instead of its own.
        pub(in crate::x86_64) const fn over(table: crate::table::Kernels) -> crate::table::Kernels {
            crate::table::Kernels { $($name: compiled::plain::$name,)* ..table }
        }
    };
}
pub(in crate::x86_64) use compile_bodies;

compile_bodies!("avx2,fma,f16c");
