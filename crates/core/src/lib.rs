//! The vocabulary every other crate speaks: what a tensor is, what a grid of values is, what a model's
//! shape is, and the traits at the borders between reading, quantizing, writing and running.
//!
//! It may import nothing of the workspace and holds no algorithm. `unsafe` lives in [`mapped`] alone.
#![deny(unsafe_code)]

mod artifact;
mod dtype;
mod execute;
mod export;
mod fault;
mod grid;
pub mod mapped;
mod observer;
mod plan;
mod role;
mod source;
mod spec;
mod write_error;

pub use artifact::{Artifact, ArtifactFile};
pub use dtype::DType;
pub use execute::{
    Activation, ExecError, Executor, Facts, Session, StoredTensor, Want, Weights, stack_members, stack_name,
};
pub use export::{ExportJob, ExportPlan, Exporter, Holds, PlannedFile, Sink};
pub use fault::{Classify, Fault, Kind};
pub use grid::{FloatKind, Grid, Layout, ScaleKind, Zero};
pub use mapped::Mapped;
pub use observer::{Observer, Silent, Unit};
pub use plan::{ImportanceSource, Payload, QuantPlan, QuantizedRows, SchemeId, TensorPlan};
pub use role::{TensorId, TensorRole};
pub use source::{SourceError, SourceTensor, TensorSource};
pub use spec::{Family, Ffn, LayerSpec, Mixer, ModelSpec, MoeSpec, TokenIds};
pub use write_error::WriteError;
