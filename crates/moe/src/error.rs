use lfmq_core::{Classify, Kind};

/// Why the experts of a layer cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MoeError {
    /// A matrix of an expert is not there.
    #[error("{id} is missing; its layer has {experts} experts")]
    Missing {
        /// Layer, matrix and number.
        id: String,
        /// Experts of a layer.
        experts: usize,
    },
    /// A matrix of an expert is there a second time.
    #[error("tensor `{tensor}`: {id} is there already, as `{first}`")]
    Twice {
        /// The second one's name in the checkpoint.
        tensor: String,
        /// Layer, matrix and number.
        id: String,
        /// The first one's name.
        first: String,
    },
    /// A matrix of an expert that the model does not have.
    #[error("tensor `{tensor}`: the model has no {id}; its mixture layers have {experts} experts")]
    Stray {
        /// Its name in the checkpoint.
        tensor: String,
        /// Layer, matrix and number.
        id: String,
        /// Experts of a layer.
        experts: usize,
    },
    /// A layer was asked for experts that has none.
    #[error("layer {layer} has no experts")]
    Dense {
        /// The layer.
        layer: u16,
    },
    /// A matrix of another shape than the model's.
    #[error("tensor `{tensor}`: expected {expected:?}, found {found:?}")]
    Shape {
        /// Its name in the checkpoint.
        tensor: String,
        /// `(rows, cols)` that the model calls for.
        expected: (usize, usize),
        /// `(rows, cols)` it has.
        found: (usize, usize),
    },
    /// Two matrices that belong into one array are planned on two grids.
    #[error(
        "tensor `{tensor}` is planned on {grid} and `{other}` on {other_grid}; experts stored together share one grid"
    )]
    Grid {
        /// Its name in the checkpoint.
        tensor: String,
        /// Its grid.
        grid: String,
        /// The name of the one it should agree with.
        other: String,
        /// That one's grid.
        other_grid: String,
    },
}

impl Classify for MoeError {
    fn kind(&self) -> Kind {
        match self {
            Self::Grid { .. } => Kind::Input,
            // A checkpoint's tensors are compared with its configuration when it is opened.
            _ => Kind::Bug,
        }
    }

    fn hint(&self) -> Option<String> {
        let told = matches!(self, Self::Grid { .. });
        told.then(|| "choose one scheme for expert_gate and expert_up, e.g. by --set".to_owned())
    }
}
