//! Values to the bytes of blocks. Nothing is chosen here: each code, scale and zero has its place.

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};
use lfmq_core::{Payload, QuantizedRows};
use lfmq_gguf_wire::GgmlType;

/// Why rows cannot be packed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The payload does not fit type or shape.
    Shape(String),
    /// A value in this row (counted from the first given) cannot be held.
    Value(usize, &'static str),
}

/// Weights of a small block.
const GROUP: usize = 32;
/// A byte holds four bits of one from each half.
const HALF: usize = GROUP / 2;

/// The bytes of `rows` in type `ty`: those of `rows` itself, or laid out in `buffer`.
pub(crate) fn pack<'a>(ty: GgmlType, rows: &'a QuantizedRows, buffer: &'a mut Vec<u8>) -> Result<&'a [u8], Trouble> {
    let row_bytes = ty.row_bytes(rows.cols as u64).ok_or_else(|| shape("whole blocks", rows.cols))? as usize;
    let weights = rows.rows * rows.cols;
    let bytes = match &rows.payload {
        Payload::Float(values) => {
            if values.len() != weights {
                return Err(shape(&format!("{weights} values"), values.len()));
            }
            buffer.clear();
            floats(ty, values, rows.cols, buffer)?;
            &buffer[..]
        }
        Payload::Blocks(bytes) => {
            if bytes.len() != row_bytes * rows.rows {
                return Err(shape(&format!("{} bytes of blocks", row_bytes * rows.rows), bytes.len()));
            }
            check_blocks(ty, bytes, row_bytes)?;
            &bytes[..]
        }
        Payload::Codes { codes, scales, zeros } => {
            let groups = weights / GROUP;
            let biased = matches!(ty, GgmlType::Q4_1 | GgmlType::Q5_1);
            let fits = codes.len() == weights && scales.len() == groups;
            if !fits || zeros.len() != if biased { groups } else { 0 } {
                let found = format!("{}, {} and {}", codes.len(), scales.len(), zeros.len());
                return Err(shape(&format!("{weights} codes and {groups} scales (and biases)"), found));
            }
            check_codes(ty, codes, rows.cols)?;
            let groups_in_row = rows.cols / GROUP;
            // Every byte is laid anew.
            buffer.resize(row_bytes * rows.rows, 0);
            blocks(ty, codes, scales, zeros, buffer).map_err(|(g, what)| Trouble::Value(g / groups_in_row, what))?;
            &buffer[..]
        }
    };
    if bytes.len() == row_bytes * rows.rows { Ok(bytes) } else { Err(shape(&format!("a payload for {ty}"), "another")) }
}

fn shape(expected: &str, found: impl ToString) -> Trouble {
    Trouble::Shape(format!("expected {expected}, found {}", found.to_string()))
}

fn floats(ty: GgmlType, values: &[f32], cols: usize, out: &mut Vec<u8>) -> Result<(), Trouble> {
    let refuse = |at: usize, what| Err(Trouble::Value(at / cols.max(1), what));
    if let Some(at) = first(values, |v| !v.is_finite()) {
        return refuse(at, "a weight is not finite");
    }
    match ty {
        GgmlType::F32 => out.extend(values.iter().flat_map(|v| v.to_le_bytes())),
        GgmlType::BF16 => out.extend(values.iter().flat_map(|v| bf16::from_f32(*v).to_le_bytes())),
        GgmlType::F16 => {
            let halves = halves_of(values);
            if let Some(at) = first(&halves, |h| !h.is_finite()) {
                return refuse(at, "a weight is too large for f16");
            }
            out.extend(halves.iter().flat_map(|h| h.to_le_bytes()));
        }
        _ => return Err(shape(&format!("codes for {ty}"), "floats")),
    }
    Ok(())
}

/// The first of `items` that is `bad`. They are looked at in parts: a search that may end at any of them would take them
/// one by one.
fn first<T>(items: &[T], bad: impl Fn(&T) -> bool) -> Option<usize> {
    const PART: usize = 1024;
    let any = |part: &[T]| part.iter().fold(false, |any, item| any | bad(item));
    let part = items.chunks(PART).position(any)?;
    items.chunks(PART).nth(part)?.iter().position(bad).map(|at| part * PART + at)
}

/// Rounded to f16, a slice at a time.
fn halves_of(values: &[f32]) -> Vec<f16> {
    let mut halves = vec![f16::ZERO; values.len()];
    halves.convert_from_f32_slice(values);
    halves
}

/// What is added to a code to store it, and the largest stored code.
const fn code_range(ty: GgmlType) -> Option<(u8, u8)> {
    match ty {
        GgmlType::Q8_0 => Some((128, 255)),
        GgmlType::Q4_0 => Some((8, 15)),
        GgmlType::Q5_0 => Some((16, 31)),
        GgmlType::Q4_1 | GgmlType::IQ4_NL | GgmlType::MXFP4 => Some((0, 15)),
        GgmlType::Q5_1 => Some((0, 31)),
        _ => None,
    }
}

fn check_codes(ty: GgmlType, codes: &[i8], cols: usize) -> Result<(), Trouble> {
    let Some((shift, most)) = code_range(ty) else { return Err(shape(&format!("other values for {ty}"), "codes")) };
    // A code below the range wraps to beyond it.
    let outside = |code: &i8| code.cast_unsigned().wrapping_add(shift) > most;
    match first(codes, outside) {
        None => Ok(()),
        Some(at) => Err(Trouble::Value(at / cols.max(1), "a code is outside the type's range")),
    }
}

/// Scales (and biases), then codes, block for block. Codes were checked to be in range; the error is that of a group.
fn blocks(
    ty: GgmlType,
    codes: &[i8],
    scales: &[f32],
    zeros: &[f32],
    out: &mut [u8],
) -> Result<(), (usize, &'static str)> {
    let shift = code_range(ty).map_or(0, |(shift, _)| shift);
    let stored = |code: i8| code.cast_unsigned().wrapping_add(shift);
    let halves = |values, what| {
        let halves = halves_of(values);
        first(&halves, |h| !h.is_finite()).map_or(Ok(halves), |at| Err((at, what)))
    };
    let size = ty.block_bytes();
    if ty == GgmlType::MXFP4 {
        for (g, (block, scale)) in out.chunks_exact_mut(size).zip(scales).enumerate() {
            put(block, 0, [exponent(*scale).map_err(|what| (g, what))?]);
        }
    } else {
        let scales = halves(scales, "a scale is not finite in f16")?;
        out.chunks_exact_mut(size).zip(scales).for_each(|(block, half)| put(block, 0, half.to_le_bytes()));
    }
    let biases = halves(zeros, "a bias is not finite in f16")?;
    out.chunks_exact_mut(size).zip(biases).for_each(|(block, half)| put(block, 2, half.to_le_bytes()));
    let codes = codes.as_chunks::<GROUP>().0;
    if ty == GgmlType::Q8_0 {
        let ends = out.as_chunks_mut::<{ 2 + GROUP }>().0.iter_mut().filter_map(|block| block.last_chunk_mut());
        ends.zip(codes).for_each(|(to, codes)| *to = codes.map(i8::cast_unsigned));
        return Ok(());
    }
    let fifths = matches!(ty, GgmlType::Q5_0 | GgmlType::Q5_1);
    for (block, codes) in out.chunks_exact_mut(size).zip(codes) {
        if fifths {
            let bit = |(i, code): (usize, &i8)| u32::from(stored(*code) >> 4) << i;
            let bits = codes.iter().enumerate().map(bit).fold(0u32, |bits, bit| bits | bit);
            put(block, size - HALF - 4, bits.to_le_bytes());
        }
        if let (Some(nibbles), [low, high]) = (block.last_chunk_mut::<HALF>(), codes.as_chunks::<HALF>().0) {
            for ((to, a), b) in nibbles.iter_mut().zip(low).zip(high) {
                *to = (stored(*a) & 15) | (stored(*b) << 4);
            }
        }
    }
    Ok(())
}

/// Lays `bytes` into `to`, `at` bytes behind its front.
fn put<const N: usize>(to: &mut [u8], at: usize, bytes: [u8; N]) {
    if let Some(place) = to.get_mut(at..at + N) {
        place.copy_from_slice(&bytes);
    }
}

/// The exponent byte `e` of a scale `2^(e - 128)`. A block of zeros may come without a scale.
fn exponent(scale: f32) -> Result<u8, &'static str> {
    let bits = scale.to_bits();
    match (bits >> 23, bits & 0x7f_ffff) {
        (0, 0 | 0x20_0000) => Ok(0),
        (0, 0x40_0000) => Ok(1),
        // 255 stands for "not a number".
        (biased @ 1..=253, 0) => Ok(biased as u8 + 1),
        _ => Err("a scale is not a power of two in range"),
    }
}

/// Where the f16 scales of a super-block lie.
const fn halves(ty: GgmlType) -> &'static [usize] {
    match ty {
        GgmlType::Q2_K => &[80, 82],
        GgmlType::Q3_K => &[108],
        GgmlType::Q4_K | GgmlType::Q5_K => &[0, 2],
        GgmlType::Q6_K => &[208],
        GgmlType::IQ4_XS => &[0],
        GgmlType::TQ1_0 => &[52],
        GgmlType::TQ2_0 => &[64],
        _ => &[],
    }
}

/// Super-blocks come as bytes; their f16 scales have to be numbers all the same.
fn check_blocks(ty: GgmlType, bytes: &[u8], row_bytes: usize) -> Result<(), Trouble> {
    let at = halves(ty);
    if at.is_empty() {
        return Err(shape(&format!("other values for {ty}"), "blocks"));
    }
    for (index, block) in bytes.chunks_exact(ty.block_bytes()).enumerate() {
        let finite = at.iter().all(|&i| match block.get(i..i + 2) {
            Some(&[a, b]) => f16::from_le_bytes([a, b]).is_finite(),
            _ => false,
        });
        if !finite {
            return Err(Trouble::Value(index * ty.block_bytes() / row_bytes.max(1), "a scale is not finite in f16"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(ty: GgmlType, rows: &QuantizedRows) -> Result<Vec<u8>, Trouble> {
        // What an earlier call left is of no account.
        let mut buffer = vec![0xff; 7];
        pack(ty, rows, &mut buffer).map(<[u8]>::to_vec)
    }

    fn codes(ty: GgmlType, codes: Vec<i8>, scale: f32, zeros: Vec<f32>) -> Result<Vec<u8>, Trouble> {
        let rows = codes.len() / 32;
        let payload = Payload::Codes { codes, scales: vec![scale; rows], zeros };
        packed(ty, &QuantizedRows { rows, cols: 32, payload })
    }

    #[test]
    fn where_each_bit_goes() {
        // f16 1.0 is 0x3c00; the low half of a block is in low nibbles.
        let ramp = |from: i8| (0..32).map(|i| from + i % 16).collect::<Vec<i8>>();
        let nibbles: Vec<u8> = (0..16).map(|i| i | (i << 4)).collect();
        for (ty, from) in [(GgmlType::Q4_0, -8), (GgmlType::IQ4_NL, 0)] {
            let bytes = codes(ty, ramp(from), 1.0, vec![]).unwrap();
            assert_eq!(bytes, [&[0, 0x3c][..], &nibbles].concat());
        }
        let bytes = codes(GgmlType::Q4_1, ramp(0), 1.0, vec![-1.0]).unwrap();
        assert_eq!(bytes, [&[0, 0x3c, 0, 0xbc][..], &nibbles].concat());
        // Codes 0..31: the fifth bit is set from element 16 on.
        let bytes = codes(GgmlType::Q5_0, (-16..16).collect(), 1.0, vec![]).unwrap();
        assert_eq!(bytes, [&[0, 0x3c, 0, 0, 0xff, 0xff][..], &nibbles].concat());
        let bytes = codes(GgmlType::Q8_0, (-16..16).collect(), 1.0, vec![]).unwrap();
        assert_eq!((bytes[2], bytes[33]), (0xf0, 15));
        let bytes = codes(GgmlType::MXFP4, ramp(0), 0.5, vec![]).unwrap();
        assert_eq!(bytes, [&[127][..], &nibbles].concat());
    }

    #[test]
    fn exponents_reach_into_the_subnormals() {
        for e in 0..=254u8 {
            assert_eq!(exponent(2f64.powi(i32::from(e) - 128) as f32), Ok(e));
        }
        assert_eq!(exponent(0.0), Ok(0));
        for bad in [3.0, -1.0, f32::INFINITY, f32::NAN, 2f32.powi(127)] {
            assert!(exponent(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_does_not_fit_is_told_with_its_row() {
        let two = |scale: f32| Payload::Codes { codes: vec![0; 64], scales: vec![1.0, scale], zeros: vec![] };
        let pack2 = |scale| packed(GgmlType::Q4_0, &QuantizedRows { rows: 2, cols: 32, payload: two(scale) });
        assert!(pack2(65504.0).is_ok());
        assert!(matches!(pack2(65536.0), Err(Trouble::Value(1, _))));
        assert!(matches!(codes(GgmlType::Q4_0, vec![8; 32], 1.0, vec![]), Err(Trouble::Value(0, _))));
        assert!(matches!(codes(GgmlType::Q4_0, vec![0; 32], 1.0, vec![0.0]), Err(Trouble::Shape(_))));
        assert!(matches!(codes(GgmlType::F32, vec![0; 32], 1.0, vec![]), Err(Trouble::Shape(_))));
        let float = |ty, value: f32| {
            let payload = Payload::Float(vec![0.0, value]);
            packed(ty, &QuantizedRows { rows: 2, cols: 1, payload })
        };
        assert!(matches!(float(GgmlType::F16, 1e5), Err(Trouble::Value(1, _))));
        assert!(matches!(float(GgmlType::F32, f32::NAN), Err(Trouble::Value(1, _))));
        assert!(matches!(float(GgmlType::Q8_0, 0.0), Err(Trouble::Shape(_))));
        let mut block = vec![0u8; 2 * 144];
        block[144 + 3] = 0x7c;
        let rows = QuantizedRows { rows: 2, cols: 256, payload: Payload::Blocks(block) };
        assert!(matches!(packed(GgmlType::Q4_K, &rows), Err(Trouble::Value(1, _))));
        assert!(matches!(packed(GgmlType::Q6_K, &rows), Err(Trouble::Shape(_))));
    }
}
