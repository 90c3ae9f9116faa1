//! From any error to what a person reads and the code the process ends with.

use lfmq_core::{Fault, Kind};
use serde_json::{Value, json};

/// A failed run.
#[derive(Debug)]
pub struct Failure {
    kind: Kind,
    message: String,
    hint: Option<String>,
}

impl Failure {
    /// Something wrong with what was typed.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { kind: Kind::Usage, message: message.into(), hint: None }
    }

    /// Gates that did not hold.
    pub fn gate(message: impl Into<String>) -> Self {
        Self { kind: Kind::Gate, message: message.into(), hint: None }
    }

    /// A panic caught at the top.
    pub fn bug(message: impl Into<String>) -> Self {
        Self { kind: Kind::Bug, message: message.into(), hint: None }
    }

    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub fn message(&self) -> &str {
        &self.message
    }

    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// The process's exit code.
    pub const fn code(&self) -> u8 {
        match self.kind {
            Kind::Gate => 1,
            Kind::Usage => 2,
            Kind::Input => 3,
            Kind::Environment => 4,
            Kind::Authentication => 5,
            Kind::Bug => 70,
        }
    }

    pub fn to_json(&self) -> Value {
        let kind = match self.kind {
            Kind::Gate => "gate",
            Kind::Usage => "usage",
            Kind::Input => "input",
            Kind::Environment => "environment",
            Kind::Authentication => "authentication",
            Kind::Bug => "bug",
        };
        json!({"kind": kind, "message": self.message, "hint": self.hint})
    }
}

/// The outermost [`Fault`] or I/O error in the chain decides the kind; the whole chain is the message.
impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        let error = match error.downcast::<Self>() {
            Ok(failure) => return failure,
            Err(error) => error,
        };
        let fault = error.chain().find_map(|e| e.downcast_ref::<Fault>());
        let io = error.chain().any(|e| e.is::<std::io::Error>());
        let kind = fault.map_or(if io { Kind::Environment } else { Kind::Bug }, |f| f.kind);
        let mut parts: Vec<String> = Vec::new();
        for cause in error.chain().map(ToString::to_string) {
            // Causes that their outer error already quotes would be read twice.
            if !parts.iter().any(|p| p.contains(&cause)) {
                parts.push(cause);
            }
        }
        Self { kind, message: parts.join(": "), hint: fault.and_then(|f| f.hint.clone()) }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}
