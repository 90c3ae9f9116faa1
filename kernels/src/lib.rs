//! Kernels: slices in, slices out. One table of plain function pointers per *rung* (instruction set level),
//! chosen at run time. This is the only crate of the workspace with SIMD, hence with `unsafe`; so the memory that weights
//! are best kept in is had here too, from an [`Arena`].
//!
//! Kernels know no file format: weights reach them in the layouts of [`Strips32`] and [`Strips256`].
//! No slice needs any alignment, outputs may not overlap inputs (the borrow checker sees to it), and slices
//! whose lengths do not fit together are a mistake of the caller: every kernel panics on them.
//!
//! A rung may add a bias to codes to make them unsigned and take it off by the sums of the activations: integers stay
//! exact. Rungs that this machine lacks are run by `emulate.sh`, but for those on 512-bit registers and tiles, which no free
//! emulator has.
//!
//! # The contract: every rung gives the same bits
//!
//! **f32 sums.** A sum over `k` products has 16 *virtual lanes*, all starting at +0. The operands are read as if
//! padded with +0 to a multiple of 16. Element `i` goes into lane `i % 16` by one fused multiply-add, in
//! ascending order of `i`. Then the lanes are folded in halves: lane `j` += lane `j + 8` for `j < 8`, then 4, 2, 1.
//! A sum of plain numbers is a sum of products with 1. How outputs are grouped into registers is free.
//!
//! **Weighted row sums** (`weighted_sum_f32`, `weighted_sums_f32`) have one lane per column: rows are added in ascending
//! order by fused multiply-add, starting from +0.
//!
//! **Element-wise kernels** are one body of source, compiled once per rung; rustc contracts nothing on its own, so
//! a multiply-add is fused exactly where the source says `mul_add`. [`exp`](Kernels::exp_f32) is ours: the platform's
//! differs between machines. Quantizers may be a rung's own: all that they join across elements are maxima and sums of
//! integers, which have no order.
//!
//! **Integers** are exact inside a block; blocks are added in f32 in ascending order:
//! - 32-blocks: `sum = fma(d_w * d_x, isum as f32, sum)`, then, with minima, `sum = fma(m_w, s_x, sum)`, block by block;
//! - rows with one scale: `fma((isum - zero * csum) as f32 * d_x, d_w, bias)`, where `csum` sums the codes of the row;
//! - rows with groups: `sum = -zero as f32 * ssum`, then `sum = fma(d_w, isum as f32, sum)`, group by group, then
//!   `sum * d_x`, then `+ bias` if there are any, where `ssum` sums the weights of the row;
//! - 256-blocks: `isum = Σ_sub scale_sub * Σ q * a`; `sum = fma(d_w * d_x, isum as f32, sum)`, then, with minima,
//!   `sum = fma(-(dmin_w * d_x), (Σ_sub min_sub * bsum_sub) as f32, sum)`, block by block.
//!
//! Activation codes of blocks lie in -127..=127 (their quantizers see to it; those of rows use all of i8, and a row is
//! at most 2^16 long), weight codes may use all of i8. Then no
//! product pair exceeds 2 * 128 * 127 < 2^15 and no 256-block sum exceeds 256 * 128 * 128 * 127 < 2^31.
//!
//! NaN payloads are outside the contract.

#[cfg(target_arch = "aarch64")]
mod aarch64;
mod bodies;
mod memory;
mod multiversion;
mod pack;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod product;
mod scalar;
mod sha256;
mod single;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod singles;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod strips;
mod table;
mod views;
#[cfg(target_arch = "x86_64")]
mod x86_64;

#[cfg(test)]
mod contract_tests;

pub use bodies::half_to_f32;
pub use memory::{Arena, Number, Slab};
pub use multiversion::{Body, Isa};
pub use pack::{Chunk, exact_half, pack_codes, pack_values};
pub use sha256::Sha256;
pub use table::{Kernels, Quantize32, Quantize256, QuantizeRow, UnknownRung, WeightedSums};
pub use views::{Acts32, Acts256, ActsRow, Coding, Factors, RowSums, STRIP, Strips32, Strips256, StripsRow};
