//! Says how far an artifact is from the checkpoint it was made of, and how fast it runs.
//!
//! Everything here speaks of [`lfmq_core::Executor`]s, weights and token ids: no format, no file of a model, no
//! tokenizer. [`drift::measure`] compares next-token distributions window by window, [`weights::compare`] compares
//! stored values tensor by tensor (and names what differs), [`tasks`] scores generated text, [`latency::measure`]
//! times, [`routing::diagnose`] tells which rule routers follow, [`llama`] reads and writes the KL-divergence base file of llama.cpp, and [`gates`] turns all of it into
//! verdicts on confidence bounds. [`DriftReport`] gathers it.
//!
//! Results are the same on every machine and thread count: sums run in token order in f64, and the
//! transcendental functions are those of `libm`, not the platform's.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod drift;
pub mod edge;
mod error;
pub mod gates;
pub mod graph;
pub mod latency;
pub mod layers;
pub mod llama;
mod markdown;
pub mod memory;
pub mod metrics;
pub mod oracle;
mod report;
pub mod routing;
pub mod shards;
pub mod spec;
pub mod stats;
mod streams;
pub mod tasks;
pub mod weights;
mod windows;

pub use drift::{Drift, DriftOptions};
pub use edge::EdgeReport;
pub use error::{Side, VerifyError};
pub use gates::{BitsClass, GateFile, GateReport, GateResult, Limits, Verdict};
pub use graph::GraphReport;
pub use latency::{LatencyOptions, LatencyReport};
pub use layers::LayerNoise;
pub use llama::LlamaStatistics;
pub use memory::{Memory, memory};
pub use oracle::OracleReport;
pub use report::{ArtifactFacts, DriftReport, SCHEMA_VERSION, TargetVerdict, TextFacts};
pub use shards::{Shard, WindowDetail, WindowMeans};
pub use spec::SpecDifference;
pub use tasks::{Generate, Task, TaskComparison};
pub use weights::{Replay, WeightReport};
pub use windows::{WindowOptions, Windows};
