use crate::bundle::{self, Bundle};
use crate::options::{Files, TfliteOptions};
use crate::pack::{Trouble, pack};
use crate::store::Places;
use crate::{TfliteExportError, grids, lower};
use lfmq_core::{
    ExportJob, ExportPlan, Exporter, Fault, Grid, Holds, PlannedFile, QuantizedRows, Sink, SourceTensor, TensorRole,
    WriteError,
};

/// Writes TFLite.
#[derive(Clone, Debug, Default)]
pub struct TfliteExporter {
    /// How.
    pub options: TfliteOptions,
}

impl Exporter for TfliteExporter {
    fn id(&self) -> &'static str {
        "tflite"
    }

    fn holds(&self, grid: &Grid, role: TensorRole) -> Holds {
        grids::holds(grid, role)
    }

    fn plan<'a>(&self, job: &ExportJob<'a>) -> Result<Box<dyn ExportPlan + 'a>, Fault> {
        self.options.check(job.source.spec())?;
        job.check()?;
        Ok(Box::new(TflitePlan::new(job, &self.options)?))
    }
}

/// Files that are copied as they are beside a model that carries no tokenizer.
const COPIED: [&str; 5] = [
    "chat_template.jinja",
    "generation_config.json",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
];

/// A fixed layout.
struct TflitePlan<'a> {
    tensors: &'a [SourceTensor],
    files: Vec<PlannedFile>,
    runtimes: Vec<(&'static str, &'static str)>,
    /// The files that hold the model, and where in them it begins.
    homes: Vec<(usize, u64)>,
    places: Places,
    /// Known bytes: file, offset, content.
    frame: Vec<(usize, u64, Vec<u8>)>,
    /// The flatbuffer's known bytes, to go to every home.
    flat: Vec<(u64, Vec<u8>)>,
}

impl<'a> TflitePlan<'a> {
    fn new(job: &ExportJob<'a>, options: &TfliteOptions) -> Result<Self, TfliteExportError> {
        let spec = job.source.spec();
        let lower::Lowered { flat, store, runtime } = lower::lower(job, options)?;
        let layout = flat.layout();
        let places = store.fix(&layout)?;
        let flat = flat.encode(&layout, *b"TFL3", &places.late);
        let tensors = job.source.tensors();
        let (files, runtimes, homes, frame) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut plan = Self { tensors, files, runtimes, homes, places, frame, flat };
        if options.files != Files::Litertlm {
            plan.runtimes.push(("LiteRT", runtime.litert));
            let home = plan.file(format!("{}.tflite", job.stem), plan.places.size);
            plan.homes.push((home, 0));
        }
        if options.files != Files::Tflite {
            plan.runtimes.push(("LiteRT-LM", bundle::MIN_RUNTIME));
            let bundle = Bundle::new(job, plan.places.size, options.context(spec), options.room(spec))?;
            let home = plan.file(format!("{}.litertlm", job.stem), bundle.model + plan.places.size);
            plan.homes.push((home, bundle.model));
            let mut end = 0;
            for (at, bytes) in bundle.parts {
                plan.pad(home, end, at);
                end = at + bytes.len() as u64;
                plan.frame.push((home, at, bytes));
            }
            plan.pad(home, end, bundle.model);
        }
        if options.files != Files::Litertlm {
            for (name, bytes) in COPIED.iter().filter_map(|name| Some((name, job.source.sidecar(name)?))) {
                let file = plan.file((*name).to_owned(), bytes.len() as u64);
                plan.frame.push((file, 0, bytes.to_vec()));
            }
        }
        Ok(plan)
    }

    fn file(&mut self, name: String, bytes: u64) -> usize {
        self.files.push(PlannedFile { name, bytes });
        self.files.len() - 1
    }

    fn pad(&mut self, file: usize, from: u64, to: u64) {
        if to > from {
            self.frame.push((file, from, vec![0; (to - from) as usize]));
        }
    }

    fn write(&self, out: &dyn Sink, file: usize, offset: u64, bytes: &[u8]) -> Result<(), Fault> {
        let name = || self.files.get(file).map(|f| f.name.clone()).unwrap_or_default();
        Ok(out.write_at(file, offset, bytes).map_err(|source| WriteError::Write { file: name(), source })?)
    }

    /// Writes to wherever the model is.
    fn put(&self, out: &dyn Sink, offset: u64, bytes: &[u8]) -> Result<(), Fault> {
        self.homes.iter().try_for_each(|(file, base)| self.write(out, *file, base + offset, bytes))
    }
}

impl ExportPlan for TflitePlan<'_> {
    fn files(&self) -> &[PlannedFile] {
        &self.files
    }

    fn runtimes(&self) -> Vec<(&'static str, &'static str)> {
        self.runtimes.clone()
    }

    fn tensor_bytes(&self, index: usize) -> u64 {
        let rows = self.tensors.get(index).map_or(0, |t| t.rows as u64);
        self.places.pieces.get(index).map_or(0, |pieces| pieces.iter().map(|p| p.row_bytes * rows).sum())
    }

    fn write_frame(&self, out: &dyn Sink) -> Result<(), Fault> {
        for (file, at, bytes) in &self.frame {
            self.write(out, *file, *at, bytes)?;
        }
        for (at, length) in &self.places.gaps {
            self.put(out, *at, &vec![0; *length as usize])?;
        }
        self.flat.iter().try_for_each(|(at, bytes)| self.put(out, *at, bytes))
    }

    fn write_rows(&self, index: usize, first_row: usize, rows: &QuantizedRows, out: &dyn Sink) -> Result<(), Fault> {
        let found = self.tensors.get(index).zip(self.places.pieces.get(index));
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
            self.put(out, piece.offset + first_row as u64 * piece.row_bytes, &bytes)?;
        }
        Ok(())
    }
}
