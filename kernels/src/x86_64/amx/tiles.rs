//! The tile registers. They are named in the instructions and hold their contents from one to the next; nothing else
//! in the program touches them.

use std::arch::asm;

/// What the tiles of one kernel have: rows, and bytes of each row.
pub(super) type Shapes = [(usize, usize); 8];

/// 64 bytes at a cache line: 4 codes of each of 16 rows, or 16 sums.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(super) struct Line<T, const N: usize>(pub(super) [T; N]);

impl<T, const N: usize> Line<T, N> {
    /// The elements of some lines.
    pub(super) fn flat(lines: &mut [Self]) -> &mut [T] {
        let (start, len) = (lines.as_mut_ptr().cast(), lines.len() * N);
        // SAFETY: a line is nothing but its array, which fills it, as all kinds of lines there are have 64 bytes.
        unsafe { std::slice::from_raw_parts_mut(start, len) }
    }
}

/// One column group of a strip, `[16 rows][4 columns]`.
pub(super) type Group = Line<i8, 64>;

/// The sums of 16 tokens, `[16 tokens][16 rows]`.
pub(super) type Sums = [Line<i32, 16>; 16];

/// No sums.
pub(super) const NO_SUMS: Sums = [Line([0; 16]); 16];

/// What `ldtilecfg` reads.
#[repr(C, align(64))]
struct Config {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    row_bytes: [u16; 16],
    rows: [u8; 16],
}

/// The tiles in use; given back to the system when dropped, so that it need not save them.
pub(super) struct Tiles(());

impl Tiles {
    /// Tiles of these shapes, all zero.
    ///
    /// # Safety
    /// The machine must have tiles.
    pub(super) unsafe fn new(shapes: &Shapes) -> Self {
        let tiles = Self(());
        // SAFETY: as the caller promises.
        unsafe { tiles.shape(shapes) };
        tiles
    }

    /// Gives the tiles other shapes.
    ///
    /// # Safety
    /// The machine must have tiles.
    pub(super) unsafe fn shape(&self, shapes: &Shapes) {
        let mut config = Config { palette: 1, start_row: 0, reserved: [0; 14], row_bytes: [0; 16], rows: [0; 16] };
        for (i, (rows, bytes)) in shapes.iter().enumerate() {
            debug_assert!(*rows <= 16 && *bytes <= 64, "a tile of {rows} x {bytes}");
            (config.rows[i], config.row_bytes[i]) = (*rows as u8, *bytes as u16);
        }
        // SAFETY: the instruction reads the 64 bytes of the reference.
        unsafe { asm!("ldtilecfg [{}]", in(reg) &raw const config, options(nostack, readonly, preserves_flags)) };
    }
}

impl Drop for Tiles {
    fn drop(&mut self) {
        // SAFETY: the machine has tiles, or there were none to drop.
        unsafe { asm!("tilerelease", options(nostack, nomem, preserves_flags)) };
    }
}

/// The instructions, on tiles by number:
/// - `zero N`;
/// - `load N from pointer, bytes from one row to the next`;
/// - `dot C += A * B`: each row (token) of `A` times each column (row of weights) of `B`, four columns a number;
/// - `store N to sums`.
macro_rules! tile {
    (zero $t:literal) => {
        std::arch::asm!(concat!("tilezero tmm", $t), options(nostack, nomem, preserves_flags))
    };
    (load $t:literal from $at:expr, $stride:expr) => {
        std::arch::asm!(concat!("tileloadd tmm", $t, ", [{at} + {stride}]"), at = in(reg) $at, stride = in(reg) $stride,
            options(nostack, readonly, preserves_flags))
    };
    (dot $c:literal += $a:literal * $b:literal) => {
        std::arch::asm!(concat!("tdpbssd tmm", $c, ", tmm", $a, ", tmm", $b), options(nostack, nomem, preserves_flags))
    };
    (store $t:literal to $sums:expr) => {
        std::arch::asm!(concat!("tilestored [{at} + {stride}], tmm", $t), at = in(reg) std::ptr::from_mut($sums),
            stride = in(reg) 64_usize, options(nostack, preserves_flags))
    };
}
pub(super) use tile;
