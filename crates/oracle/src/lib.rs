//! Runs an artifact in the runtime that devices run it in, so that our own executor can be held against it.
//!
//! [`open`] gives an [`Executor`](lfmq_core::Executor) like any other, but what computes is not ours: onnxruntime or
//! LiteRT inside a Python that the user has, driven over a pipe, or onnxruntime as a library in this process. A Python
//! of its own keeps a crash of the runtime out of this program, and works from a static one, which cannot load
//! libraries.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

mod error;
#[cfg(all(feature = "library", not(target_env = "musl")))]
mod library;
#[cfg(not(all(feature = "library", not(target_env = "musl"))))]
mod no_library;
mod process;
mod remote;

pub use error::OracleError;

use lfmq_core::Executor;
#[cfg(not(all(feature = "library", not(target_env = "musl"))))]
use no_library as library;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runtime {
    /// onnxruntime, on the CPU.
    OnnxRuntime,
    /// LiteRT's interpreter with XNNPACK.
    LiteRt,
}

impl Runtime {
    /// Its name as typed.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::OnnxRuntime => "onnxruntime",
            Self::LiteRt => "litert",
        }
    }

    /// The Python package that brings it.
    #[must_use]
    pub const fn package(self) -> &'static str {
        match self {
            Self::OnnxRuntime => "onnxruntime",
            Self::LiteRt => "ai-edge-litert",
        }
    }

    /// Extension of the files it reads.
    #[must_use]
    pub const fn extension(self) -> &'static str {
        match self {
            Self::OnnxRuntime => "onnx",
            Self::LiteRt => "tflite",
        }
    }

    const fn script(self) -> &'static str {
        match self {
            Self::OnnxRuntime => include_str!("python/onnxruntime.py"),
            Self::LiteRt => include_str!("python/litert.py"),
        }
    }
}

/// Where the runtime is found and how it is run.
#[derive(Clone, Debug)]
pub struct Options {
    /// onnxruntime's shared library; `None`: the runtime of `python`.
    pub library: Option<PathBuf>,
    /// A Python that has the runtime's package.
    pub python: PathBuf,
    /// Threads the runtime may use; only a number that is fixed gives figures that can be repeated.
    pub threads: usize,
    /// How long one answer may take, opening the model included.
    pub patience: Duration,
}

impl Default for Options {
    fn default() -> Self {
        let python = if cfg!(windows) { "python" } else { "python3" };
        Self { library: None, python: python.into(), threads: 1, patience: Duration::from_secs(600) }
    }
}

/// Opens `artifact` in `runtime`. [`Facts::what`](lfmq_core::Facts) names the runtime and its version.
///
/// # Errors
/// A file that is not for this runtime, a runtime that is not there, or one that does not take the file.
pub fn open(runtime: Runtime, artifact: &Path, options: &Options) -> Result<Box<dyn Executor>, OracleError> {
    let extension = artifact.extension().and_then(|e| e.to_str()).unwrap_or_default();
    if !extension.eq_ignore_ascii_case(runtime.extension()) {
        return Err(OracleError::Format { runtime, path: artifact.to_owned() });
    }
    match (&options.library, runtime) {
        (Some(library), Runtime::OnnxRuntime) => library::open(library, artifact, options.threads),
        _ => Ok(Box::new(remote::Remote::open(runtime, artifact, options)?)),
    }
}
