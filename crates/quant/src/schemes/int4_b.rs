use super::steps::{Search, Step};
use super::{Scheme, integers};
use crate::QuantError;
use half::{bf16, f16};
use lfmq_core::{Grid, QuantizedRows, ScaleKind, SchemeId, Zero};

/// Blocks of codes -8..=7: `x = d q`, `d` above 0 and searched for the least squared error. Files keep the scales in
/// binary16 and some kernels round them to bfloat16, so they are on both grids before a code is chosen.
pub(super) struct Int4B {
    pub(super) id: &'static str,
    pub(super) block: usize,
}

impl Scheme for Int4B {
    fn id(&self) -> SchemeId {
        SchemeId(self.id)
    }

    fn grid(&self) -> Grid {
        Grid::Affine { bits: 4, codes: (-8, 7), group: self.block, zero: Zero::None, scale: ScaleKind::BF16 }
    }

    fn quantize(
        &self,
        x: &[f32],
        cols: usize,
        importance: Option<&[f32]>,
        out: &mut QuantizedRows,
    ) -> Result<(), QuantError> {
        let alike = vec![1.0; cols];
        let search = (importance.unwrap_or(&alike), Search { zeros: false, stored });
        let plain = |x: &[f32]| Step::of(stored(integers::reaching(x).scale));
        integers::quantize(self.id(), &self.grid(), x, cols, Some(search), out, plain)
    }
}

/// The number on the grids of binary16 and bfloat16 that is nearest to a scale, a normal one. What has no normal number
/// of binary16 is too small to matter beside any other weight.
fn stored(scale: f32) -> f32 {
    f16::from_f32(bf16::from_f32(scale).to_f32()).to_f32().max(f16::MIN_POSITIVE.to_f32())
}

#[cfg(test)]
mod tests {
    use crate::{dequantize, scheme};
    use half::{bf16, f16};
    use lfmq_core::{Payload, QuantizedRows};

    /// Rows with everything that has broken a scale: nothing at all, next to nothing, one sign, and large numbers.
    fn odd_rows(cols: usize) -> Vec<f32> {
        let wave = |i: usize| ((i * 7919 % 1013) as f32 / 1013.0 - 0.45).powi(3);
        let of =
            [|_| 0.0, |v: f32| v * 1e-30, |v: f32| v * 1e-6, |v: f32| -v.abs(), |v: f32| v.abs(), |v: f32| v * 3e4];
        of.iter().flat_map(|f| (0..cols).map(move |i| f(wave(i)))).collect()
    }

    #[test]
    fn no_scale_breaks_a_kernel() {
        let cols = 512;
        for name in ["int4-b32", "int4-b64", "int4-b128", "int4-b256", "int4-row", "int8-row"] {
            let mut rows = QuantizedRows::default();
            scheme(name).unwrap().quantize(&odd_rows(cols), cols, None, &mut rows).unwrap();
            let Payload::Codes { codes, scales, zeros } = &rows.payload else { panic!("{name}") };
            assert!(scales.iter().all(|s| s.is_normal() && *s > 0.0), "{name}");
            assert!(zeros.is_empty() && codes[..cols].iter().all(|c| *c == 0), "{name}");
            if name.contains("-b") {
                let both = |s: f32| f16::from_f32(s).to_f32() == s && bf16::from_f32(s).to_f32() == s;
                assert!(scales.iter().all(|s| both(*s) && *s >= f16::MIN_POSITIVE.to_f32()), "{name}");
            }
        }
    }

    #[test]
    fn a_scale_beyond_binary16_is_an_error() {
        let mut rows = QuantizedRows::default();
        assert!(scheme("int4-b32").unwrap().quantize(&[1e6; 32], 32, None, &mut rows).is_err());
    }

    /// Against the largest magnitude over 7, which is what the runtime's own tools take.
    #[test]
    fn searching_and_the_full_range_pay() {
        let x: Vec<f32> = (0..64 * 256)
            .map(|i| {
                let uniform = |seed: usize| (i * seed % 10_007) as f32 / 10_007.0 + 1e-4;
                (-2.0 * uniform(7919).ln()).sqrt() * (std::f32::consts::TAU * uniform(6007)).cos()
            })
            .collect();
        let error = |y: &[f32]| x.iter().zip(y).map(|(x, y)| (x - y) * (x - y)).sum::<f32>();
        for (name, block) in [("int4-b32", 32), ("int4-b128", 128), ("int4-b256", 256)] {
            let scheme = scheme(name).unwrap();
            let (mut rows, mut y) = (QuantizedRows::default(), vec![0.0; x.len()]);
            scheme.quantize(&x, 256, None, &mut rows).unwrap();
            dequantize(&scheme.grid(), &rows, &mut y).unwrap();
            let plain: Vec<f32> = x
                .chunks(block)
                .flat_map(|x| {
                    let scale = x.iter().fold(0.0f32, |m, x| m.max(x.abs())) / 7.0;
                    x.iter().map(move |x| (x / scale).round_ties_even() * scale)
                })
                .collect();
            assert!(error(&y) < 0.87 * error(&plain), "{name}: {} {}", error(&y), error(&plain));
        }
    }
}
