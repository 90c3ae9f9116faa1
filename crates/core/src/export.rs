use crate::{Fault, Grid, QuantPlan, QuantizedRows, TensorRole, TensorSource, WriteError};
use std::io;

/// Whether a format can carry a grid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holds {
    /// Bit for bit.
    Exactly,
    /// Not at all.
    No {
        /// The reason, naming the nearest grid the format does hold.
        why: String,
    },
}

/// What an exporter is asked to write.
pub struct ExportJob<'a> {
    /// The checkpoint: shape, names, sidecar files.
    pub source: &'a dyn TensorSource,
    /// The grids of all tensors.
    pub plan: &'a QuantPlan,
    /// File name without extension, e.g. `LFM2-1.2B-Q4_K_M`.
    pub stem: &'a str,
}

impl ExportJob<'_> {
    /// That the plan is one of the checkpoint.
    ///
    /// # Errors
    /// [`WriteError::Plan`] with the first difference.
    pub fn check(&self) -> Result<(), WriteError> {
        let (tensors, planned) = (self.source.tensors(), &self.plan.tensors);
        let refuse = |expected: String, found: String| Err(WriteError::Plan { expected, found });
        if tensors.len() != planned.len() {
            return refuse(format!("{} tensors", tensors.len()), format!("{} tensors", planned.len()));
        }
        match tensors.iter().zip(planned).find(|(t, p)| t.id != p.id || (t.rows, t.cols) != p.shape) {
            None => Ok(()),
            Some((t, p)) => refuse(format!("{} {:?}", t.id, (t.rows, t.cols)), format!("{} {:?}", p.id, p.shape)),
        }
    }
}

/// One file an export will consist of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedFile {
    /// Name inside the artifact folder.
    pub name: String,
    /// Exact size in bytes.
    pub bytes: u64,
}

/// Where an export writes: positional, from any thread, every byte at most once.
pub trait Sink: Sync {
    /// Writes `bytes` at `offset` of planned file `file`.
    ///
    /// # Errors
    /// Whatever the file system says.
    fn write_at(&self, file: usize, offset: u64, bytes: &[u8]) -> io::Result<()>;
}

/// A format that can be written.
pub trait Exporter: Sync {
    /// Short name as users type it, e.g. `gguf`.
    fn id(&self) -> &'static str;

    /// Whether the format carries `grid` for a tensor of this role.
    fn holds(&self, grid: &Grid, role: TensorRole) -> Holds;

    /// Fixes every size and offset. Reads no weight.
    ///
    /// # Errors
    /// When the format cannot say what the model is, or does not hold a planned grid.
    fn plan<'a>(&self, job: &ExportJob<'a>) -> Result<Box<dyn ExportPlan + 'a>, Fault>;
}

/// An export whose layout is fixed.
pub trait ExportPlan: Sync {
    /// The files with their exact sizes.
    fn files(&self) -> &[PlannedFile];

    /// The runtimes that read the files, each with the oldest version that does; empty where the format has no say.
    fn runtimes(&self) -> Vec<(&'static str, &'static str)> {
        Vec::new()
    }

    /// Stored bytes of tensor `index` of the source, padding excluded.
    fn tensor_bytes(&self, index: usize) -> u64;

    /// Writes everything that is not weights: headers, metadata, padding, side files.
    ///
    /// # Errors
    /// I/O.
    fn write_frame(&self, out: &dyn Sink) -> Result<(), Fault>;

    /// Packs rows `first_row..first_row + rows.rows` of tensor `index` and writes them where they belong.
    ///
    /// # Errors
    /// I/O, or values that the format cannot hold (a scale that is not finite).
    fn write_rows(&self, index: usize, first_row: usize, rows: &QuantizedRows, out: &dyn Sink) -> Result<(), Fault>;
}
