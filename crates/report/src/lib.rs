//! Reports for people and for CI engines, from the JSON that `lfmq verify` writes: one HTML page, Markdown for a comment,
//! JUnit XML; the model card; comparison of two runs, merging of shards, and the job matrix of models and targets.
//!
//! Reports are read from files, so everything here works from JSON ([`Report`]). Figures that have to be computed
//! again, when shards are merged, are computed by `lfmq-verify`, so they are those of one run to the last bit.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod card;
mod compare;
mod edge;
mod error;
mod html;
mod junit;
mod markdown;
mod matrix;
mod merge;
mod number;
mod oracle;
mod source;
mod summary;
mod svg;
pub mod view;

pub use card::{CardRow, ModelCard, Usage, model_card};
pub use compare::{Allowed, Comparison, Finding, compare};
pub use edge::Edge;
pub use error::ReportError;
pub use html::{HtmlOptions, html};
pub use junit::junit;
pub use markdown::{comparison_markdown, markdown};
pub use matrix::{Emit, Job, MatrixOptions, jobs, matrix};
pub use merge::{merge, merge_all};
pub use oracle::Oracle;
pub use source::Report;
pub use summary::drift_summary;
pub use view::Verdict;
