//! A Python with a runtime at the other end of a pipe: requests as lines of JSON, answers as a line and floats.

use crate::{Options, OracleError, Runtime};
use serde::Deserialize;
use serde_json::Value;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// A line is short; a longer one is not from our script.
const LONGEST_LINE: u64 = 1 << 20;
/// As much of what was written to stderr is told.
const TAIL: usize = 1000;

const PROTOCOL: &str = include_str!("python/protocol.py");

/// The line of an answer.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Answer {
    /// What the runtime says when it could not do it.
    pub(crate) error: Option<String>,
    /// Whether the error is that there is no runtime.
    #[serde(default)]
    pub(crate) missing: bool,
    /// The first answer: the runtime and its version.
    #[serde(default)]
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) vocab: usize,
    pub(crate) context: Option<usize>,
    /// Rows and columns of the floats that follow.
    shape: Option<(u64, u64)>,
}

type Message = Result<(Answer, Vec<f32>), String>;

/// The process; it ends with this value.
pub(crate) struct Process {
    runtime: Runtime,
    python: std::path::PathBuf,
    patience: Duration,
    child: Child,
    input: ChildStdin,
    answers: Receiver<Message>,
    said: Arc<Mutex<Vec<u8>>>,
}

impl Process {
    /// Starts `options.python` on `artifact`; its first answer is that the model is open.
    pub(crate) fn start(runtime: Runtime, artifact: &Path, options: &Options) -> Result<Self, OracleError> {
        let script = format!("{}\n{PROTOCOL}", runtime.script());
        let mut command = Command::new(&options.python);
        // UTF-8 whatever the locale; no files beside packages that are not ours.
        command.args(["-X", "utf8", "-B", "-c", &script]).arg(artifact).arg(options.threads.to_string());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let failed = |source| OracleError::Python { runtime, python: options.python.clone(), source };
        let mut child = command.spawn().map_err(failed)?;
        let (Some(input), Some(output), Some(errors)) = (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(failed(ErrorKind::BrokenPipe.into()));
        };
        // One answer a request: there is never more than one to wait.
        let (send, answers) = sync_channel(1);
        thread::spawn(move || {
            let mut output = BufReader::new(output);
            while let Some(message) = read(&mut output).transpose() {
                if send.send(message).is_err() {
                    break;
                }
            }
        });
        let said = Arc::new(Mutex::new(Vec::new()));
        thread::spawn({
            let said = Arc::clone(&said);
            move || keep_tail(errors, &said)
        });
        let (python, patience) = (options.python.clone(), options.patience);
        Ok(Self { runtime, python, patience, child, input, answers, said })
    }

    /// Sends a request.
    pub(crate) fn send(&mut self, request: &Value) -> Result<(), OracleError> {
        let sent = writeln!(self.input, "{request}").and_then(|()| self.input.flush());
        sent.map_err(|_| self.broken("ended"))
    }

    /// The next answer.
    pub(crate) fn receive(&mut self) -> Result<(Answer, Vec<f32>), OracleError> {
        match self.answers.recv_timeout(self.patience) {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(why)) => Err(self.broken(&format!("gives an answer that is none: {why}"))),
            Err(RecvTimeoutError::Disconnected) => Err(self.broken("ended")),
            Err(RecvTimeoutError::Timeout) => {
                Err(self.broken(&format!("gave no answer for {} s", self.patience.as_secs_f64())))
            }
        }
    }

    /// The process is of no use any more.
    fn broken(&mut self, what: &str) -> OracleError {
        drop(self.child.kill());
        drop(self.child.wait());
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let said = String::from_utf8_lossy(&said).trim().to_owned();
        OracleError::Broken { runtime: self.runtime, python: self.python.clone(), what: what.to_owned(), said }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It holds nothing that is not ours.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// One answer; `None` at the end. Floats take memory only as they arrive.
fn read(output: &mut impl BufRead) -> Result<Option<(Answer, Vec<f32>)>, String> {
    let mut line = Vec::new();
    let read = output.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line).map_err(|e| e.to_string())?;
    if read == 0 {
        return Ok(None);
    }
    let answer: Answer = serde_json::from_slice(&line).map_err(|e| e.to_string())?;
    let Some((rows, cols)) = answer.shape else { return Ok(Some((answer, Vec::new()))) };
    let length = rows.checked_mul(cols).and_then(|n| n.checked_mul(4)).ok_or("a shape past all bounds")?;
    let mut bytes = Vec::new();
    output.by_ref().take(length).read_to_end(&mut bytes).map_err(|e| e.to_string())?;
    if bytes.len() as u64 != length {
        return Err(format!("{} bytes of {length}", bytes.len()));
    }
    let (floats, _) = bytes.as_chunks::<4>();
    Ok(Some((answer, floats.iter().map(|b| f32::from_le_bytes(*b)).collect())))
}

/// Reads to the end and keeps the last of it.
fn keep_tail(mut from: impl Read, said: &Mutex<Vec<u8>>) {
    let mut buffer = [0; 4096];
    while let Ok(n @ 1..) = from.read(&mut buffer) {
        let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
        said.extend_from_slice(buffer.get(..n).unwrap_or_default());
        let surplus = said.len().saturating_sub(TAIL);
        said.drain(..surplus);
    }
}
