use lfmq_core::{Classify, Kind};
use std::path::PathBuf;

/// Why weights cannot be quantized as asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages say it")]
pub enum QuantError {
    #[error("weight [{row}, {col}] is {value}, expected a finite number")]
    NotFinite { row: usize, col: usize, value: f32 },
    #[error("row {row} needs a scale of {value} at weight {col}, which {scheme} cannot store")]
    Scale { scheme: &'static str, row: usize, col: usize, value: f32 },
    #[error("a row of {cols} weights is not a whole number of {scheme} blocks of {block}")]
    Row { scheme: &'static str, cols: usize, block: usize },
    #[error("{what} has {found} elements, expected {expected}")]
    Length { what: &'static str, expected: usize, found: usize },
    #[error("these values are not on the grid {grid}")]
    Payload { grid: String },
    #[error("tensor `{tensor}`: {why}")]
    Tensor { tensor: String, why: Box<QuantError> },
    #[error("unknown scheme `{found}`, expected one of {allowed}")]
    UnknownScheme { found: String, allowed: String },
    #[error("unknown role `{found}`, expected one of {allowed}")]
    UnknownRole { found: String, allowed: String },
    #[error("unknown preset `{found}`, expected one of {allowed}")]
    UnknownPreset { found: String, allowed: String },
    #[error("unknown recipe `{found}`, expected a preset or one of {allowed}")]
    UnknownRecipe { found: String, allowed: String },
    #[error("there is no {found}-bit recipe, expected 2, 3, 4, 5, 6 or 8")]
    UnknownBits { found: u8 },
    #[error("cannot read `{found}`, expected role=scheme")]
    Override { found: String },
    #[error("the model has no tensor of role `{role}`")]
    AbsentRole { role: String },
    #[error("recipe {name}: {why}")]
    RecipeFile { name: String, why: String },
    #[error("cannot read {path}: {why}")]
    Open { path: PathBuf, why: std::io::Error },
    #[error("{path}: {why}")]
    In { path: PathBuf, why: Box<QuantError> },
    #[error("not an importance file: {why}")]
    Importance { why: String },
    #[error("importance entry `{entry}`: {why}")]
    ImportanceEntry { entry: String, why: String },
    #[error("recipe {recipe} needs importance weights for `{tensor}` ({scheme}) and there are none")]
    NeedsImportance { recipe: String, tensor: String, scheme: &'static str },
}

impl QuantError {
    /// The same error, naming the tensor it happened in.
    #[must_use]
    pub fn of_tensor(self, tensor: &str) -> Self {
        Self::Tensor { tensor: tensor.to_owned(), why: Box::new(self) }
    }
}

impl Classify for QuantError {
    fn kind(&self) -> Kind {
        match self {
            Self::UnknownScheme { .. }
            | Self::UnknownRole { .. }
            | Self::UnknownPreset { .. }
            | Self::UnknownRecipe { .. }
            | Self::UnknownBits { .. }
            | Self::Override { .. }
            | Self::AbsentRole { .. }
            | Self::NeedsImportance { .. } => Kind::Usage,
            Self::Length { .. } | Self::Payload { .. } => Kind::Bug,
            Self::Tensor { why, .. } | Self::In { why, .. } => why.kind(),
            _ => Kind::Input,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::NotFinite { .. } => Some("the checkpoint is damaged or overflowed in training".to_owned()),
            Self::Scale { .. } => Some("choose q8_0 or bf16 for this tensor with --set".to_owned()),
            Self::Row { .. } => Some("choose a scheme of blocks of 32, such as q4_0 or q8_0, with --set".to_owned()),
            Self::NeedsImportance { .. } => Some("pass --imatrix FILE, or choose another recipe".to_owned()),
            Self::Tensor { why, .. } | Self::In { why, .. } => why.hint(),
            _ => None,
        }
    }
}
