//! Which block type carries which grid, and the file type a recipe's name stands for.

use lfmq_core::{FloatKind, Grid, Holds, Layout, ScaleKind, TensorRole, Zero};
use lfmq_gguf_wire::GgmlType;

/// Levels of IQ4_NL and IQ4_XS.
pub(crate) const IQ4: [i8; 16] = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];
/// Levels of MXFP4, doubled to be whole: code, then sign.
pub(crate) const FP4: [i8; 16] = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12];

/// The type whose values are exactly those of `grid`.
pub(crate) fn block_type(grid: &Grid) -> Option<GgmlType> {
    use GgmlType as T;
    match *grid {
        Grid::Float { float } => Some(match float {
            FloatKind::F32 => T::F32,
            FloatKind::F16 => T::F16,
            FloatKind::BF16 => T::BF16,
        }),
        Grid::Affine { bits, codes, group: 32, zero, scale: ScaleKind::F16 } => {
            let (ty, range) = match (bits, zero) {
                (8, Zero::None) => (T::Q8_0, (-128, 127)),
                (4, Zero::None) => (T::Q4_0, (-8, 7)),
                (5, Zero::None) => (T::Q5_0, (-16, 15)),
                (4, Zero::Bias) => (T::Q4_1, (0, 15)),
                (5, Zero::Bias) => (T::Q5_1, (0, 31)),
                _ => return None,
            };
            (range.0 <= codes.0 && codes.1 <= range.1).then_some(ty)
        }
        Grid::Codebook { levels, group: 32, scale: ScaleKind::F16 } if levels == IQ4 => Some(T::IQ4_NL),
        Grid::Codebook { levels, group: 32, scale: ScaleKind::E8M0 } if levels == FP4 => Some(T::MXFP4),
        Grid::Opaque { layout } => Some(match layout {
            Layout::Q2_K => T::Q2_K,
            Layout::Q3_K => T::Q3_K,
            Layout::Q4_K => T::Q4_K,
            Layout::Q5_K => T::Q5_K,
            Layout::Q6_K => T::Q6_K,
            Layout::IQ4_XS => T::IQ4_XS,
            Layout::TQ1_0 => T::TQ1_0,
            Layout::TQ2_0 => T::TQ2_0,
        }),
        Grid::Affine { .. } | Grid::Codebook { .. } => None,
    }
}

/// The scheme of this format that is nearest to a grid it does not hold.
fn nearest(grid: &Grid) -> &'static str {
    match grid {
        Grid::Affine { bits: 0..=2, .. } => "q2_k",
        Grid::Affine { bits: 3, .. } => "q3_k",
        Grid::Affine { bits: 4, zero: Zero::None, .. } => "q4_0",
        Grid::Affine { bits: 4, .. } => "q4_1",
        Grid::Affine { bits: 5, zero: Zero::None, .. } => "q5_0",
        Grid::Affine { bits: 5, .. } => "q5_1",
        Grid::Affine { bits: 6, .. } => "q6_k",
        Grid::Codebook { scale: ScaleKind::E8M0, .. } => "mxfp4",
        Grid::Codebook { .. } => "iq4_nl",
        _ => "q8_0",
    }
}

/// Whether a tensor of `role` can be stored on `grid`.
pub(crate) fn holds(grid: &Grid, role: TensorRole) -> Holds {
    if !role.quantizable() && *grid != (Grid::Float { float: FloatKind::F32 }) {
        return Holds::No {
            why: format!("GGUF keeps {} in f32, not {grid}; the nearest it holds is f32", role.word()),
        };
    }
    match block_type(grid) {
        Some(_) => Holds::Exactly,
        None => Holds::No { why: format!("GGUF has no type for {grid}; the nearest it holds is {}", nearest(grid)) },
    }
}

/// `general.file_type` by the name of a preset.
const FILE_TYPES: [(&str, u32); 26] = [
    ("F32", 0),
    ("F16", 1),
    ("Q4_0", 2),
    ("Q4_1", 3),
    ("Q8_0", 7),
    ("Q5_0", 8),
    ("Q5_1", 9),
    ("Q2_K", 10),
    ("Q3_K_S", 11),
    ("Q3_K_M", 12),
    ("Q3_K_L", 13),
    ("Q4_K_S", 14),
    ("Q4_K_M", 15),
    ("Q5_K_S", 16),
    ("Q5_K_M", 17),
    ("Q6_K", 18),
    ("Q2_K_S", 21),
    ("IQ4_NL", 25),
    ("IQ4_XS", 30),
    ("BF16", 32),
    ("TQ1_0", 36),
    ("TQ2_0", 37),
    ("MXFP4_MOE", 38),
    // What the file type of a mix is called when most of it has this type.
    ("Q3_K", 12),
    ("Q4_K", 15),
    ("Q5_K", 17),
];

/// The file type of a recipe: that of the preset of its name or, for a recipe of our own, that of the block
/// type which holds most weights. Readers only show it.
pub(crate) fn file_type(recipe: &str, most: GgmlType) -> u32 {
    let find = |name: &str| FILE_TYPES.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, id)| *id);
    let most = if most == GgmlType::MXFP4 { "MXFP4_MOE" } else { most.name() };
    find(recipe).or_else(|| find(most)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_has_a_grid_and_a_file_type() {
        let affine = |bits, codes, zero| Grid::Affine { bits, codes, group: 32, zero, scale: ScaleKind::F16 };
        for (grid, ty) in [
            (affine(8, (-127, 127), Zero::None), GgmlType::Q8_0),
            (affine(4, (-8, 7), Zero::None), GgmlType::Q4_0),
            (affine(4, (0, 15), Zero::Bias), GgmlType::Q4_1),
            (affine(5, (-16, 15), Zero::None), GgmlType::Q5_0),
            (affine(5, (0, 31), Zero::Bias), GgmlType::Q5_1),
            (Grid::Codebook { levels: &IQ4, group: 32, scale: ScaleKind::F16 }, GgmlType::IQ4_NL),
            (Grid::Codebook { levels: &FP4, group: 32, scale: ScaleKind::E8M0 }, GgmlType::MXFP4),
            (Grid::Opaque { layout: Layout::Q4_K }, GgmlType::Q4_K),
            (Grid::Float { float: FloatKind::BF16 }, GgmlType::BF16),
        ] {
            assert_eq!(block_type(&grid), Some(ty));
            assert_eq!(holds(&grid, TensorRole::AttnQ), Holds::Exactly);
        }
        for ty in GgmlType::all() {
            let float = matches!(ty, GgmlType::F32);
            assert_eq!(file_type("my own", ty) == 0, float, "{ty}");
        }
        assert_eq!(file_type("q4_k_m", GgmlType::F32), 15);
    }

    #[test]
    fn what_is_not_held_names_the_nearest() {
        let group64 = Grid::Affine { bits: 4, codes: (-8, 7), group: 64, zero: Zero::None, scale: ScaleKind::F16 };
        let Holds::No { why } = holds(&group64, TensorRole::AttnQ) else { panic!("held") };
        assert!(why.contains("q4_0"), "{why}");
        let bf16 = Grid::Float { float: FloatKind::BF16 };
        assert!(matches!(holds(&bf16, TensorRole::Router), Holds::No { .. }));
        assert_eq!(holds(&Grid::Float { float: FloatKind::F32 }, TensorRole::RouterBias), Holds::Exactly);
    }
}
