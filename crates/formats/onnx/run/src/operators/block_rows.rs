//! Rows of codes in blocks, read from where the file has them.

use super::blocks::Form;
use crate::stored::{Place, Stored};
use crate::tensor::{Kind, Why};

/// Codes `[rows, row_bytes]`, scales `[rows, blocks]` and perhaps zero points: a weight is `(code - zero) * scale`.
pub(crate) struct BlockRows {
    form: Form,
    codes: Stored,
    scales: Stored,
    zeros: Option<Stored>,
    /// Codes from one row to the next.
    stride: usize,
}

impl BlockRows {
    /// # Errors
    /// When the parts do not have the lengths or types of `form`.
    pub(super) fn new(form: Form, codes: Stored, scales: Stored, zeros: Option<Stored>) -> Result<Self, Why> {
        let (blocks, typed) = (form.rows * form.blocks(), codes.kind);
        let bytes = codes.bytes().len();
        // A typed tensor is packed without regard to rows; rows of bytes may be filled up to whole blocks.
        let (stride, fits) = match typed {
            Kind::U8 => (bytes / form.rows.max(1) * 8 / form.bits as usize, bytes.is_multiple_of(form.rows.max(1))),
            Kind::U4 | Kind::I4 if form.bits == 4 => (form.cols, bytes == (form.rows * form.cols).div_ceil(2)),
            other => return Err(format!("codes as {other:?}")),
        };
        let widest = form.blocks() * form.block;
        if !fits || !(form.cols..=widest).contains(&stride) || !scales.kind.is_float() || scales.count() != blocks {
            return Err(format!("{bytes} bytes of codes and {} scales for {form:?}", scales.count()));
        }
        let zeros_fit = zeros.as_ref().is_none_or(|zeros| match zeros.kind {
            Kind::U8 if typed == Kind::U8 => zeros.count() == form.rows * form.zero_bytes(),
            Kind::F32 | Kind::F16 => zeros.count() == blocks,
            kind => kind == typed && zeros.count() == blocks,
        });
        if !zeros_fit {
            return Err(format!("zero points that are none for {form:?}"));
        }
        Ok(Self { form, codes, scales, zeros, stride })
    }

    /// Number of rows and weights in a row.
    pub fn shape(&self) -> (usize, usize) {
        (self.form.rows, self.form.cols)
    }

    /// Type of the values.
    pub fn kind(&self) -> Kind {
        self.scales.kind
    }

    /// Where codes, scales and zero points begin.
    pub fn places(&self) -> Vec<Place> {
        [Some(&self.codes), Some(&self.scales), self.zeros.as_ref()].into_iter().flatten().map(Stored::place).collect()
    }

    /// The grid in the words of recipes.
    pub fn scheme(&self) -> String {
        let zeros = if self.zeros.is_some() { "-zp" } else { "" };
        format!("int{}-g{}{zeros}", self.form.bits, self.form.block)
    }

    /// Stored bytes of a row with its scales and zero points.
    pub fn row_bytes(&self) -> usize {
        let parts = [Some(&self.codes), Some(&self.scales), self.zeros.as_ref()];
        parts.into_iter().flatten().map(|part| part.bytes().len()).sum::<usize>() / self.form.rows.max(1)
    }

    /// Appends the values of row `row`.
    pub fn widen(&self, row: usize, out: &mut Vec<f32>) -> Result<(), Why> {
        let form = &self.form;
        if row >= form.rows {
            return Err(format!("row {row} of {}", form.rows));
        }
        let blocks = row * form.blocks()..(row + 1) * form.blocks();
        let mut scales = Vec::with_capacity(form.blocks());
        self.scales.floats(blocks.clone(), &mut scales)?;
        let zeros = self.zeros_of(row, blocks)?;
        let (packed, signed) = (self.codes.bytes(), self.codes.kind == Kind::I4);
        let (start, mut codes) = (row * self.stride, vec![0; form.cols]);
        if self.codes.kind == Kind::U8 {
            form.unpack(&packed[start * form.bits as usize / 8..], &mut codes);
        } else {
            codes.iter_mut().enumerate().for_each(|(i, code)| *code = form.code(packed, start + i));
        }
        for ((codes, scale), zero) in codes.chunks(form.block).zip(&scales).zip(&zeros) {
            let value = |code: &u8| if signed { f32::from((code << 4).cast_signed() >> 4) } else { f32::from(*code) };
            out.extend(codes.iter().map(|code| (value(code) - zero) * scale));
        }
        Ok(())
    }

    /// Zero points of a row, one a block.
    fn zeros_of(&self, row: usize, blocks: std::ops::Range<usize>) -> Result<Vec<f32>, Why> {
        let form = &self.form;
        Ok(match &self.zeros {
            // Bytes are around the middle code, typed codes around 0.
            None if self.codes.kind == Kind::U8 => vec![(1_u32 << (form.bits - 1)) as f32; blocks.len()],
            None => vec![0.0; blocks.len()],
            Some(zeros) if zeros.kind.is_float() => {
                let mut out = Vec::with_capacity(blocks.len());
                zeros.floats(blocks, &mut out)?;
                out
            }
            Some(zeros) if zeros.kind == Kind::U8 => {
                let packed = zeros.bytes().get(row * form.zero_bytes()..).unwrap_or_default();
                (0..blocks.len()).map(|b| f32::from(form.code(packed, b))).collect()
            }
            Some(zeros) => {
                let signed = zeros.kind == Kind::I4;
                let nibble = |i| form.code(zeros.bytes(), i);
                let value = |n: u8| if signed { f32::from((n << 4).cast_signed() >> 4) } else { f32::from(n) };
                blocks.map(|i| value(nibble(i))).collect()
            }
        })
    }
}
