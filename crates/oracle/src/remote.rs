//! A model that a runtime in another process has opened.

use crate::process::Process;
use crate::{Options, OracleError, Runtime};
use lfmq_core::{Activation, ExecError, Executor, Facts, Fault, Session, Want};
use serde_json::json;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// The open model.
pub(crate) struct Remote {
    facts: Facts,
    limit: Option<usize>,
    process: Mutex<Process>,
    next: AtomicU64,
}

impl Remote {
    pub(crate) fn open(runtime: Runtime, artifact: &Path, options: &Options) -> Result<Self, OracleError> {
        let mut process = Process::start(runtime, artifact, options)?;
        let (answer, _) = process.receive()?;
        if let Some(why) = answer.error {
            let (python, path) = (options.python.clone(), artifact.to_owned());
            return Err(match answer.missing {
                true => OracleError::Module { runtime, python, why },
                false => OracleError::Model { runtime, path, why },
            });
        }
        let facts = Facts {
            what: answer.name,
            vocab: answer.vocab,
            context: answer.context.unwrap_or_default(),
            activation: Activation::Runtime,
            rung: runtime.word(),
            threads: options.threads,
            ..Facts::default()
        };
        Ok(Self { facts, limit: answer.context, process: Mutex::new(process), next: AtomicU64::new(0) })
    }

    /// One request and its answer; what the runtime refuses is an error of the run.
    fn ask(&self, request: &serde_json::Value) -> Result<Vec<f32>, ExecError> {
        let failed = |why: String| ExecError::Runtime { runtime: self.facts.what.clone(), why };
        let mut process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        let answered = process.send(request).and_then(|()| process.receive());
        let (answer, floats) = answered.map_err(|e| failed(e.to_string()))?;
        answer.error.map_or(Ok(floats), |why| Err(failed(why)))
    }
}

impl Executor for Remote {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn session(&self, positions: usize) -> Result<Box<dyn Session + '_>, Fault> {
        let limit = self.limit.map_or(positions, |limit| limit.min(positions));
        let sequence = self.next.fetch_add(1, Ordering::Relaxed);
        Ok(Box::new(RemoteSession { remote: self, sequence, position: 0, limit }))
    }
}

struct RemoteSession<'a> {
    remote: &'a Remote,
    sequence: u64,
    position: usize,
    limit: usize,
}

impl Session for RemoteSession<'_> {
    fn feed(&mut self, tokens: &[u32], want: Want, out: &mut Vec<f32>) -> Result<(), ExecError> {
        let vocab = self.remote.facts.vocab;
        let rows = rows(tokens, want, vocab, self.position, self.limit)?;
        let request = json!({ "sequence": self.sequence, "tokens": tokens, "rows": rows });
        let logits = self.remote.ask(&request)?;
        if logits.len() != rows * vocab {
            let why = format!("{} logits where {rows} rows of {vocab} were asked for", logits.len());
            return Err(ExecError::Runtime { runtime: self.remote.facts.what.clone(), why });
        }
        self.position += tokens.len();
        out.extend_from_slice(&logits);
        Ok(())
    }

    fn position(&self) -> usize {
        self.position
    }

    fn reset(&mut self) {
        // Nothing fed, nothing held. If the process is gone, the next request tells.
        if std::mem::take(&mut self.position) > 0 {
            drop(self.remote.ask(&json!({ "sequence": self.sequence })));
        }
    }
}

impl Drop for RemoteSession<'_> {
    fn drop(&mut self) {
        self.reset();
    }
}

/// How many rows of logits `want` asks for, if the tokens can be fed.
pub(crate) fn rows(tokens: &[u32], want: Want, vocab: usize, at: usize, limit: usize) -> Result<usize, ExecError> {
    if let Some(token) = tokens.iter().find(|t| **t as usize >= vocab) {
        return Err(ExecError::Token { token: *token, vocab });
    }
    if at + tokens.len() > limit {
        return Err(ExecError::Full { position: limit, limit });
    }
    Ok(match want {
        Want::Nothing => 0,
        Want::Last => tokens.len().min(1),
        Want::All => tokens.len(),
        Want::From(first) => tokens.len().saturating_sub(first),
    })
}
