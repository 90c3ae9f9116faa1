//! onnxruntime as a shared library in our own process.

use crate::remote::rows;
use crate::{OracleError, Runtime};
use half::f16;
use lfmq_core::{Activation, ExecError, Executor, Facts, Fault, Session, Want};
use ort::session::{Session as Graph, SessionInputValue};
use ort::value::{DynValue, Outlet, Tensor, TensorElementType};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, OnceLock, PoisonError};

/// A name that the runtime gives and what it stands for in a step.
const IDS: &str = "input_ids";
const LOGITS: &str = "logits";

/// The one environment of this process, and the version of the library it was loaded from.
static LOADED: OnceLock<Result<(ort::environment::Environment, String), String>> = OnceLock::new();

/// An open graph.
struct Library {
    facts: Facts,
    /// The runtime lets one run at a time.
    graph: Mutex<Graph>,
    /// Caches by name with their empty shapes.
    caches: Vec<(String, TensorElementType, Vec<i64>)>,
    /// Which cache an output becomes.
    presents: BTreeMap<String, String>,
    inputs: Vec<String>,
}

pub(crate) fn open(library: &Path, artifact: &Path, threads: usize) -> Result<Box<dyn Executor>, OracleError> {
    let (environment, version) = environment(library).map_err(|why| OracleError::Library { why })?;
    let opened = graph(environment, artifact, threads).and_then(|graph| Library::new(graph, version, threads));
    let model = |why| OracleError::Model { runtime: Runtime::OnnxRuntime, path: artifact.to_owned(), why };
    Ok(Box::new(opened.map_err(model)?))
}

fn environment(library: &Path) -> Result<&'static (ort::environment::Environment, String), String> {
    let load = || {
        let builder = ort::init_from(library).map_err(|e| e.to_string())?;
        let environment = builder.with_telemetry(false).build().map_err(|e| e.to_string())?;
        // The library tells its commit, its file its version: `libonnxruntime.so.1.31.1`.
        let file = library.file_name().unwrap_or_default().to_string_lossy();
        let commit = ort::info().split_once("git-commit-id=").and_then(|(_, rest)| rest.split(',').next());
        let version = file.split_once(".so.").map(|(_, version)| version).or(commit).unwrap_or("of unknown version");
        Ok((environment, format!("onnxruntime {version}")))
    };
    LOADED.get_or_init(load).as_ref().map_err(Clone::clone)
}

fn graph(environment: &ort::environment::Environment, artifact: &Path, threads: usize) -> Result<Graph, String> {
    let build = || -> ort::Result<Graph> {
        Graph::builder(environment)?.with_intra_threads(threads)?.commit_from_file(artifact)
    };
    build().map_err(|e| e.to_string())
}

/// Type and shape of a port; what the graph leaves open is -1.
fn port(outlet: &Outlet) -> Option<(TensorElementType, Vec<i64>)> {
    Some((outlet.dtype().tensor_type()?, outlet.dtype().tensor_shape()?.iter().copied().collect()))
}

impl Library {
    fn new(graph: Graph, runtime: &str, threads: usize) -> Result<Self, String> {
        let inputs: Vec<String> = graph.inputs().iter().map(|i| i.name().to_owned()).collect();
        let empty = |outlet: &Outlet| {
            let (kind, shape) = port(outlet)?;
            // The batch is one, what else is open is the length of the past: none.
            let dim = |(at, d): (usize, &i64)| if at == 0 { 1 } else { (*d).max(0) };
            Some((outlet.name().to_owned(), kind, shape.iter().enumerate().map(dim).collect()))
        };
        let caches = graph.inputs().iter().filter(|i| i.name().starts_with("past")).filter_map(empty).collect();
        let past = |present: &str| {
            let names = ["past", "past_key_values"].map(|past| present.replacen("present", past, 1));
            names.into_iter().find(|name| inputs.contains(name))
        };
        let outputs = graph.outputs().iter().map(|o| o.name()).filter(|name| *name != LOGITS);
        let presents = outputs.filter_map(|name| Some((name.to_owned(), past(name)?))).collect();
        let logits = graph.outputs().iter().find(|o| o.name() == LOGITS).and_then(port);
        let vocab = logits.and_then(|(_, shape)| usize::try_from(*shape.last()?).ok());
        let vocab = vocab.filter(|v| *v > 0).ok_or("it has no output `logits` of a fixed width")?;
        let facts = Facts {
            what: runtime.to_owned(),
            vocab,
            activation: Activation::Runtime,
            rung: Runtime::OnnxRuntime.word(),
            threads,
            ..Facts::default()
        };
        Ok(Self { facts, graph: Mutex::new(graph), caches, presents, inputs })
    }

    fn empty_caches(&self) -> Result<BTreeMap<String, DynValue>, String> {
        let zeros = |(name, kind, shape): &(String, TensorElementType, Vec<i64>)| {
            let count = shape.iter().product::<i64>().max(0) as usize;
            let value = match kind {
                TensorElementType::Float16 => Tensor::from_array((shape.clone(), vec![f16::ZERO; count]))?.into_dyn(),
                _ => Tensor::from_array((shape.clone(), vec![0_f32; count]))?.into_dyn(),
            };
            Ok((name.clone(), value))
        };
        self.caches.iter().map(zeros).collect::<ort::Result<_>>().map_err(|e: ort::Error| e.to_string())
    }

    /// One run; the caches are replaced and the last `rows` rows of logits added to `out`.
    fn step(
        &self,
        caches: &mut BTreeMap<String, DynValue>,
        (at, tokens): (usize, &[u32]),
        rows: usize,
        out: &mut Vec<f32>,
    ) -> ort::Result<()> {
        let (count, end) = (tokens.len() as i64, (at + tokens.len()) as i64);
        let ids = tokens.iter().map(|t| i64::from(*t)).collect();
        let mut feeds: Vec<(String, SessionInputValue<'_>)> = Vec::new();
        let mut feed = |name: &str, shape: Vec<i64>, values: Vec<i64>| -> ort::Result<()> {
            if self.inputs.iter().any(|input| input == name) {
                feeds.push((name.to_owned(), Tensor::from_array((shape, values))?.into()));
            }
            Ok(())
        };
        feed(IDS, vec![1, count], ids)?;
        feed("attention_mask", vec![1, end], vec![1; at + tokens.len()])?;
        feed("position_ids", vec![1, count], (at as i64..end).collect())?;
        feed("num_logits_to_keep", vec![], vec![rows.max(1) as i64])?;
        feeds.extend(caches.iter().map(|(name, value)| (name.clone(), value.into())));
        let mut graph = self.graph.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found = graph.run(feeds)?;
        if let Some(logits) = found.remove(LOGITS) {
            let (_, values) = logits.try_extract_tensor::<f32>()?;
            out.extend_from_slice(
                values.get(values.len().saturating_sub(rows * self.facts.vocab)..).unwrap_or_default(),
            );
        }
        for (present, past) in &self.presents {
            if let Some(value) = found.remove(present) {
                caches.insert(past.clone(), value);
            }
        }
        Ok(())
    }
}

impl Executor for Library {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn session(&self, positions: usize) -> Result<Box<dyn Session + '_>, Fault> {
        Ok(Box::new(LibrarySession { library: self, caches: BTreeMap::new(), position: 0, limit: positions }))
    }
}

struct LibrarySession<'a> {
    library: &'a Library,
    caches: BTreeMap<String, DynValue>,
    position: usize,
    limit: usize,
}

impl Session for LibrarySession<'_> {
    fn feed(&mut self, tokens: &[u32], want: Want, out: &mut Vec<f32>) -> Result<(), ExecError> {
        let library = self.library;
        let failed = |why: String| ExecError::Runtime { runtime: library.facts.what.clone(), why };
        let rows = rows(tokens, want, library.facts.vocab, self.position, self.limit)?;
        if tokens.is_empty() {
            return Ok(());
        }
        if self.position == 0 {
            self.caches = library.empty_caches().map_err(failed)?;
        }
        let ran = library.step(&mut self.caches, (self.position, tokens), rows, out);
        ran.map_err(|e| failed(e.to_string()))?;
        self.position += tokens.len();
        Ok(())
    }

    fn position(&self) -> usize {
        self.position
    }

    fn reset(&mut self) {
        (self.position, self.caches) = (0, BTreeMap::new());
    }
}
