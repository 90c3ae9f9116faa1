use lfmq_core::{Classify, Kind};

/// Why reports cannot be read, merged or turned into jobs.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// The text is no report.
    #[error("{name} is no report: {why}")]
    NoReport {
        /// Where the text came from.
        name: String,
        /// What is wrong, naming the field.
        why: String,
    },
    /// Shards that do not belong together.
    #[error("shard {name} has another {what} than {first}: {found} instead of {expected}")]
    Mixed {
        /// The shard.
        name: String,
        /// The shard it is compared with.
        first: String,
        /// What differs.
        what: &'static str,
        /// What the first has.
        expected: String,
        /// What it has.
        found: String,
    },
    /// Windows that no shard or more than one has scored.
    #[error("window {window} of {windows} is in {times} shards; each must be in one")]
    Coverage {
        /// The window, from 0.
        window: usize,
        /// Windows of the text.
        windows: usize,
        /// How often it was found.
        times: usize,
    },
    /// A report without what merging needs.
    #[error("{name} cannot be merged: {why}")]
    Unmergeable {
        /// The report.
        name: String,
        /// What is missing.
        why: String,
    },
    /// A target that none of the formats can serve.
    #[error("target `{target}` asks for {wanted}, and only {written} can be written")]
    NoFormat {
        /// The target.
        target: String,
        /// Its formats.
        wanted: String,
        /// The formats there are.
        written: String,
    },
}

impl Classify for ReportError {
    fn kind(&self) -> Kind {
        match self {
            Self::NoFormat { .. } => Kind::Usage,
            _ => Kind::Input,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::NoReport { .. } => Some("files of `lfmq verify --report`, or its output with --format json".into()),
            Self::Unmergeable { .. } => Some("shards are the reports of `lfmq verify --shard I/N`".into()),
            Self::Coverage { .. } => Some("give every shard of the run once".into()),
            Self::Mixed { .. } => Some("shards must measure one artifact on one text".into()),
            Self::NoFormat { .. } => None,
        }
    }
}
