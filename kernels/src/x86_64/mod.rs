//! Rungs of x86-64.

mod avx2;
mod avx512;
mod product;

use crate::table::Kernels;

/// The rungs above scalar, slowest first, with whether this machine has them.
pub(crate) fn rungs() -> [(&'static Kernels, bool); 2] {
    [(&avx2::TABLE, avx2::here()), (&avx512::TABLE, avx512::here())]
}
