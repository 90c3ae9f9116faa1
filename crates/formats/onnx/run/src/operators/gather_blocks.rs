//! `com.microsoft` GatherBlockQuantized: rows of a quantized table, widened as they are looked up.

use super::blocks::{Form, Zeros};
use super::layout;
use super::matmul_nbits::{bytes, note_weights};
use super::node::{Const, Inputs, Node, Run, one};
use crate::tensor::{self, Kind, Tensor, Why};

pub(super) fn build(node: &mut Node<'_>) -> Result<Run, Why> {
    node.only("gather_axis", 0)?;
    let table = node.must_be_constant(0)?.clone();
    let (scales, zeros) = (node.must_be_constant(2)?.load(), node.constant(3).cloned());
    if node.has(3) && zeros.is_none() {
        return Err("input 3 must be an initializer".into());
    }
    let shape = table.shape().to_vec();
    let axis = layout::axis(node.int("quantize_axis", 1)?, shape.len())?;
    if axis + 1 != shape.len() || shape.len() < 2 {
        return Err(format!("blocks along axis {axis} of {shape:?} are not supported"));
    }
    // Codes in a typed tensor have zero point 0 and their own number; bytes hold `bits` each, around the middle.
    let typed = match &table {
        Const::Stored(stored) => stored.kind,
        _ => Kind::U8,
    };
    let bits = if typed == Kind::U8 { node.size("bits", Some(4))? } else { 4 };
    let width = if typed == Kind::U8 { shape[axis].saturating_mul(8) / bits.max(1) } else { shape[axis] };
    let rows = tensor::elements(&shape[..axis], usize::MAX)?;
    let form = Form::new(rows, width, bits, node.size("block_size", Some(128))?)?;
    if !matches!(typed, Kind::U8 | Kind::U4 | Kind::I4) || scales.len() != form.rows * form.blocks() {
        return Err(format!("{} scales for a table of {shape:?} as {typed:?}", scales.len()));
    }
    note_weights(node, (rows * width) as u64, 0, &[2, 3]);
    [0, 2, 3].into_iter().for_each(|i| node.consume(i));

    let (kind, per_scale) = (scales.kind(), scales.floats()?.into_owned());
    let source = Table::new(&table, typed, zeros.as_ref(), form)?;
    let inner = shape[1..axis].to_vec();
    let rows_of_entry: usize = inner.iter().product();
    let entries = shape[0];
    one(move |inputs: Inputs, context| {
        let indices = inputs.get(1)?;
        let shape = [&*indices.shape, &inner, &[width]].concat();
        let mut out = Vec::with_capacity(tensor::elements(&shape, context.limit)?);
        for i in indices.ints()?.iter() {
            let entry = layout::index(*i, entries)?;
            for row in entry * rows_of_entry..(entry + 1) * rows_of_entry {
                source.widen(row, &per_scale, &mut out);
            }
        }
        Ok(Tensor::floats_of(kind, shape, out))
    })
}

struct Table {
    form: Form,
    codes: Const,
    /// Subtracted from a code before its zero point: -8 for signed nibbles, stored in two's complement.
    signed: bool,
    zeros: Vec<f32>,
}

impl Table {
    fn new(table: &Const, typed: Kind, zeros: Option<&Const>, form: Form) -> Result<Self, Why> {
        let blocks = form.rows * form.blocks();
        let zeros = match zeros {
            None if typed == Kind::U8 => vec![Zeros::Middle.at(&form, 0, 0); blocks],
            None => vec![0.0; blocks],
            Some(zeros) => {
                let tensor = zeros.load();
                if typed == Kind::U8 {
                    let packed = bytes(&tensor)?;
                    if packed.len() != form.rows * form.zero_bytes() {
                        return Err(format!("{} bytes of zero points for {form:?}", packed.len()));
                    }
                    let at = |i: usize| Zeros::Packed(packed).at(&form, i / form.blocks(), i % form.blocks());
                    (0..blocks).map(at).collect()
                } else {
                    tensor.ints()?.iter().map(|z| *z as f32).collect()
                }
            }
        };
        let table = Self { form, codes: table.clone(), signed: typed == Kind::I4, zeros };
        let need = (form.rows * form.cols * form.bits as usize).div_ceil(8);
        if table.zeros.len() != blocks || table.bytes().len() < need {
            return Err(format!("{} zero points for {form:?}", table.zeros.len()));
        }
        Ok(table)
    }

    fn bytes(&self) -> &[u8] {
        match &self.codes {
            Const::Stored(stored) => stored.bytes(),
            Const::Ready(tensor) => bytes(tensor).unwrap_or_default(),
            Const::Dequantized(_) => &[],
        }
    }

    fn widen(&self, row: usize, scales: &[f32], out: &mut Vec<f32>) {
        let form = &self.form;
        let packed = self.bytes();
        out.extend((0..form.cols).map(|i| {
            let code = form.code(packed, row * form.cols + i);
            let code = if self.signed { f32::from((code << 4).cast_signed() >> 4) } else { f32::from(code) };
            let at = row * form.blocks() + i / form.block;
            (code - self.zeros[at]) * scales[at]
        }));
    }
}
