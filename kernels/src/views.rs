//! Weights and activations as integer kernels see them. A type with fewer bits is widened to i8 at load.

/// Weight rows in blocks of 32: `w = scale * code (+ min)`.
#[derive(Clone, Copy, Debug)]
pub struct Rows32<'a> {
    /// Weights in a row, a multiple of 32.
    pub cols: usize,
    /// Codes `[rows, cols]`, a codebook already applied.
    pub codes: &'a [i8],
    /// Scales `[rows, cols / 32]`.
    pub scales: &'a [f32],
    /// What is added to each weight of a block, `[rows, cols / 32]`; empty for none.
    pub mins: &'a [f32],
}

/// Weight rows in blocks of 256 with 16 sub-blocks of 16: `w = scale * sub_scale * code (- min * sub_min)`.
/// A type with sub-blocks of 32 gives each sub-scale twice.
#[derive(Clone, Copy, Debug)]
pub struct Rows256<'a> {
    /// Weights in a row, a multiple of 256.
    pub cols: usize,
    /// Codes `[rows, cols]`.
    pub codes: &'a [i8],
    /// Block scales `[rows, cols / 256]`.
    pub scales: &'a [f32],
    /// Sub-block scales `[rows, cols / 16]`.
    pub sub_scales: &'a [i8],
    /// Block minima `[rows, cols / 256]`, *subtracted*; empty for none.
    pub mins: &'a [f32],
    /// Sub-block minima `[rows, cols / 16]`; empty for none.
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

impl Rows32<'_> {
    /// Number of rows.
    ///
    /// # Panics
    /// When the slices do not fit together.
    #[must_use]
    pub fn rows(&self) -> usize {
        let rows = whole(self.codes.len(), self.cols, 32);
        assert_eq!(self.scales.len(), rows * self.cols / 32, "scales of 32-blocks");
        assert!(self.mins.is_empty() || self.mins.len() == self.scales.len(), "minima of 32-blocks");
        rows
    }
}

impl Rows256<'_> {
    /// Number of rows.
    ///
    /// # Panics
    /// When the slices do not fit together.
    #[must_use]
    pub fn rows(&self) -> usize {
        let rows = whole(self.codes.len(), self.cols, 256);
        assert_eq!(self.scales.len(), rows * self.cols / 256, "scales of 256-blocks");
        assert_eq!(self.sub_scales.len(), rows * self.cols / 16, "scales of sub-blocks");
        assert!(self.mins.is_empty() || self.mins.len() == self.scales.len(), "minima of 256-blocks");
        assert!(self.mins.is_empty() == self.sub_mins.is_empty(), "minima of sub-blocks");
        assert!(self.sub_mins.is_empty() || self.sub_mins.len() == self.sub_scales.len(), "minima of sub-blocks");
        rows
    }
}

impl Acts32<'_> {
    pub(crate) fn count(&self, cols: usize) -> usize {
        let n = whole(self.codes.len(), cols, 32);
        assert_eq!(self.scales.len(), n * cols / 32, "activation scales");
        assert_eq!(self.sums.len(), self.scales.len(), "activation sums");
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
