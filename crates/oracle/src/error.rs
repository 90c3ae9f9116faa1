use crate::Runtime;
use lfmq_core::{Classify, Kind};
use std::path::PathBuf;

/// Why a real runtime could not be asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OracleError {
    /// A file of another format.
    #[error("{} runs .{} files, not {}", runtime.word(), runtime.extension(), path.display())]
    Format {
        /// The runtime asked for.
        runtime: Runtime,
        /// The file.
        path: PathBuf,
    },
    /// No Python.
    #[error("cannot start {} to run {}: {source}", python.display(), runtime.word())]
    Python {
        /// The runtime asked for.
        runtime: Runtime,
        /// The program.
        python: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A Python without the runtime.
    #[error("{} cannot import {}: {why}", python.display(), runtime.package())]
    Module {
        /// The runtime asked for.
        runtime: Runtime,
        /// The program.
        python: PathBuf,
        /// What Python says.
        why: String,
    },
    /// A library that is not there or is none.
    #[error("cannot load onnxruntime: {why}")]
    Library {
        /// What the loader says, the path included.
        why: String,
    },
    /// A program that cannot load libraries.
    #[error("this program is static and cannot load {}", path.display())]
    Static {
        /// The library.
        path: PathBuf,
    },
    /// The runtime refuses the artifact.
    #[error("{} does not take {}: {why}", runtime.word(), path.display())]
    Model {
        /// The runtime.
        runtime: Runtime,
        /// The artifact.
        path: PathBuf,
        /// What it says.
        why: String,
    },
    /// The process that holds the runtime ended, or speaks out of turn.
    #[error("{} in {} {what}{}", runtime.word(), python.display(), tail(said))]
    Broken {
        /// The runtime.
        runtime: Runtime,
        /// The program.
        python: PathBuf,
        /// What happened.
        what: String,
        /// The end of what it wrote to stderr.
        said: String,
    },
}

fn tail(said: &str) -> String {
    if said.is_empty() { String::new() } else { format!("; it said: {said}") }
}

impl Classify for OracleError {
    fn kind(&self) -> Kind {
        match self {
            Self::Format { .. } => Kind::Usage,
            Self::Model { .. } => Kind::Input,
            _ => Kind::Environment,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Python { runtime, .. } | Self::Module { runtime, .. } => {
                let package = runtime.package();
                format!("`pip install {package} numpy`, and LFMQ_PYTHON=… if that is not python3's")
            }
            Self::Library { .. } => {
                "--oracle-lib or ORT_DYLIB_PATH names libonnxruntime.so (.dylib, .dll); without, Python's is asked"
                    .into()
            }
            Self::Static { .. } => {
                "leave out --oracle-lib and ORT_DYLIB_PATH: Python's onnxruntime is asked then".into()
            }
            Self::Model { runtime: Runtime::OnnxRuntime, .. } => {
                "files promise to load from the version that --onnx-min-ort names, 1.23 unless said otherwise".into()
            }
            _ => return None,
        })
    }
}
