//! What the schemes of integer codes with binary32 scales share. Scales are not rounded, so nothing but the rounding
//! of a code errs. With importance weights the 4-bit ones look around the plain step for one that errs less.

use super::check;
use super::steps::{Search, Step, choose_codes, refine};
use crate::QuantError;
use crate::number::nearest_within;
use lfmq_core::{Grid, Payload, QuantizedRows, ScaleKind, SchemeId, Zero};

/// The grid of codes `codes` in groups of `group` weights, 0 for whole rows.
pub(super) const fn grid(bits: u8, codes: (i16, i16), group: usize, zero: Zero) -> Grid {
    Grid::Affine { bits, codes, group, zero, scale: ScaleKind::F32 }
}

/// Quantizes `x` group by group on `grid`, by the step that `plain` sees for a group's weights; with the importance of
/// the columns and a search, by the best step around it.
pub(super) fn quantize(
    scheme: SchemeId,
    grid: &Grid,
    x: &[f32],
    cols: usize,
    search: Option<(&[f32], Search)>,
    out: &mut QuantizedRows,
    plain: impl Fn(&[f32]) -> Step,
) -> Result<(), QuantError> {
    let Grid::Affine { codes: (low, high), group, zero, .. } = *grid else {
        return Err(QuantError::Payload { grid: grid.to_string() });
    };
    let (low, high) = (low.into(), high.into());
    check(scheme, group.max(1), x, cols, search.as_ref().map(|(importance, _)| *importance))?;
    let group = if group == 0 { cols } else { group };
    (out.rows, out.cols) = (x.len() / cols, cols);
    if !matches!(out.payload, Payload::Codes { .. }) {
        out.payload = Payload::Codes { codes: Vec::new(), scales: Vec::new(), zeros: Vec::new() };
    }
    let Payload::Codes { codes, scales, zeros } = &mut out.payload else { return Ok(()) };
    codes.resize(x.len(), 0);
    scales.clear();
    zeros.clear();
    let mut steps: Vec<Step> = x.chunks_exact(group).map(plain).collect();
    if let Some((importance, search)) = search {
        refine(&mut steps, (x, group, cols), importance, (low, high), &search);
    }
    for (g, (step, (x, codes))) in
        steps.iter().zip(x.chunks_exact(group).zip(codes.chunks_exact_mut(group))).enumerate()
    {
        if !step.scale.is_finite() {
            let (row, col) = (g * group / cols, g * group % cols);
            return Err(QuantError::Scale { scheme: scheme.0, row, col, value: step.scale });
        }
        choose_codes(*step, x, low, high, codes);
        scales.push(step.scale);
        if zero == Zero::Int {
            zeros.push(step.zero);
        }
    }
    Ok(())
}

/// The weight of largest magnitude, with its sign, lies on the lowest code `-half` and so is kept exactly.
pub(super) fn peak_on_lowest(x: &[f32], half: f32) -> Step {
    let peak = x.iter().fold(0.0f32, |peak, x| if x.abs() > peak.abs() { *x } else { peak });
    Step::of(peak / -half)
}

/// The finest step whose codes -8..=7 reach every weight; one above 0 also where all weights are 0, for kernels that
/// divide by it.
pub(super) fn reaching(x: &[f32]) -> Step {
    let (low, high) = x.iter().fold((0.0f32, 0.0f32), |(low, high), x| (low.min(*x), high.max(*x)));
    Step::of(positive((high / 7.0).max(low / -8.0)))
}

/// A scale for kernels that take no zero and no subnormal number.
pub(super) fn positive(scale: f32) -> f32 {
    /// Stands for no scale at all; a normal number of every type.
    const ANY: f32 = 1.0 / 16_384.0;
    if scale == 0.0 { ANY } else { scale.max(f32::MIN_POSITIVE) }
}

/// Codes `0..=top` from the smallest weight to the largest; zero is among the values.
pub(super) fn between_ends(x: &[f32], top: f32) -> Step {
    let (low, high) = x.iter().fold((0.0f32, 0.0f32), |(low, high), x| (low.min(*x), high.max(*x)));
    let scale = (high - low) / top;
    let zero = if scale == 0.0 { 0.0 } else { nearest_within(-low / scale, 0.0, top) };
    Step { scale, zero }
}

#[cfg(test)]
mod tests {
    use crate::{dequantize, scheme};
    use lfmq_core::{Payload, QuantizedRows};

    fn through(name: &str, x: &[f32], cols: usize) -> (QuantizedRows, Vec<f32>) {
        let scheme = scheme(name).unwrap();
        let mut rows = QuantizedRows::default();
        scheme.quantize(x, cols, None, &mut rows).unwrap();
        let mut y = vec![0.0; x.len()];
        dequantize(&scheme.grid(), &rows, &mut y).unwrap();
        (rows, y)
    }

    #[test]
    fn codes_by_hand() {
        let mut x = [0.0; 32];
        x[..4].copy_from_slice(&[-4.0, 1.0, 2.0, 3.5]);
        for (name, code, scale, zero) in [
            ("int4-g32", [-8, 2, 4, 7], 0.5, None),
            // From -4 to 3.5 in fifteen steps.
            ("int4-g32-zp", [0, 10, 12, 15], 0.5, Some(8.0)),
            ("int8-g32", [-128, 32, 64, 112], 1.0 / 32.0, None),
            ("int8-row", [-127, 32, 64, 111], 4.0 / 127.0, None),
        ] {
            let (rows, y) = through(name, &x, 32);
            let Payload::Codes { codes, scales, zeros } = rows.payload else { panic!("{name}") };
            assert_eq!((&codes[..4], scales[0], zeros.first().copied()), (&code[..], scale, zero), "{name}");
            assert!(x.iter().zip(&y).all(|(x, y)| (x - y).abs() <= scale / 2.0), "{name}: {y:?}");
        }
    }

    #[test]
    fn a_positive_peak_is_kept_and_zeros_stay() {
        let mut x = [0.0; 64];
        x[32] = 3.0;
        for name in ["int4-g32", "int4-g32-zp", "int8-g32", "int8-row"] {
            let (_, y) = through(name, &x, 64);
            assert_eq!(y, x, "{name}");
        }
    }

    #[test]
    fn a_span_beyond_binary32_is_an_error() {
        let x: Vec<f32> = (0..32).map(|i| if i % 2 == 0 { f32::MAX } else { f32::MIN }).collect();
        let mut rows = QuantizedRows::default();
        assert!(scheme("int4-g32-zp").unwrap().quantize(&x, 32, None, &mut rows).is_err());
    }

    #[test]
    fn importance_lessens_the_error_it_weighs() {
        let cols = 256;
        let x: Vec<f32> = (0..8 * cols).map(|i| ((i * 7919 % 1013) as f32 / 1013.0 - 0.45).powi(3)).collect();
        let w: Vec<f32> = (0..cols).map(|i| 0.1 + (i * 31 % 17) as f32).collect();
        for name in ["int4-g32", "int4-g32-zp"] {
            let scheme = scheme(name).unwrap();
            let error = |importance| -> f32 {
                let (mut rows, mut y) = (QuantizedRows::default(), vec![0.0; x.len()]);
                scheme.quantize(&x, cols, importance, &mut rows).unwrap();
                dequantize(&scheme.grid(), &rows, &mut y).unwrap();
                x.iter().zip(&y).enumerate().map(|(i, (x, y))| w[i % cols] * (x - y) * (x - y)).sum()
            };
            assert!(error(Some(&w)) < 0.95 * error(None), "{name}: {} {}", error(Some(&w)), error(None));
        }
    }
}
