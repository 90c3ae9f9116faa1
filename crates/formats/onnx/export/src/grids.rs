//! Which operators carry which grid.

use crate::options::Float;
use lfmq_core::{FloatKind, Grid, Holds, ScaleKind, TensorRole, Zero};

/// How a tensor is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// As floats, binary16 if `half`, else binary32.
    Float { half: bool },
    /// As `MatMulNBits` and `GatherBlockQuantized` read it: unsigned codes, a scale and perhaps a zero a group.
    Blocks {
        bits: u8,
        group: usize,
        zeros: bool,
        /// Stored code - code of the grid.
        shift: i16,
    },
    /// One scale a row, for `MatMulInteger`: codes shifted by 128.
    Rows,
}

/// The form of a tensor of `role` on `grid` in a graph of `float` activations, or why there is none.
pub(crate) fn form(grid: &Grid, role: TensorRole, float: Float) -> Result<Form, String> {
    let half = float == Float::F16;
    if !role.quantizable() {
        return match grid {
            Grid::Float { .. } => Ok(Form::Float { half: false }),
            _ => Err(format!("ONNX keeps {} in f32, not {grid}; the nearest it holds is f32", role.word())),
        };
    }
    let found = match *grid {
        Grid::Float { float: FloatKind::F16 } => Some(Form::Float { half }),
        Grid::Float { .. } if !half => Some(Form::Float { half: false }),
        Grid::Affine { bits: 8, codes: (-127.., ..=127), group: 0, zero: Zero::None, .. } if !half => Some(Form::Rows),
        Grid::Affine { bits, codes, group, zero, scale } if !half || scale == ScaleKind::F16 => {
            blocks(bits, codes, group, zero)
        }
        _ => None,
    };
    let why = || {
        let kind = if half { "a graph of f16 activations" } else { "ONNX" };
        format!("{kind} has no operator for {grid}; the nearest it holds is {}", nearest(grid, half))
    };
    found.ok_or_else(why)
}

fn blocks(bits: u8, codes: (i16, i16), group: usize, zero: Zero) -> Option<Form> {
    let shift = match (zero, codes.0) {
        (Zero::Int, 0..) => 0,
        (Zero::Bias, _) => return None,
        // What the runtime takes for zero if nothing is said.
        _ => 1 << (bits.min(8) - 1),
    };
    let fits = codes.0 + shift >= 0 && codes.1 + shift < 1 << bits.min(8) && codes.1 <= i16::from(i8::MAX);
    let held = matches!(bits, 4 | 8) && group.is_power_of_two() && (16..=256).contains(&group) && fits;
    held.then_some(Form::Blocks { bits, group, zeros: zero == Zero::Int, shift })
}

/// The scheme of this format that is nearest to a grid it does not hold.
fn nearest(grid: &Grid, half: bool) -> &'static str {
    let bits = match grid {
        Grid::Float { .. } => 16,
        Grid::Affine { bits, .. } => *bits,
        Grid::Codebook { .. } => 4,
        Grid::Opaque { layout } => (layout.block_bytes() * 8 / 256) as u8,
    };
    match (bits, grid, half) {
        (16.., _, true) => "f16",
        (16.., _, false) => "f32",
        (0..=4, Grid::Affine { zero: Zero::None, .. }, false) => "int4-g32",
        (0..=4, _, false) => "int4-g32-zp",
        (0..=4, _, true) => "q4_0",
        (_, _, false) => "int8-g32",
        (_, _, true) => "q8_0",
    }
}

pub(crate) fn holds(grid: &Grid, role: TensorRole, float: Float) -> Holds {
    match form(grid, role, float) {
        Ok(_) => Holds::Exactly,
        Err(why) => Holds::No { why },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lfmq_core::Layout;

    fn affine(bits: u8, codes: (i16, i16), group: usize, zero: Zero, scale: ScaleKind) -> Grid {
        Grid::Affine { bits, codes, group, zero, scale }
    }

    #[test]
    fn grids_and_their_forms() {
        use ScaleKind::{F16, F32};
        let block = |bits, group, zeros, shift| Form::Blocks { bits, group, zeros, shift };
        for (grid, float, expected) in [
            (affine(4, (0, 15), 32, Zero::Int, F32), Float::F32, block(4, 32, true, 0)),
            (affine(4, (-8, 7), 64, Zero::None, F32), Float::F32, block(4, 64, false, 8)),
            (affine(4, (-8, 7), 32, Zero::None, F16), Float::F16, block(4, 32, false, 8)),
            (affine(8, (-128, 127), 32, Zero::None, F32), Float::F32, block(8, 32, false, 128)),
            (affine(8, (-128, 127), 128, Zero::Int, F16), Float::F32, block(8, 128, true, 128)),
            (affine(8, (-127, 127), 0, Zero::None, F32), Float::F32, Form::Rows),
            (Grid::Float { float: FloatKind::BF16 }, Float::F32, Form::Float { half: false }),
            (Grid::Float { float: FloatKind::F16 }, Float::F32, Form::Float { half: false }),
            (Grid::Float { float: FloatKind::F16 }, Float::F16, Form::Float { half: true }),
        ] {
            assert_eq!(form(&grid, TensorRole::AttnQ, float), Ok(expected), "{grid}");
        }
    }

    #[test]
    fn what_is_not_held_names_the_nearest() {
        use ScaleKind::{F16, F32};
        for (grid, float, nearest) in [
            (affine(4, (0, 15), 32, Zero::Bias, F16), Float::F32, "int4-g32-zp"),
            (affine(4, (-8, 7), 8, Zero::None, F32), Float::F32, "int4-g32"),
            (affine(4, (-8, 7), 32, Zero::None, F32), Float::F16, "q4_0"),
            (affine(5, (-16, 15), 32, Zero::None, F16), Float::F32, "int8-g32"),
            (affine(8, (0, 255), 32, Zero::Int, F32), Float::F32, "int8-g32"),
            (affine(8, (-128, 127), 0, Zero::None, F32), Float::F32, "int8-g32"),
            (Grid::Opaque { layout: Layout::Q6_K }, Float::F16, "q8_0"),
            (Grid::Opaque { layout: Layout::Q4_K }, Float::F32, "int4-g32-zp"),
            (Grid::Float { float: FloatKind::BF16 }, Float::F16, "f16"),
        ] {
            let Holds::No { why } = holds(&grid, TensorRole::FfnUp, float) else { panic!("{grid} is held") };
            assert!(why.ends_with(&format!(" {nearest}")), "{why}");
        }
        let Holds::No { why } = holds(&affine(8, (-128, 127), 32, Zero::None, F32), TensorRole::Router, Float::F32)
        else {
            panic!("a router of codes")
        };
        assert!(why.contains("router"), "{why}");
    }
}
