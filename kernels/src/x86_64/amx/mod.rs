//! The rung `amx`: 8-bit products of several tokens on the processor's tile unit. A tile multiplies 16 tokens by 16 rows
//! and 64 columns in 16 cycles, eight times the pace of `avx512vnni`, to which this rung leaves everything else.

mod gemm_i8;
mod scratch;
mod tiles;
mod unpack;

use super::avx512;
use crate::table::Kernels;
use crate::views::{Acts32, Acts256, ActsRow, Strips32, Strips256, StripsRow};
use std::arch::x86_64::{__cpuid, __cpuid_count, _xgetbv};
use std::sync::LazyLock;

/// Defines functions with the features of the vectors beside tiles.
macro_rules! functions {
    ($($(#[$doc:meta])* $vis:vis fn $name:ident $([$($generics:tt)*])? ($($arg:tt)*) $(-> $ret:ty)? $body:block)*) => {
        $($(#[$doc])*
        #[target_feature(enable = "avx512f,avx512bw,avx512vnni,avx2,fma,f16c")]
        $vis fn $name $(<$($generics)*>)? ($($arg)*) $(-> $ret)? $body)*
    };
}
use functions;

/// Whether this machine has the rung and the system lets us use it.
pub(crate) fn here() -> bool {
    static HERE: LazyLock<bool> =
        LazyLock::new(|| avx512::vnni_here() && std::is_x86_feature_detected!("xsave") && has_tiles() && granted());
    *HERE
}

/// Whether processor and system have tiles with 8-bit products.
fn has_tiles() -> bool {
    const OSXSAVE: u32 = 1 << 27;
    const TILE_AND_INT8: u32 = 1 << 24 | 1 << 25;
    const TILE_STATE: u64 = 1 << 17 | 1 << 18;
    if __cpuid(0).eax < 7 || __cpuid(1).ecx & OSXSAVE == 0 || __cpuid_count(7, 0).edx & TILE_AND_INT8 != TILE_AND_INT8 {
        return false;
    }
    // SAFETY: the processor has the instruction, and the system has allowed it (OSXSAVE).
    let enabled = unsafe { _xgetbv(0) };
    enabled & TILE_STATE == TILE_STATE
}

/// Asks the system for the state of tiles, which Linux gives to processes that ask; those of other systems go without.
#[cfg(target_os = "linux")]
fn granted() -> bool {
    const ARCH_REQ_XCOMP_PERM: libc::c_long = 0x1023;
    const XTILEDATA: libc::c_long = 18;
    // SAFETY: this call takes two numbers and touches no memory of ours.
    unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XTILEDATA) == 0 }
}

#[cfg(not(target_os = "linux"))]
fn granted() -> bool {
    false
}

/// With fewer tokens, laying a strip out for tiles costs more than they save.
const FEW: usize = 12;

fn gemm_b32(x: &Acts32<'_>, w: &Strips32<'_>, out: &mut [f32], ldo: usize) {
    if x.count(w.cols) < FEW {
        return (avx512::VNNI.gemm_b32)(x, w, out, ldo);
    }
    // SAFETY: the table is the only way here, and it is handed out only where `here` holds.
    unsafe { gemm_i8::gemm_b32(x, w, out, ldo) }
}

fn gemm_b256(x: &Acts256<'_>, w: &Strips256<'_>, out: &mut [f32], ldo: usize) {
    if x.count(w.cols) < FEW {
        return (avx512::VNNI.gemm_b256)(x, w, out, ldo);
    }
    // SAFETY: the table is the only way here, and it is handed out only where `here` holds.
    unsafe { gemm_i8::gemm_b256(x, w, out, ldo) }
}

fn gemm_row(x: &ActsRow<'_>, w: &StripsRow<'_>, out: &mut [f32], ldo: usize) {
    if x.count(w.cols) < FEW {
        return (avx512::VNNI.gemm_row)(x, w, out, ldo);
    }
    // SAFETY: the table is the only way here, and it is handed out only where `here` holds.
    unsafe { gemm_i8::gemm_row(x, w, out, ldo) }
}

pub(crate) static TABLE: Kernels = Kernels { name: "amx", gemm_b32, gemm_b256, gemm_row, ..avx512::VNNI_KERNELS };
