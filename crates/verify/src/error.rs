use lfmq_core::{Classify, Kind};
use serde::Serialize;
use std::fmt;

/// Which of the two compared models is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// The original checkpoint in f32.
    Yardstick,
    /// The artifact under test.
    Candidate,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Yardstick => "yardstick",
            Self::Candidate => "candidate",
        })
    }
}

/// An error while verifying. A drift that is too large is not an error but a verdict.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// The text gives no window.
    #[error("the text has {found} tokens, at least {needed} are needed")]
    TextTooShort {
        /// Tokens there are.
        found: usize,
        /// Tokens one window of the smallest size needs.
        needed: usize,
    },
    /// Windows that are too short to score half of.
    #[error("windows of {asked} tokens, at least {least} are needed")]
    WindowTooShort {
        /// Tokens asked for.
        asked: usize,
        /// The least.
        least: usize,
    },
    /// The two models have different vocabularies.
    #[error("the yardstick has {yardstick} tokens in its vocabulary, the candidate has {candidate}")]
    Vocabulary {
        /// Rows of the yardstick's logits.
        yardstick: usize,
        /// Rows of the candidate's logits.
        candidate: usize,
    },
    /// An executor gave fewer or more logits than were asked for.
    #[error("the {side} gave {found} logits where {expected} were asked for")]
    Logits {
        /// Which model.
        side: Side,
        /// Numbers asked for.
        expected: usize,
        /// Numbers given.
        found: usize,
    },
    /// A logit that is NaN or infinite.
    #[error("the {side} gave a logit that is not finite: window {window}, position {position}, token {token}")]
    NotFinite {
        /// Which model.
        side: Side,
        /// Window, from 0.
        window: usize,
        /// Position in the window.
        position: usize,
        /// Token id of the logit.
        token: usize,
    },
    /// A KL-divergence base file that cannot be used.
    #[error("not a usable KL-divergence base file: {what}: expected {expected}, found {found}")]
    BaseFile {
        /// What is wrong.
        what: &'static str,
        /// What it should be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// A gates file that cannot be used.
    #[error("cannot use the gates of {path}: {why}")]
    Gates {
        /// The file, or `built-in`.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// A line of a tasks file that cannot be used.
    #[error("line {line} of the tasks file: {why}")]
    Tasks {
        /// Line, from 1.
        line: usize,
        /// What is wrong with it.
        why: String,
    },
    /// The artifact and the checkpoint do not fit each other so that weights cannot be compared.
    #[error("cannot compare `{tensor}`: {why}")]
    Tensor {
        /// The tensor.
        tensor: String,
        /// Why.
        why: String,
    },
    /// Writing a base file.
    #[error("cannot write the KL-divergence base file: {0}")]
    Write(#[from] std::io::Error),
}

impl Classify for VerifyError {
    fn kind(&self) -> Kind {
        match self {
            // An artifact that computes NaN has not kept up with its checkpoint: that is a gate, not a bad input.
            Self::NotFinite { side: Side::Candidate, .. } => Kind::Gate,
            Self::Write(_) => Kind::Environment,
            Self::WindowTooShort { .. } => Kind::Usage,
            Self::Logits { .. } => Kind::Bug,
            _ => Kind::Input,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::TextTooShort { .. } => "give a longer text".into(),
            Self::Vocabulary { .. } => "is this the checkpoint that the artifact was made of?".into(),
            Self::BaseFile { .. } => "such files are written by `llama-perplexity --save-all-logits`".into(),
            Self::NotFinite { side: Side::Candidate, .. } => "a scale or weight of the artifact is damaged".into(),
            _ => return None,
        })
    }
}
