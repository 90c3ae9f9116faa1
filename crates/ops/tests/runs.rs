//! Blocks that readers lay out run by run.

use lfmq_core::Activation;
use lfmq_kernels::{Arena, Coding, Kernels};
use lfmq_ops::{BlockKind, BlockLinear, Factor, Form, OpsError, Run, Unpacked32, Unpacked256};
use std::ops::Range;

const ROWS: usize = 150;
const COLS: usize = 512;

fn form(coding: Coding, block: BlockKind, factor: Factor, minima: bool) -> Form {
    Form { coding, block, factor, minima }
}

fn read(
    form: Form,
    kernels: &'static Kernels,
    fill: impl Fn(Range<usize>, &mut Run<'_>) -> Result<(), OpsError> + Sync,
) -> Result<Vec<f32>, OpsError> {
    let linear = BlockLinear::read((ROWS, COLS), form, Activation::Runtime, kernels, &Arena::new(1 << 20), fill)?;
    let mut values = vec![0.0; ROWS * COLS];
    linear.widen(0..ROWS, &mut values);
    Ok(values)
}

/// The block of 32 with this number.
fn block32(i: usize) -> Unpacked32 {
    let codes = std::array::from_fn(|j| ((i * 7 + j * 5) % 16) as i8 - 8);
    Unpacked32 { codes, scale: (i % 61) as f32 / 64.0, min: -((i % 13) as f32) / 8.0 }
}

fn block256(i: usize) -> Unpacked256 {
    let codes = std::array::from_fn(|j| ((i * 7 + j * 5) % 64) as i8 - 32);
    let sub_scales = std::array::from_fn(|s| (i + s) as i8);
    let sub_mins = std::array::from_fn(|s| ((i + 3 * s) % 64) as u8);
    Unpacked256 { codes, scale: (i % 61) as f32 / 64.0, sub_scales, min: (i % 13) as f32 / 8.0, sub_mins }
}

fn numbers(rows: &Range<usize>, per_row: usize) -> Vec<usize> {
    (rows.start * per_row..rows.end * per_row).collect()
}

#[test]
fn strips_hold_the_values_of_their_blocks() {
    for kernels in Kernels::available() {
        for (factor, minima) in [(Factor::F16, false), (Factor::F32, true)] {
            let form32 = form(Coding::Four { offset: 8 }, BlockKind::Of32, factor, minima);
            let values = read(form32, kernels, |rows, run| run.fill32(&numbers(&rows, COLS / 32), |i| block32(*i)));
            for (i, values) in values.unwrap().chunks_exact(32).enumerate() {
                let b = block32(i);
                for (q, v) in b.codes.iter().zip(values) {
                    let min = if minima { b.min } else { 0.0 };
                    assert_eq!(*v, b.scale * f32::from(*q) + min, "block {i} on {}", kernels.name);
                }
            }
            let form256 = form(Coding::Six { offset: 32 }, BlockKind::Of256 { subs: 16 }, factor, minima);
            let values = read(form256, kernels, |rows, run| run.fill256(&numbers(&rows, COLS / 256), |i| block256(*i)));
            for (i, values) in values.unwrap().chunks_exact(256).enumerate() {
                let b = block256(i);
                for (j, v) in values.iter().enumerate() {
                    let min = if minima { b.min * f32::from(b.sub_mins[j / 16]) } else { 0.0 };
                    let expected = b.scale * f32::from(b.sub_scales[j / 16]) * f32::from(b.codes[j]) - min;
                    assert_eq!(*v, expected, "weight {j} of block {i} on {}", kernels.name);
                }
            }
        }
    }
}

#[test]
fn factors_that_cannot_be_kept_are_refused_by_row() {
    let odd = |factor, at: (usize, usize), scale| {
        let form = form(Coding::Byte, BlockKind::Of32, factor, false);
        let block = move |i: &usize| {
            let one = if *i == at.0 * (COLS / 32) + at.1 { scale } else { 1.0 };
            Unpacked32 { codes: [0; 32], scale: one, min: 0.0 }
        };
        read(form, Kernels::best(), |rows, run| run.fill32(&numbers(&rows, COLS / 32), block)).map(|_| ())
    };
    assert!(odd(Factor::F16, (0, 0), 65504.0).is_ok());
    assert!(odd(Factor::F32, (0, 0), 1.0e-30).is_ok());
    let said = |factor, at, scale| odd(factor, at, scale).unwrap_err().to_string();
    assert_eq!(said(Factor::F16, (149, 15), 65505.0), "scale: expected a binary16, found 65505");
    // Rows are counted from the first of their run, which has 64.
    assert_eq!(said(Factor::F16, (64 + 37, 3), f32::NAN), "scale in row 37: expected a finite number, found NaN");
    assert_eq!(said(Factor::F32, (5, 0), f32::INFINITY), "scale in row 5: expected a finite number, found inf");
}

#[test]
fn blocks_of_another_kind_or_number_are_refused() {
    let form = form(Coding::Byte, BlockKind::Of32, Factor::F32, false);
    let said = |read: Result<Vec<f32>, OpsError>| read.unwrap_err().to_string();
    let best = Kernels::best();
    assert_eq!(
        said(read(form, best, |rows, run| run.fill256(&numbers(&rows, COLS / 256), |i| block256(*i)))),
        "blocks of 256: expected 0, found 128"
    );
    assert_eq!(
        said(read(form, best, |rows, run| run.fill32(&numbers(&rows, COLS / 32 - 1), |i| block32(*i)))),
        "blocks of 32: expected 1024, found 960"
    );
}
