//! Rungs of x86-64.

mod amx;
mod avx2;
mod avx512;
mod avxvnni;
mod wide256;

use crate::table::Kernels;

/// The rungs above scalar, slowest first, with whether this machine has them.
pub(crate) fn rungs() -> [(&'static Kernels, bool); 5] {
    [
        (&avx2::TABLE, avx2::here()),
        (&avxvnni::TABLE, avxvnni::here()),
        (&avx512::TABLE, avx512::here()),
        (&avx512::VNNI, avx512::vnni_here()),
        (&amx::TABLE, amx::here()),
    ]
}
