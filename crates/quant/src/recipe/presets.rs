use lfmq_core::SchemeId;
use serde::Serialize;

/// A file preset of llama.cpp: the scheme most matrices get and the name that selects the exceptions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Preset {
    /// Its name, e.g. `Q4_K_M`.
    pub name: &'static str,
    /// What a matrix gets that no rule is about.
    pub scheme: SchemeId,
    /// Its number in `general.file_type`.
    pub file_type: u32,
}

const fn preset(name: &'static str, scheme: &'static str, file_type: u32) -> Preset {
    Preset { name, scheme: SchemeId(scheme), file_type }
}

/// Every preset, coarse exceptions in [`super::mixture`].
pub(super) static ALL: [Preset; 23] = [
    preset("F32", "f32", 0),
    preset("F16", "f16", 1),
    preset("BF16", "bf16", 32),
    preset("Q8_0", "q8_0", 7),
    preset("Q4_0", "q4_0", 2),
    preset("Q4_1", "q4_1", 3),
    preset("Q5_0", "q5_0", 8),
    preset("Q5_1", "q5_1", 9),
    preset("Q2_K", "q2_k", 10),
    preset("Q2_K_S", "q2_k", 21),
    preset("Q3_K_S", "q3_k", 11),
    preset("Q3_K_M", "q3_k", 12),
    preset("Q3_K_L", "q3_k", 13),
    preset("Q4_K_S", "q4_k", 14),
    preset("Q4_K_M", "q4_k", 15),
    preset("Q5_K_S", "q5_k", 16),
    preset("Q5_K_M", "q5_k", 17),
    preset("Q6_K", "q6_k", 18),
    preset("IQ4_NL", "iq4_nl", 25),
    preset("IQ4_XS", "iq4_xs", 30),
    preset("MXFP4_MOE", "mxfp4", 38),
    preset("TQ1_0", "tq1_0", 36),
    preset("TQ2_0", "tq2_0", 37),
];

impl Preset {
    /// The preset of this name, in any case.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Self> {
        ALL.iter().find(|p| p.name.eq_ignore_ascii_case(name))
    }

    /// Every preset.
    pub fn all() -> impl Iterator<Item = &'static Self> {
        ALL.iter()
    }

    /// Whether it keeps floats; the rules of mixtures do not apply then.
    #[must_use]
    pub fn float(&self) -> bool {
        matches!(self.scheme.0, "f32" | "f16" | "bf16")
    }
}
