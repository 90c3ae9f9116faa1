//! A run within limits: what the child process does and tells.

use super::guard::{cpu_ms, forbid_sockets, open_sockets};
use crate::latency::random_tokens;
use crate::memory::{self, Memory};
use lfmq_core::{Executor, Fault, Want};
use serde::{Deserialize, Serialize};
use std::time::Instant;

/// What a run is held to, and how long it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Bounds {
    /// Resident memory, bytes.
    pub memory: Option<u64>,
    /// Whether sockets are forbidden.
    pub no_sockets: bool,
    /// Tokens fed at once, so that the caches are as large as they get.
    pub prompt: usize,
    /// Tokens decoded after them.
    pub decode: usize,
}

impl Bounds {
    /// Puts the limits on this process; gives what could not be, each with its reason.
    #[must_use]
    pub fn apply(&self) -> NotEnforced {
        NotEnforced {
            memory: self.memory.and_then(|bytes| memory::limit(bytes).err()),
            sockets: if self.no_sockets { forbid_sockets().err() } else { None },
        }
    }
}

/// Limits that were asked for and are not enforced here, with the reasons.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotEnforced {
    /// On memory.
    pub memory: Option<String>,
    /// On sockets.
    pub sockets: Option<String>,
}

/// Sockets of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sockets {
    /// Open before the artifact was.
    pub before: usize,
    /// Open after the run.
    pub after: usize,
}

/// What a run took.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Confined {
    /// Limits that could not be set.
    pub not_enforced: NotEnforced,
    /// Tokens of the prompt.
    pub prompt: usize,
    /// Opening and laying out the weights, ms.
    pub load_ms: f64,
    /// The prompt, ms.
    pub prefill_ms: f64,
    /// Each decoded token, ms.
    pub token_ms: Vec<f64>,
    /// Processor time of the decoding, all threads, ms.
    pub decode_cpu_ms: Option<f64>,
    /// Digest of the bits of all logits that were asked for.
    pub digest: String,
    /// Memory at the end, and its peak.
    pub memory: Option<Memory>,
    /// Sockets, where they can be counted.
    pub sockets: Option<Sockets>,
    /// Threads.
    pub threads: usize,
}

/// Runs a prompt and a few tokens after it. The tokens are random but the same in every run.
///
/// # Errors
/// Those of the executor.
pub fn run(executor: &dyn Executor, bounds: &Bounds, load_ms: f64) -> Result<Confined, Fault> {
    let sockets = open_sockets();
    let tokens = random_tokens(executor, bounds.prompt + bounds.decode);
    let (prompt, rest) = tokens.split_at(bounds.prompt.min(tokens.len()));
    let mut session = executor.session(tokens.len())?;
    let mut logits = Vec::new();
    let mut digest = Digest::new();
    let started = Instant::now();
    session.feed(prompt, Want::Last, &mut logits)?;
    let prefill_ms = ms(started);
    digest.push(&logits);
    let before = cpu_ms();
    let mut token_ms = Vec::with_capacity(rest.len());
    for token in rest {
        logits.clear();
        let started = Instant::now();
        session.feed(std::slice::from_ref(token), Want::Last, &mut logits)?;
        token_ms.push(ms(started));
        digest.push(&logits);
    }
    Ok(Confined {
        not_enforced: NotEnforced::default(),
        prompt: prompt.len(),
        load_ms,
        prefill_ms,
        token_ms,
        decode_cpu_ms: before.zip(cpu_ms()).map(|(before, after)| after - before),
        digest: digest.hex(),
        memory: memory::memory(),
        sockets: sockets.zip(open_sockets()).map(|(before, after)| Sockets { before, after }),
        threads: executor.facts().threads,
    })
}

fn ms(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}

/// FNV-1a over the bits of floats: equal logits, equal digest; nobody here tries to forge one.
struct Digest(u64);

impl Digest {
    fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    fn push(&mut self, values: &[f32]) {
        for byte in values.iter().flat_map(|v| v.to_bits().to_le_bytes()) {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn hex(&self) -> String {
        format!("{:016x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digest_is_fnv() {
        // FNV-1a of the four bytes 00 00 80 3f, and of nothing.
        let mut digest = Digest::new();
        assert_eq!(digest.hex(), "cbf29ce484222325");
        digest.push(&[1.0]);
        let by_hand = [0_u64, 0, 0x80, 0x3f]
            .iter()
            .fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ b).wrapping_mul(0x0100_0000_01b3));
        assert_eq!(digest.hex(), format!("{by_hand:016x}"));
        let mut other = Digest::new();
        other.push(&[-0.0]);
        let mut zero = Digest::new();
        zero.push(&[0.0]);
        assert_ne!(other.hex(), zero.hex(), "bits, not values");
    }
}
