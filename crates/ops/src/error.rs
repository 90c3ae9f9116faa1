use lfmq_core::{Classify, Kind};

/// Parts that do not fit together.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpsError {
    /// A tensor has another shape than the model's numbers ask for.
    #[error("{what}: expected {expected}, found {found}")]
    Shape {
        /// The tensor or number, e.g. `layer 3 attn_q`.
        what: String,
        /// What the model asks for.
        expected: String,
        /// What there is.
        found: String,
    },
    /// A scale or minimum of a block is infinite or not a number.
    #[error("{what} in row {row}: expected a finite number, found {value}")]
    NotFinite {
        /// Which of the two.
        what: &'static str,
        /// The row, counted from the first of its run.
        row: usize,
        /// What it is.
        value: f32,
    },
}

impl OpsError {
    pub(crate) fn shape(what: impl Into<String>, expected: impl ToString, found: impl ToString) -> Self {
        Self::Shape { what: what.into(), expected: expected.to_string(), found: found.to_string() }
    }
}

impl Classify for OpsError {
    fn kind(&self) -> Kind {
        Kind::Input
    }
}

/// An error unless `found == expected`.
pub(crate) fn expect<T: PartialEq + ToString>(
    what: impl FnOnce() -> String,
    expected: T,
    found: T,
) -> Result<(), OpsError> {
    if expected == found { Ok(()) } else { Err(OpsError::shape(what(), expected, found)) }
}
