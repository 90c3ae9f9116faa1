//! What schemes refuse, and how large their errors are.

use lfmq_core::{Classify, Kind, QuantizedRows};
use lfmq_quant::{QuantError, scheme, schemes};
use lfmq_testkit::arith::raw;

fn run(name: &str, x: &[f32], cols: usize, importance: Option<&[f32]>) -> Result<QuantizedRows, QuantError> {
    let mut out = QuantizedRows::default();
    scheme(name).unwrap().quantize(x, cols, importance, &mut out).map(|()| out)
}

#[test]
fn names_find_schemes_in_any_case() {
    for s in schemes::ALL {
        assert_eq!(scheme(&s.id().0.to_uppercase()).unwrap().id(), s.id());
    }
    assert!(scheme("q4").is_none());
}

#[test]
fn weights_that_are_no_numbers_are_named() {
    for s in schemes::ALL {
        for value in [f32::NAN, f32::INFINITY] {
            let mut x = vec![0.5; 3 * 256];
            x[2 * 256 + 77] = value;
            let error = run(s.id().0, &x, 256, None).unwrap_err();
            assert!(error.to_string().starts_with("weight [2, 77] is"), "{}: {error}", s.id());
            assert_eq!(error.kind(), Kind::Input);
        }
    }
}

#[test]
fn scales_beyond_the_type_are_named() {
    // A subnormal group whose exponent byte would be 255, which E8M0 keeps for NaN.
    let mxfp4 = f32::MIN_POSITIVE;
    for (name, large) in [("f16", 7e4), ("q8_0", 1e7), ("q4_1", 1e7), ("q4_0", 1e6), ("q4_k", 1e9), ("iq4_xs", 1e9)]
        .into_iter()
        .chain([("q6_k", 1e9), ("tq2_0", 1e5), ("tq1_0", 1e5), ("q2_k", 1e9), ("q3_k", 1e9), ("mxfp4", mxfp4)])
    {
        let mut x = vec![0.0; 2 * 512];
        x[512 + 256 + 32] = large;
        x[512 + 256 + 33] = -large;
        let error = run(name, &x, 512, None).unwrap_err();
        assert!(matches!(error, QuantError::Scale { row: 1, col: 256.., .. }), "{name}: {error}");
        assert!(error.hint().is_some());
    }
}

#[test]
fn rows_and_importance_must_fit() {
    let x = vec![0.5; 2 * 96];
    assert!(matches!(run("q4_k", &x, 96, None), Err(QuantError::Row { cols: 96, block: 256, .. })));
    assert!(matches!(run("q4_0", &x, 48, None), Err(QuantError::Row { .. })));
    assert!(matches!(run("q4_0", &x, 0, None), Err(QuantError::Row { .. })));
    assert!(matches!(run("q4_0", &x[..100], 96, None), Err(QuantError::Length { .. })));
    assert!(matches!(run("q4_0", &x, 96, Some(&x)), Err(QuantError::Length { .. })));
    assert_eq!(run("q4_0", &[], 96, None).unwrap().rows, 0);
    let rows = run("q4_0", &x, 96, None).unwrap();
    let other = scheme("q4_k").unwrap().grid();
    assert!(matches!(lfmq_quant::dequantize(&other, &rows, &mut [0.0; 192]), Err(QuantError::Payload { .. })));
    let own = scheme("q4_0").unwrap().grid();
    assert!(matches!(lfmq_quant::dequantize(&own, &rows, &mut [0.0; 191]), Err(QuantError::Length { .. })));
}

/// Normal weights: sums of twelve uniform numbers.
fn normal(n: usize) -> Vec<f32> {
    let words = raw("normal", 3 * n);
    let lanes = |z: &u64| (0..4).map(|k| (z >> (16 * k) & 0xffff) as f32).sum::<f32>();
    words.chunks(3).map(|three| three.iter().map(lanes).sum::<f32>() / 65536.0 - 6.0).collect()
}

#[test]
fn errors_on_normal_weights_are_those_of_another_implementation() {
    let x = normal(256 * 1024);
    // Mean squared error over mean square, in thousandths, by a NumPy implementation of the same rules.
    for (name, expected) in [("q4_0", 7.39), ("q4_1", 6.11), ("iq4_nl", 5.63), ("q4_k", 5.02), ("mxfp4", 13.2)] {
        let rows = run(name, &x, 1024, None).unwrap();
        let mut y = vec![0.0; x.len()];
        lfmq_quant::dequantize(&scheme(name).unwrap().grid(), &rows, &mut y).unwrap();
        let noise: f64 = x.iter().zip(&y).map(|(x, y)| f64::from(x - y).powi(2)).sum();
        let found = 1e3 * noise / x.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>();
        assert!((found / expected - 1.0).abs() < 0.03, "{name}: {found}, expected {expected}");
    }
}
