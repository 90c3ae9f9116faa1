//! Weights and activations as integer kernels see them.
//!
//! Weights lie in *strips* of 16 rows, so that a register holds one column group of many rows and a lane belongs to
//! one row from the first product to the last sum. Inside a strip, blocks follow each other by column; what a block
//! has once a row (a scale, a minimum, a sub-scale) is 16 values side by side. A last strip with fewer rows is filled
//! up with rows whose scales are 0.

use crate::bodies::half_to_f32;

/// Rows of a strip.
pub const STRIP: usize = 16;

/// How the codes of a strip are packed. A *chunk* is 32 columns of a strip, its codes ordered as 8 groups of 4 columns,
/// each `[16 rows][4 columns]`. Bit planes follow each other within the chunk:
/// - byte codes: group by group;
/// - nibbles: byte `i` of plane `v < 4` has group `v` low and group `v + 4` high;
/// - after the nibbles the fifth bits: bit `g` of byte `i` belongs to group `g`;
/// - or the top pairs of bits: bits `2 (g % 4)` of byte `i` of plane `g / 4` belong to group `g`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// The code itself, any i8.
    Byte,
    /// Four bits of `code + offset`.
    Four {
        /// What was added to each code.
        offset: i8,
    },
    /// Five bits of `code + offset`.
    Five {
        /// What was added to each code.
        offset: i8,
    },
    /// Six bits of `code + offset`.
    Six {
        /// What was added to each code.
        offset: i8,
    },
    /// Four bits that choose one of these codes.
    Table(&'static [i8; 16]),
}

impl Coding {
    /// Bytes of a chunk.
    #[must_use]
    pub const fn chunk_bytes(self) -> usize {
        match self {
            Self::Byte => 512,
            Self::Four { .. } | Self::Table(_) => 256,
            Self::Five { .. } => 320,
            Self::Six { .. } => 384,
        }
    }

    /// What unpacked bits exceed the codes by.
    pub(crate) fn offset(self) -> i32 {
        match self {
            Self::Byte | Self::Table(_) => 0,
            Self::Four { offset } | Self::Five { offset } | Self::Six { offset } => i32::from(offset),
        }
    }
}

/// Factors in strip order, as binary16 patterns where that loses nothing.
#[derive(Clone, Copy, Debug)]
pub enum Factors<'a> {
    /// binary16 patterns.
    F16(&'a [u16]),
    /// Plain f32.
    F32(&'a [f32]),
}

impl Factors<'_> {
    /// No factors.
    pub const NONE: Self = Factors::F32(&[]);

    /// Number of factors.
    #[must_use]
    pub const fn len(&self) -> usize {
        match self {
            Self::F16(v) => v.len(),
            Self::F32(v) => v.len(),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The factor at `index`.
    #[inline(always)]
    pub(crate) fn at(&self, index: usize) -> f32 {
        match self {
            Self::F16(v) => half_to_f32(v[index]),
            Self::F32(v) => v[index],
        }
    }
}

/// Weight rows in blocks of 32: `w = scale * code (+ min)`.
#[derive(Clone, Copy, Debug)]
pub struct Strips32<'a> {
    /// Number of rows.
    pub rows: usize,
    /// Weights in a row, a multiple of 32.
    pub cols: usize,
    /// How the codes are packed.
    pub coding: Coding,
    /// Chunks `[strips, cols / 32]` of packed codes.
    pub codes: &'a [u8],
    /// Scales `[strips, cols / 32, 16]`.
    pub scales: Factors<'a>,
    /// What is added to each weight of a block, `[strips, cols / 32, 16]`; empty for none.
    pub mins: Factors<'a>,
}

/// Weight rows in blocks of 256 with 8 sub-blocks of 32 or 16 of 16: `w = scale * sub_scale * code (- min * sub_min)`.
#[derive(Clone, Copy, Debug)]
pub struct Strips256<'a> {
    /// Number of rows.
    pub rows: usize,
    /// Weights in a row, a multiple of 256.
    pub cols: usize,
    /// How the codes are packed.
    pub coding: Coding,
    /// Sub-blocks in a block, 8 or 16.
    pub subs: usize,
    /// Chunks `[strips, cols / 32]` of packed codes.
    pub codes: &'a [u8],
    /// Block scales `[strips, cols / 256, 16]`.
    pub scales: Factors<'a>,
    /// Sub-block scales `[strips, cols / 256, subs, 16]`.
    pub sub_scales: &'a [i8],
    /// Block minima `[strips, cols / 256, 16]`, *subtracted*; empty for none.
    pub mins: Factors<'a>,
    /// Sub-block minima `[strips, cols / 256, subs, 16]`, at most 127; empty for none.
    pub sub_mins: &'a [u8],
}

/// Activations in blocks of 32 (llama.cpp's Q8_0, and Q8_1 by its sums).
#[derive(Clone, Copy, Debug)]
pub struct Acts32<'a> {
    /// Codes `[n, cols]` in -127..=127.
    pub codes: &'a [i8],
    /// Scales `[n, cols / 32]`, representable in binary16.
    pub scales: &'a [f32],
    /// `scale * Σ codes` of each block, rounded to binary16, `[n, cols / 32]`.
    pub sums: &'a [f32],
    /// `Σ codes` of each block, `[n, cols / 32]`.
    pub totals: &'a [i16],
}

/// Activations in blocks of 256 (llama.cpp's Q8_K).
#[derive(Clone, Copy, Debug)]
pub struct Acts256<'a> {
    /// Codes `[n, cols]` in -127..=127.
    pub codes: &'a [i8],
    /// Scales `[n, cols / 256]`.
    pub scales: &'a [f32],
    /// Sums of 16 codes, `[n, cols / 16]`.
    pub sums: &'a [i16],
}

/// Weight rows with symmetric codes, `w = scale * code`, under one scale a row or one for every group of columns.
#[derive(Clone, Copy, Debug)]
pub struct StripsRow<'a> {
    /// Number of rows.
    pub rows: usize,
    /// Weights in a row, a multiple of 32 of at most [`StripsRow::WIDEST`].
    pub cols: usize,
    /// Columns under one scale, a multiple of 32 that divides `cols`.
    pub group: usize,
    /// How the codes are packed.
    pub coding: Coding,
    /// Chunks `[strips, cols / 32]` of packed codes.
    pub codes: &'a [u8],
    /// Scales `[strips, cols / group, 16]`.
    pub scales: Factors<'a>,
    /// What the zero of the activations is multiplied with.
    pub sums: RowSums<'a>,
    /// What is added to each output, `[strips, 16]`; empty for none.
    pub bias: Factors<'a>,
}

/// Sums of the weights of a row, `[strips, 16]`.
#[derive(Clone, Copy, Debug)]
pub enum RowSums<'a> {
    /// One scale a row: sums of codes.
    Codes(&'a [i32]),
    /// Groups: sums of `scale * code`.
    Scaled(&'a [f32]),
}

/// Activations with one scale and one zero a row, `x = scale * (code - zero)`, as XNNPACK makes them.
#[derive(Clone, Copy, Debug)]
pub struct ActsRow<'a> {
    /// Codes `[n, cols]`, any i8.
    pub codes: &'a [i8],
    /// Scales `[n]`.
    pub scales: &'a [f32],
    /// The codes of 0, `[n]`.
    pub zeros: &'a [i32],
    /// Sums of 32 codes, `[n, cols / 32]`.
    pub totals: &'a [i16],
}

impl StripsRow<'_> {
    /// The most columns whose products cannot pass 31 bits: 2^16 * 255 * 128 < 2^31.
    pub const WIDEST: usize = 1 << 16;

    /// Checks that the slices fit together.
    pub(crate) fn check(&self) {
        let chunks = chunks(self.rows, self.cols, 32);
        assert!(self.cols <= Self::WIDEST, "{} columns under one scale", self.cols);
        assert!(self.group > 0 && self.group.is_multiple_of(32), "groups of {}", self.group);
        assert!(self.cols.is_multiple_of(self.group), "{} columns in groups of {}", self.cols, self.group);
        assert_eq!(self.codes.len(), chunks * self.coding.chunk_bytes(), "codes of rows");
        let padded = self.rows.next_multiple_of(STRIP);
        assert_eq!(self.scales.len(), padded * (self.cols / self.group), "scales of rows");
        assert!(self.bias.is_empty() || self.bias.len() == padded, "biases of rows");
        let sums = match self.sums {
            RowSums::Codes(sums) => {
                assert_eq!(self.group, self.cols, "sums of codes belong to one scale a row");
                sums.len()
            }
            RowSums::Scaled(sums) => sums.len(),
        };
        assert_eq!(sums, padded, "sums of rows");
    }
}

impl ActsRow<'_> {
    pub(crate) fn count(&self, cols: usize) -> usize {
        let n = whole(self.codes.len(), cols, 32);
        assert_eq!(self.scales.len(), n, "activation scales");
        assert_eq!(self.zeros.len(), n, "activation zeros");
        assert_eq!(self.totals.len(), n * cols / 32, "activation totals");
        n
    }
}

impl Strips32<'_> {
    /// Checks that the slices fit together.
    pub(crate) fn check(&self) {
        let chunks = chunks(self.rows, self.cols, 32);
        assert_eq!(self.codes.len(), chunks * self.coding.chunk_bytes(), "codes of 32-blocks");
        assert_eq!(self.scales.len(), chunks * STRIP, "scales of 32-blocks");
        assert!(self.mins.is_empty() || self.mins.len() == self.scales.len(), "minima of 32-blocks");
    }
}

impl Strips256<'_> {
    /// Checks that the slices fit together.
    pub(crate) fn check(&self) {
        let chunks = chunks(self.rows, self.cols, 256);
        assert!(self.subs == 8 || self.subs == 16, "{} sub-blocks", self.subs);
        assert_eq!(self.codes.len(), chunks * self.coding.chunk_bytes(), "codes of 256-blocks");
        assert_eq!(self.scales.len(), chunks / 8 * STRIP, "scales of 256-blocks");
        assert_eq!(self.sub_scales.len(), self.scales.len() * self.subs, "scales of sub-blocks");
        assert!(self.mins.is_empty() || self.mins.len() == self.scales.len(), "minima of 256-blocks");
        assert_eq!(self.sub_mins.len(), self.mins.len() * self.subs, "minima of sub-blocks");
    }
}

/// Chunks of 32 columns in all strips.
fn chunks(rows: usize, cols: usize, block: usize) -> usize {
    assert!(cols.is_multiple_of(block), "{cols} columns are not whole blocks of {block}");
    rows.div_ceil(STRIP) * (cols / 32)
}

impl Acts32<'_> {
    pub(crate) fn count(&self, cols: usize) -> usize {
        let n = whole(self.codes.len(), cols, 32);
        assert_eq!(self.scales.len(), n * cols / 32, "activation scales");
        assert_eq!(self.sums.len(), self.scales.len(), "activation sums");
        assert_eq!(self.totals.len(), self.scales.len(), "activation totals");
        n
    }
}

impl Acts256<'_> {
    pub(crate) fn count(&self, cols: usize) -> usize {
        let n = whole(self.codes.len(), cols, 256);
        assert_eq!(self.scales.len(), n * cols / 256, "activation scales");
        assert_eq!(self.sums.len(), n * cols / 16, "activation sums");
        n
    }
}

/// Rows of `cols` in `len`; zero columns mean zero rows.
pub(crate) fn whole(len: usize, cols: usize, block: usize) -> usize {
    assert!(cols.is_multiple_of(block), "{cols} columns are not whole blocks of {block}");
    if cols == 0 {
        assert_eq!(len, 0, "values without columns");
        return 0;
    }
    assert!(len.is_multiple_of(cols), "{len} values are not whole rows of {cols}");
    len / cols
}
