//! Reports for people and for CI engines, from the JSON that `lfmq verify` writes: one HTML page, Markdown for a comment,
//! JUnit XML; comparison of two runs, merging of shards, and the job matrix of models and targets.
//!
//! Reports are read from files, so everything here works from JSON ([`Report`]). Figures that have to be computed
//! again, when shards are merged, are computed by `lfmq-verify`, so they are those of one run to the last bit.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod compare;
mod error;
mod html;
mod junit;
mod markdown;
mod matrix;
mod merge;
mod number;
mod source;
mod svg;
pub mod view;

pub use compare::{Allowed, Comparison, Finding, compare};
pub use error::ReportError;
pub use html::{HtmlOptions, html};
pub use junit::junit;
pub use markdown::{comparison_markdown, markdown};
pub use matrix::{Emit, Job, MatrixOptions, jobs, matrix};
pub use merge::{merge, merge_all};
pub use source::Report;
pub use view::Verdict;
