//! Starts a run in a process of its own, gives it a share of the processor if asked for, and reads what it says.

use super::Confined;
use serde::Serialize;
use std::io::Read;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

/// A quarter of the processor: so long it runs, so long it is stopped, again and again. Short enough that single
/// tokens of a small model are cut, long enough for the system's clock.
const RUNS: Duration = Duration::from_millis(5);
const RESTS: Duration = Duration::from_millis(15);

/// Share of the processor that a throttled run gets.
pub const SHARE: f64 = 0.25;

/// One run and its limits.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ChildRun {
    /// Limits it had.
    pub bounds: super::Bounds,
    /// Share of the processor it had, 1 for all of it.
    pub share: f64,
    /// How it ended.
    #[serde(flatten)]
    pub end: End,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "end", rename_all = "snake_case")]
pub enum End {
    /// At its end.
    Finished {
        /// What it took.
        took: Confined,
    },
    /// For want of memory.
    OutOfMemory {
        /// In its own words.
        why: String,
    },
    /// It tried to open a socket.
    OpenedSocket,
    /// In another way.
    Failed {
        /// How.
        why: String,
    },
}

impl ChildRun {
    /// What it took, if it ran to its end.
    #[must_use]
    pub const fn took(&self) -> Option<&Confined> {
        match &self.end {
            End::Finished { took } => Some(took),
            _ => None,
        }
    }

    /// Why it did not run to its end, in a few words.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        match &self.end {
            End::Finished { .. } => None,
            End::OutOfMemory { why } => Some(format!("out of memory: {why}")),
            End::OpenedSocket => Some("it tried to open a socket".into()),
            End::Failed { why } => Some(why.clone()),
        }
    }
}

/// Runs `command`, which must print one [`Confined`] as JSON; with [`SHARE`] of the processor if `throttled`.
///
/// # Errors
/// Only when the process cannot be started or watched; everything it does itself is in [`ChildRun::end`].
pub fn run(mut command: Command, bounds: super::Bounds, throttled: bool) -> std::io::Result<ChildRun> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    // A line each way: neither pipe can fill up, so they are read when the process is done.
    let status = if throttled { throttle(&mut child)? } else { child.wait()? };
    let text = |pipe: Option<&mut dyn Read>| {
        let mut text = Vec::new();
        // What cannot be read is missing below.
        pipe.map(|p| p.read_to_end(&mut text));
        String::from_utf8_lossy(&text).into_owned()
    };
    let said = text(child.stdout.as_mut().map(|p| p as &mut dyn Read));
    let complained = text(child.stderr.as_mut().map(|p| p as &mut dyn Read));
    let end = end(status, &said, &complained);
    Ok(ChildRun { bounds, share: if throttled { SHARE } else { 1.0 }, end })
}

/// Stops and continues the process until it ends.
#[cfg(unix)]
fn throttle(child: &mut Child) -> std::io::Result<ExitStatus> {
    use rustix::process::{Pid, Signal, kill_process};
    let pid = Pid::from_child(child);
    loop {
        std::thread::sleep(RUNS);
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        // Not reaped yet, so the id is still its own.
        kill_process(pid, Signal::STOP)?;
        std::thread::sleep(RESTS);
        kill_process(pid, Signal::CONT)?;
    }
}

#[cfg(not(unix))]
fn throttle(child: &mut Child) -> std::io::Result<ExitStatus> {
    child.wait()
}

/// Whether this system can hold a process to a share of the processor.
#[must_use]
pub const fn can_throttle() -> bool {
    cfg!(unix)
}

fn end(status: ExitStatus, said: &str, complained: &str) -> End {
    let last = || {
        let mut lines = complained.lines().map(str::trim).filter(|l| !l.is_empty());
        let named = lines.clone().find_map(|l| l.strip_prefix("error:"));
        named.or_else(|| lines.next_back()).unwrap_or("it said nothing").trim().to_owned()
    };
    if status.success() {
        return match serde_json::from_str(said) {
            Ok(took) => End::Finished { took },
            Err(error) => End::Failed { why: format!("it ended well and told nothing readable: {error}") },
        };
    }
    let refused = complained.lines().find(|l| l.contains("memory allocation of"));
    match (refused, signal(status)) {
        (Some(line), _) => End::OutOfMemory { why: line.trim().to_owned() },
        // Bad system call: the filter's answer to a socket.
        (None, Some(31)) => End::OpenedSocket,
        (None, Some(signal)) => End::Failed { why: format!("ended by signal {signal}; {}", last()) },
        (None, None) => End::Failed { why: last() },
    }
}

#[cfg(unix)]
fn signal(status: ExitStatus) -> Option<i32> {
    std::os::unix::process::ExitStatusExt::signal(&status)
}

#[cfg(not(unix))]
fn signal(_: ExitStatus) -> Option<i32> {
    None
}
