//! The real runtime that was asked for, opened on an artifact.

use crate::args::{OracleArg, OracleArgs};
use lfmq_core::{Executor, Fault};
use lfmq_oracle::{Options, Runtime};
use std::path::Path;

/// The artifact in the runtime asked for; `None` if none was.
///
/// # Errors
/// A runtime that is not there or does not take the file.
pub fn open(args: &OracleArgs, artifact: &Path) -> Result<Option<Box<dyn Executor>>, Fault> {
    let Some(asked) = args.oracle else { return Ok(None) };
    let runtime = match asked {
        OracleArg::Onnxruntime => Runtime::OnnxRuntime,
        OracleArg::Litert => Runtime::LiteRt,
    };
    // One thread: a runtime may add in another order with more.
    let mut options = Options { library: args.oracle_lib.clone(), ..Options::default() };
    if let Some(python) = std::env::var_os("LFMQ_PYTHON").filter(|p| !p.is_empty()) {
        options.python = python.into();
    }
    Ok(Some(lfmq_oracle::open(runtime, artifact, &options)?))
}
