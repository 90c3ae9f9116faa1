//! Blocks on their way from a reader into strips.

use crate::OpsError;
use crate::error::expect;
use crate::packed::{BlockKind, Form};
use lfmq_kernels::{Body, Chunk, Isa, STRIP, exact_half, half_to_f32};

/// A block of 32 weights: `scale * code`, then `+ min` where its type has minima.
#[derive(Clone, Copy, Debug)]
pub struct Unpacked32 {
    /// Codes, offset taken off and codebook applied.
    pub codes: [i8; 32],
    /// The scale.
    pub scale: f32,
    /// What is added; 0 where there is none.
    pub min: f32,
}

/// A block of 256 weights in 16 sub-blocks of 16: `(scale * sub_scale) * code`, then `- min * sub_min` where its type has
/// minima. A type with sub-blocks of 32 names each of them twice.
#[derive(Clone, Copy, Debug)]
pub struct Unpacked256 {
    /// Codes, offset taken off and codebook applied.
    pub codes: [i8; 256],
    /// The scale of the block.
    pub scale: f32,
    /// The scales of the sub-blocks; 1 where there are none.
    pub sub_scales: [i8; 16],
    /// The scale of the minima; 0 where there is none.
    pub min: f32,
    /// The minima of the sub-blocks.
    pub sub_mins: [u8; 16],
}

/// Some rows of a matrix, to be filled with the blocks of a reader. They go from the file's bytes into strips
/// in code of the widest instruction set that may be used, so the functions that unpack them should be
/// `#[inline(always)]`.
#[derive(Debug)]
pub struct Run<'a> {
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    pub(crate) form: Form,
    pub(crate) isa: Isa,
    pub(crate) codes: &'a mut [u8],
    pub(crate) scales: KeptRun<'a>,
    pub(crate) mins: KeptRun<'a>,
    pub(crate) sub_scales: &'a mut [i8],
    pub(crate) sub_mins: &'a mut [u8],
}

/// The scales or minima of a run, 16 of a strip side by side.
#[derive(Debug)]
pub(crate) enum KeptRun<'a> {
    F16(&'a mut [u16]),
    F32(&'a mut [f32]),
}

impl Run<'_> {
    /// Lays out `blocks [rows, cols / 32]`, each as `unpack` gives it.
    ///
    /// # Errors
    /// When the run is not of so many such blocks, when a scale or minimum is not finite, and when it is not a binary16
    /// where it is to be kept as one.
    pub fn fill32<B: Copy>(&mut self, blocks: &[B], unpack: impl Fn(&B) -> Unpacked32) -> Result<(), OpsError> {
        expect(|| "blocks of 32".into(), self.blocks(BlockKind::Of32), blocks.len())?;
        self.isa.run(Fill32 { run: self, blocks, unpack })
    }

    /// Lays out `blocks [rows, cols / 256]`, each as `unpack` gives it.
    ///
    /// # Errors
    /// As [`Self::fill32`].
    pub fn fill256<B: Copy>(&mut self, blocks: &[B], unpack: impl Fn(&B) -> Unpacked256) -> Result<(), OpsError> {
        let subs = self.form.block.subs();
        expect(|| "blocks of 256".into(), self.blocks(BlockKind::Of256 { subs }), blocks.len())?;
        self.isa.run(Fill256 { run: self, blocks, unpack })
    }

    /// How many blocks of `kind` are expected.
    fn blocks(&self, kind: BlockKind) -> usize {
        if self.form.block == kind { self.rows * (self.cols / kind.weights()) } else { 0 }
    }

    /// Packs the scales and minima of block column `at` of all strips.
    #[inline(always)]
    fn factors(&mut self, at: usize, scales: &[f32; STRIP], mins: &[f32; STRIP]) -> Result<(), OpsError> {
        let fits = self.scales.put(at, scales) && (!self.form.minima || self.mins.put(at, mins));
        if fits { Ok(()) } else { Err(self.misfit(at, scales, mins)) }
    }

    /// What is wrong with factors that were refused.
    #[cold]
    fn misfit(&self, at: usize, scales: &[f32; STRIP], mins: &[f32; STRIP]) -> OpsError {
        let strip = at / (self.cols / self.form.block.weights()).max(1);
        let all = (0..STRIP).flat_map(|r| [("scale", r, scales[r]), ("minimum", r, mins[r])]);
        match all.clone().find(|(_, _, v)| !v.is_finite()) {
            Some((what, r, value)) => OpsError::NotFinite { what, row: strip * STRIP + r, value },
            None => {
                let odd = all.clone().find(|(_, _, v)| half_to_f32(exact_half(*v)) != *v);
                let (what, _, value) = odd.unwrap_or(("scale", 0, 0.0));
                OpsError::shape(what, "a binary16", value)
            }
        }
    }
}

impl KeptRun<'_> {
    /// Puts 16 factors in their place. False when one is not finite or cannot be kept.
    #[inline(always)]
    fn put(&mut self, at: usize, values: &[f32; STRIP]) -> bool {
        let mut fits = values.iter().fold(true, |all, v| all & v.is_finite());
        match self {
            Self::F32(out) => out[at * STRIP..][..STRIP].copy_from_slice(values),
            Self::F16(out) => {
                for (half, value) in out[at * STRIP..][..STRIP].iter_mut().zip(values) {
                    *half = exact_half(*value);
                    fits &= half_to_f32(*half).to_bits() == value.to_bits();
                }
            }
        }
        fits
    }
}

struct Fill32<'f, 'r, B, F> {
    run: &'f mut Run<'r>,
    blocks: &'f [B],
    unpack: F,
}

impl<B: Copy, F: Fn(&B) -> Unpacked32> Body for Fill32<'_, '_, B, F> {
    type Output = Result<(), OpsError>;

    #[inline(always)]
    fn run(self) -> Self::Output {
        let Self { run, blocks, unpack } = self;
        let (per_row, coding) = (run.cols / 32, run.form.coding);
        // A strip is copied first: memory is read fastest in order, and its rows are read side by side.
        let mut rows = Vec::new();
        for (strip, blocks) in blocks.chunks(STRIP * per_row.max(1)).enumerate() {
            rows.clear();
            rows.extend_from_slice(blocks);
            let (mut chunk, mut scales, mut mins) = (Chunk::default(), [0.0; STRIP], [0.0; STRIP]);
            for block in 0..per_row {
                for (r, b) in rows[block..].iter().step_by(per_row).enumerate() {
                    let b = unpack(b);
                    chunk.0[r] = b.codes;
                    (scales[r], mins[r]) = (b.scale, b.min);
                }
                let at = strip * per_row + block;
                chunk.pack(coding, &mut run.codes[at * coding.chunk_bytes()..][..coding.chunk_bytes()]);
                run.factors(at, &scales, &mins)?;
            }
        }
        Ok(())
    }
}

struct Fill256<'f, 'r, B, F> {
    run: &'f mut Run<'r>,
    blocks: &'f [B],
    unpack: F,
}

impl<B: Copy, F: Fn(&B) -> Unpacked256> Body for Fill256<'_, '_, B, F> {
    type Output = Result<(), OpsError>;

    #[inline(always)]
    fn run(self) -> Self::Output {
        let Self { run, blocks, unpack } = self;
        let (per_row, coding, subs) = (run.cols / 256, run.form.coding, run.form.block.subs());
        let (bytes, twice) = (coding.chunk_bytes(), 16 / subs.max(1));
        // A strip is copied first: memory is read fastest in order, and its rows are read side by side.
        let mut rows = Vec::new();
        for (strip, blocks) in blocks.chunks(STRIP * per_row.max(1)).enumerate() {
            rows.clear();
            rows.extend_from_slice(blocks);
            let (mut chunks, mut scales, mut mins) = ([Chunk::default(); 8], [0.0; STRIP], [0.0; STRIP]);
            for block in 0..per_row {
                let at = strip * per_row + block;
                for (r, b) in rows[block..].iter().step_by(per_row).enumerate() {
                    let b = unpack(b);
                    for (chunk, codes) in chunks.iter_mut().zip(b.codes.as_chunks().0) {
                        chunk.0[r] = *codes;
                    }
                    (scales[r], mins[r]) = (b.scale, b.min);
                    for s in 0..subs {
                        let to = (at * subs + s) * STRIP + r;
                        run.sub_scales[to] = b.sub_scales[s * twice];
                        if run.form.minima {
                            run.sub_mins[to] = b.sub_mins[s * twice];
                        }
                    }
                }
                for (chunk, out) in chunks.iter().zip(run.codes[8 * at * bytes..].chunks_exact_mut(bytes)) {
                    chunk.pack(coding, out);
                }
                run.factors(at, &scales, &mins)?;
            }
        }
        Ok(())
    }
}
