//! Which tensor types carry which grid.

use lfmq_core::{FloatKind, Grid, Holds, ScaleKind, TensorRole, Zero};

/// How a tensor is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// binary32.
    F32,
    /// binary16, turned into binary32 by the runtime.
    F16,
    /// Codes of 8 or 4 bits, one binary32 scale a row.
    Rows { bits: u8 },
    /// Codes of 4 bits, one scale a block; stored as binary16, but on bfloat16's grid, to which kernels round it.
    Blocks { block: usize },
}

/// Sizes of blocks that the CPU kernels have.
const BLOCKS: [usize; 4] = [32, 64, 128, 256];

/// The form of a tensor of `role` and this shape on `grid`, or why there is none.
pub(crate) fn form(grid: &Grid, role: TensorRole) -> Result<Form, String> {
    if !role.quantizable() {
        return match grid {
            Grid::Float { .. } => Ok(Form::F32),
            _ => Err(format!("TFLite keeps {} in f32, not {grid}; the nearest it holds is f32", role.word())),
        };
    }
    let signed = |codes: (i16, i16), bits: u8| codes.0 >= -(1 << (bits - 1)) && codes.1 < 1 << (bits - 1);
    match *grid {
        // A table of binary16 would be turned into binary32 as a whole for one row of it.
        Grid::Float { float: FloatKind::F16 } if role != TensorRole::Embedding => Ok(Form::F16),
        Grid::Float { .. } => Ok(Form::F32),
        Grid::Affine { bits: 8, codes, group: 0, zero: Zero::None, .. } if signed(codes, 8) => {
            Ok(Form::Rows { bits: 8 })
        }
        // Not all kernels compute right with -8.
        Grid::Affine { bits: 4, codes: (-7.., ..=7), group: 0, zero: Zero::None, .. } => Ok(Form::Rows { bits: 4 }),
        Grid::Affine { bits: 4, codes, group, zero: Zero::None, scale: ScaleKind::BF16 }
            if signed(codes, 4) && BLOCKS.contains(&group) =>
        {
            Ok(Form::Blocks { block: group })
        }
        _ => Err(format!("TFLite has no tensor type for {grid}; the nearest it holds is {}", nearest(grid))),
    }
}

/// The scheme of this format that is nearest to a grid it does not hold.
fn nearest(grid: &Grid) -> &'static str {
    match grid {
        Grid::Float { .. } => "f32",
        Grid::Affine { bits: 0..=4, group: 0, .. } => "int4-row",
        Grid::Affine { bits: 0..=4, group: 33..=64, .. } => "int4-b64",
        Grid::Affine { bits: 0..=4, group: 65..=128, .. } => "int4-b128",
        Grid::Affine { bits: 0..=4, group: 129.., .. } => "int4-b256",
        Grid::Affine { bits: 0..=4, .. } | Grid::Codebook { .. } => "int4-b32",
        Grid::Opaque { layout } if layout.block_bytes() * 8 / 256 <= 4 => "int4-b32",
        Grid::Affine { .. } | Grid::Opaque { .. } => "int8-row",
    }
}

pub(crate) fn holds(grid: &Grid, role: TensorRole) -> Holds {
    match form(grid, role) {
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
        use ScaleKind::{BF16, F32};
        for (grid, role, expected) in [
            (affine(8, (-127, 127), 0, Zero::None, F32), TensorRole::Embedding, Form::Rows { bits: 8 }),
            (affine(4, (-7, 7), 0, Zero::None, F32), TensorRole::AttnQ, Form::Rows { bits: 4 }),
            (affine(4, (-8, 7), 32, Zero::None, BF16), TensorRole::FfnUp, Form::Blocks { block: 32 }),
            (affine(4, (-7, 7), 256, Zero::None, BF16), TensorRole::FfnUp, Form::Blocks { block: 256 }),
            (Grid::Float { float: FloatKind::F16 }, TensorRole::FfnUp, Form::F16),
            (Grid::Float { float: FloatKind::F16 }, TensorRole::Embedding, Form::F32),
            (Grid::Float { float: FloatKind::BF16 }, TensorRole::FfnUp, Form::F32),
            (Grid::Float { float: FloatKind::F16 }, TensorRole::Router, Form::F32),
        ] {
            assert_eq!(form(&grid, role), Ok(expected), "{grid}");
        }
    }

    #[test]
    fn what_is_not_held_names_the_nearest() {
        use ScaleKind::{BF16, F16, F32};
        for (grid, nearest) in [
            (affine(4, (-8, 7), 0, Zero::None, F32), "int4-row"),
            // Kernels would round these scales.
            (affine(4, (-8, 7), 32, Zero::None, F32), "int4-b32"),
            (affine(4, (-8, 7), 32, Zero::None, F16), "int4-b32"),
            (affine(4, (-8, 7), 16, Zero::None, BF16), "int4-b32"),
            (affine(4, (-8, 7), 48, Zero::None, BF16), "int4-b64"),
            (affine(4, (0, 15), 128, Zero::Int, F32), "int4-b128"),
            (affine(4, (0, 15), 0, Zero::Int, F32), "int4-row"),
            (affine(8, (-128, 127), 32, Zero::None, F32), "int8-row"),
            (affine(8, (0, 255), 0, Zero::None, F32), "int8-row"),
            (affine(5, (-16, 15), 32, Zero::None, F16), "int8-row"),
            (Grid::Opaque { layout: Layout::Q4_K }, "int4-b32"),
            (Grid::Opaque { layout: Layout::Q6_K }, "int8-row"),
        ] {
            let Holds::No { why } = holds(&grid, TensorRole::FfnUp) else { panic!("{grid} is held") };
            assert!(why.ends_with(&format!(" {nearest}")), "{why}");
        }
        let Holds::No { why } = holds(&affine(8, (-127, 127), 0, Zero::None, F32), TensorRole::Router) else {
            panic!("a router of codes")
        };
        assert!(why.contains("router"), "{why}");
    }
}
