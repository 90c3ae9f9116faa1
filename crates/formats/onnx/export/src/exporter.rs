use crate::options::{MinOrt, OnnxOptions};
use crate::pack::{Trouble, pack};
use crate::store::{Piece, Store};
use crate::{companions, flavour, grids, lower};
use lfmq_core::{
    ExportJob, ExportPlan, Exporter, Fault, Grid, Holds, PlannedFile, QuantizedRows, Sink, SourceTensor, TensorRole,
    WriteError,
};

/// Writes ONNX.
#[derive(Clone, Debug, Default)]
pub struct OnnxExporter {
    /// How.
    pub options: OnnxOptions,
}

impl Exporter for OnnxExporter {
    fn id(&self) -> &'static str {
        "onnx"
    }

    fn holds(&self, grid: &Grid, role: TensorRole) -> Holds {
        grids::holds(grid, role, self.options.float)
    }

    fn plan<'a>(&self, job: &ExportJob<'a>) -> Result<Box<dyn ExportPlan + 'a>, Fault> {
        let flavour = flavour::of(job.plan, self.options.float);
        let mut options = self.options.clone();
        options.name.get_or_insert_with(|| flavour::path(flavour));
        options.check()?;
        job.check()?;
        let lower::Lowered { graph, store } = lower::lower(job, &options)?;
        let mut whole = companions::all(job, &options, flavour, store.files.len())?;
        whole.insert(0, (options.graph_file(), graph));
        Ok(Box::new(OnnxPlan::new(job.source.tensors(), &options, store, whole)))
    }
}

/// A fixed layout: data files first, then the files that are known already.
struct OnnxPlan<'a> {
    tensors: &'a [SourceTensor],
    store: Store,
    files: Vec<PlannedFile>,
    /// The content of the files after the data.
    whole: Vec<Vec<u8>>,
    oldest: MinOrt,
}

impl<'a> OnnxPlan<'a> {
    fn new(tensors: &'a [SourceTensor], options: &OnnxOptions, store: Store, whole: Vec<(String, Vec<u8>)>) -> Self {
        let data = store.files.iter().enumerate();
        let mut files: Vec<_> =
            data.map(|(n, bytes)| PlannedFile { name: options.data_file(n), bytes: *bytes }).collect();
        files.extend(whole.iter().map(|(name, bytes)| PlannedFile { name: name.clone(), bytes: bytes.len() as u64 }));
        let whole = whole.into_iter().map(|(_, bytes)| bytes).collect();
        Self { tensors, store, files, whole, oldest: options.min_ort }
    }

    fn write(&self, out: &dyn Sink, file: usize, offset: u64, bytes: &[u8]) -> Result<(), Fault> {
        let name = || self.files.get(file).map(|f| f.name.clone()).unwrap_or_default();
        Ok(out.write_at(file, offset, bytes).map_err(|source| WriteError::Write { file: name(), source })?)
    }

    /// Writes the packed rows from `first` on.
    fn put(&self, out: &dyn Sink, piece: &Piece, first: usize, bytes: &[u8]) -> Result<(), Fault> {
        let start = |row: u64| piece.offset + row * piece.stride;
        if piece.stride == piece.row_bytes {
            return self.write(out, piece.file, start(first as u64), bytes);
        }
        for (row, bytes) in (first as u64..).zip(bytes.chunks(piece.row_bytes.max(1) as usize)) {
            self.write(out, piece.file, start(row), bytes)?;
        }
        Ok(())
    }
}

impl ExportPlan for OnnxPlan<'_> {
    fn files(&self) -> &[PlannedFile] {
        &self.files
    }

    fn runtimes(&self) -> Vec<(&'static str, &'static str)> {
        vec![("onnxruntime", self.oldest.word())]
    }

    fn tensor_bytes(&self, index: usize) -> u64 {
        let rows = self.tensors.get(index).map_or(0, |t| t.rows as u64);
        self.store.pieces.get(index).map_or(0, |pieces| pieces.iter().map(|p| p.row_bytes * rows).sum())
    }

    fn write_frame(&self, out: &dyn Sink) -> Result<(), Fault> {
        for gap in &self.store.gaps {
            self.write(out, gap.file, gap.offset, &vec![0; gap.bytes as usize])?;
        }
        // The graph comes first among these and its data before it.
        let first = self.store.files.len();
        for (n, bytes) in self.whole.iter().enumerate() {
            self.write(out, first + n, 0, bytes)?;
        }
        Ok(())
    }

    fn write_rows(&self, index: usize, first_row: usize, rows: &QuantizedRows, out: &dyn Sink) -> Result<(), Fault> {
        let found = self.tensors.get(index).zip(self.store.pieces.get(index));
        let Some((tensor, pieces)) = found else {
            let (expected, found) = (format!("an index below {}", self.tensors.len()), index.to_string());
            return Err(WriteError::Rows { tensor: String::new(), expected, found }.into());
        };
        let mismatch =
            |expected: String, found: String| WriteError::Rows { tensor: tensor.name.clone(), expected, found };
        let last_row = first_row.checked_add(rows.rows).filter(|last| *last <= tensor.rows);
        if last_row.is_none() || rows.cols != tensor.cols {
            let found = format!("{} rows of {} from row {first_row}", rows.rows, rows.cols);
            return Err(mismatch(format!("rows within [{}, {}]", tensor.rows, tensor.cols), found).into());
        }
        for piece in pieces {
            let bytes = pack(piece.pack, rows).map_err(|trouble| match trouble {
                Trouble::Shape(found) => mismatch(format!("{:?}", piece.pack), found.to_owned()),
                Trouble::Value(row, what) => {
                    WriteError::Value { tensor: tensor.name.clone(), row: first_row + row, what }
                }
            })?;
            if bytes.len() as u64 != piece.row_bytes * rows.rows as u64 {
                let found = format!("{} bytes", bytes.len());
                return Err(mismatch(format!("{} bytes a row", piece.row_bytes), found).into());
            }
            self.put(out, piece, first_row, &bytes)?;
        }
        Ok(())
    }
}
