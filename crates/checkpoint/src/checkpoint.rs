use crate::convert::to_f32;
use crate::layout::{Placed, place};
use crate::shards::{Shard, Shards};
use crate::{CheckpointError, digest, sidecars, spec_from_config};
use lfmq_core::{ModelSpec, SourceError, SourceTensor, TensorSource};
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

const CONFIG: &str = "config.json";

/// A checkpoint folder: its shape, its weights by index, its small files. Weights stay on disk until they are asked for.
#[derive(Debug)]
pub struct Checkpoint {
    folder: PathBuf,
    name: String,
    spec: ModelSpec,
    shards: Shards,
    tensors: Vec<SourceTensor>,
    /// Where the data of each tensor begins in its file.
    offsets: Vec<usize>,
    sidecars: BTreeMap<String, Vec<u8>>,
}

impl Checkpoint {
    /// Opens the folder `dir` and checks that its weights are exactly those its `config.json` calls for.
    ///
    /// # Errors
    /// [`CheckpointError`], which names the file, tensor or field.
    pub fn open(dir: &Path) -> Result<Self, CheckpointError> {
        let folder = dir.canonicalize().map_err(CheckpointError::io(dir))?;
        let sidecars = sidecars::read(&folder)?;
        let path = folder.join(CONFIG);
        let Some(config) = sidecars.get(CONFIG) else {
            let source = std::io::Error::from(std::io::ErrorKind::NotFound);
            return Err(CheckpointError::Io { path, source });
        };
        let config = serde_json::from_slice(config).map_err(|e| CheckpointError::Json { path, why: e.to_string() })?;
        let spec = spec_from_config(&config)?;
        let shards = Shards::open(&folder)?;
        let (tensors, offsets) =
            place(&spec, &shards)?.into_iter().map(|Placed { tensor, offset }| (tensor, offset)).unzip();
        Ok(Self { name: name(&folder), folder, spec, shards, tensors, offsets, sidecars })
    }

    /// The folder, without links.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Names of the small files found, sorted.
    pub fn sidecars(&self) -> impl Iterator<Item = &str> {
        self.sidecars.keys().map(String::as_str)
    }

    /// Names and sizes in bytes of the weight files, sorted by name; `SourceTensor::shard` counts them.
    pub fn weight_files(&self) -> impl Iterator<Item = (&str, u64)> {
        self.shards.files.iter().map(|shard| (shard.name.as_str(), shard.file.len() as u64))
    }

    /// What tells these weights from others without reading them: a digest of the small files, the sizes and ages of the
    /// weight files, and the first bytes of every tensor. A copy of the folder has another one.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        digest::fingerprint(self)
    }

    /// The weight files, sorted by name.
    pub(crate) fn shards(&self) -> &[Shard] {
        &self.shards.files
    }

    /// The small files by name.
    pub(crate) fn small_files(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.sidecars.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice()))
    }

    /// Where the rows `rows` of tensor `index` lie: position of the file, and the bytes in it.
    pub(crate) fn place(&self, index: usize, rows: Range<usize>) -> Option<(usize, Range<usize>)> {
        let tensor = self.tensors.get(index)?;
        let (row, offset) = (tensor.cols * tensor.dtype.size(), *self.offsets.get(index)?);
        Some((tensor.shard, offset + rows.start * row..offset + rows.end * row))
    }

    /// The stored bytes of rows `rows` of tensor `index`.
    pub(crate) fn bytes(&self, index: usize, rows: Range<usize>) -> Option<&[u8]> {
        let (shard, range) = self.place(index, rows)?;
        self.shards.files.get(shard)?.file.get(range)
    }
}

impl TensorSource for Checkpoint {
    fn spec(&self) -> &ModelSpec {
        &self.spec
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn tensors(&self) -> &[SourceTensor] {
        &self.tensors
    }

    fn read_rows(&self, index: usize, rows: Range<usize>, out: &mut [f32]) -> Result<(), SourceError> {
        let Some(tensor) = self.tensors.get(index) else {
            let why = format!("there is no tensor {index}");
            return Err(SourceError { path: self.folder.clone(), tensor: String::new(), why });
        };
        let fits = rows.start <= rows.end && rows.end <= tensor.rows && out.len() == rows.len() * tensor.cols;
        let bytes = if fits { self.bytes(index, rows.clone()) } else { None };
        let Some(bytes) = bytes else {
            let path = self.shards.files.get(tensor.shard).map_or_else(PathBuf::new, |s| s.file.path().to_owned());
            let (tensor, shape) = (tensor.name.clone(), [tensor.rows, tensor.cols]);
            let why = format!("rows {rows:?} into {} values do not fit its shape {shape:?}", out.len());
            return Err(SourceError { path, tensor, why });
        };
        to_f32(tensor.dtype, bytes, out);
        Ok(())
    }

    fn sidecar(&self, name: &str) -> Option<&[u8]> {
        self.sidecars.get(name).map(Vec::as_slice)
    }
}

/// The model's name: that of the folder, or of the repository if the folder is a snapshot in a Hugging Face cache,
/// `models--<owner>--<name>/snapshots/<revision>`.
fn name(folder: &Path) -> String {
    let word = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let snapshots = folder.parent().filter(|parent| word(parent) == "snapshots");
    let repository = snapshots.and_then(Path::parent).map(word);
    let id = repository.as_deref().and_then(|name| name.strip_prefix("models--"));
    id.and_then(|id| id.rsplit("--").next()).map_or_else(|| word(folder), str::to_owned)
}
