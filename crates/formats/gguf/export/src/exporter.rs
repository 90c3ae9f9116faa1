use crate::layout::{Layout, Stored, padded};
use crate::options::{GgufOptions, OverrideValue, Profile};
use crate::pack::{Trouble, pack};
use crate::{GgufExportError, arch, card, grids, kv, vocab};
use kv::{Kvs, Value};
use lfmq_core::{
    ExportJob, ExportPlan, Exporter, Fault, Grid, Holds, PlannedFile, QuantizedRows, Sink, TensorRole, WriteError,
};
use std::borrow::Cow;
use std::cell::RefCell;

/// Version of the block formats.
const QUANTIZATION_VERSION: u32 = 2;
/// Longest text that `llama-quantize` keeps of a value given on its command line.
const TEXT_LIMIT: usize = 127;

thread_local! {
    /// Packed rows on their way. Kept, since a fresh buffer for every slab costs as much as filling it.
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Writes GGUF.
#[derive(Clone, Debug, Default)]
pub struct GgufExporter {
    /// How.
    pub options: GgufOptions,
}

impl Exporter for GgufExporter {
    fn id(&self) -> &'static str {
        "gguf"
    }

    fn holds(&self, grid: &Grid, role: TensorRole) -> Holds {
        grids::holds(grid, role)
    }

    fn plan<'a>(&self, job: &ExportJob<'a>) -> Result<Box<dyn ExportPlan + 'a>, Fault> {
        arch::check(job.source.spec())?;
        let layout = Layout::of(job, self.options.profile, self.options.split)?;
        let kvs = self.metadata(job, &layout)?;
        Ok(Box::new(GgufPlan::new(layout, &kvs, job.stem)?))
    }
}

impl GgufExporter {
    /// All keys but those of the shards.
    fn metadata(&self, job: &ExportJob<'_>, layout: &Layout) -> Result<Kvs, GgufExportError> {
        let spec = job.source.spec();
        let mut kvs = Kvs::default();
        let file_type = grids::file_type(&job.plan.recipe, layout.commonest_type());
        card::general(&mut kvs, job.source, arch::name(spec), self.options.model_name.as_deref())?;
        arch::keys(&mut kvs, spec, file_type);
        kvs.set("general.quantization_version", Value::U32(QUANTIZATION_VERSION));
        vocab::tokenizer(&mut kvs, job.source)?;
        if self.options.profile == Profile::Quantize {
            kvs.append("general.quantization_version", Value::U32(QUANTIZATION_VERSION));
            kvs.append("general.file_type", Value::U32(file_type));
        }
        for over in &self.options.override_kv {
            let value = match &over.value {
                OverrideValue::Int(v) => Value::U32(v.unsigned_abs() as u32),
                OverrideValue::Float(v) => Value::F32(*v as f32),
                OverrideValue::Bool(v) => Value::Bool(*v),
                OverrideValue::Str(v) => Value::Str(v.clone()),
            };
            kvs.append(&over.key, value);
        }
        if self.options.profile == Profile::Quantize {
            importance(&mut kvs, job);
        }
        Ok(kvs)
    }
}

/// Where the importance weights came from.
fn importance(kvs: &mut Kvs, job: &ExportJob<'_>) {
    let Some(found) = &job.plan.importance else { return };
    let cut = |text: &str| Value::from(text.get(..text.floor_char_boundary(TEXT_LIMIT)).unwrap_or(text));
    kvs.append("quantize.imatrix.file", cut(&found.file));
    if let Some(dataset) = &found.dataset {
        kvs.append("quantize.imatrix.dataset", cut(dataset));
    }
    kvs.append("quantize.imatrix.entries_count", Value::U32(found.entries));
    if found.chunks > 0 {
        kvs.append("quantize.imatrix.chunks_count", Value::U32(found.chunks));
    }
}

/// A fixed layout: the head of every file, and where each tensor goes.
struct GgufPlan {
    layout: Layout,
    files: Vec<PlannedFile>,
    /// Everything before the data, padding included, file by file.
    heads: Vec<Vec<u8>>,
}

impl GgufPlan {
    fn new(layout: Layout, kvs: &Kvs, stem: &str) -> Result<Self, GgufExportError> {
        let shards = layout.shards;
        let (mut files, mut heads) = (Vec::new(), Vec::new());
        for shard in 0..shards {
            let mut kvs = if shard == 0 { Cow::Borrowed(kvs) } else { Cow::Owned(Kvs::default()) };
            if shards > 1 {
                let kvs = kvs.to_mut();
                kvs.set("split.no", Value::U16(shard as u16));
                kvs.set("split.count", Value::U16(shards as u16));
                kvs.set("split.tensors.count", Value::I32(layout.stored.len() as i32));
            }
            let stored = || layout.stored.iter().filter(|s| s.shard == shard);
            let head = head(&kvs, stored())?;
            let data: u64 = stored().map(|s| padded(s.bytes)).sum();
            let name = match shards {
                1 => format!("{stem}.gguf"),
                _ => format!("{stem}-{:05}-of-{shards:05}.gguf", shard + 1),
            };
            files.push(PlannedFile { name, bytes: head.len() as u64 + data });
            heads.push(head);
        }
        Ok(Self { layout, files, heads })
    }

    fn write(&self, out: &dyn Sink, shard: usize, offset: u64, bytes: &[u8]) -> Result<(), Fault> {
        let file = || self.files.get(shard).map(|f| f.name.clone()).unwrap_or_default();
        Ok(out.write_at(shard, offset, bytes).map_err(|source| WriteError::Write { file: file(), source })?)
    }

    /// Where the data of `stored` begins in its file.
    fn start(&self, stored: &Stored) -> u64 {
        self.heads.get(stored.shard).map_or(0, |head| head.len() as u64) + stored.offset
    }
}

/// Header, keys, tensor infos and padding.
fn head<'a>(kvs: &Kvs, stored: impl Iterator<Item = &'a Stored>) -> Result<Vec<u8>, GgufExportError> {
    const MAGIC: &[u8] = b"GGUF";
    const VERSION: u32 = 3;
    let mut infos = Vec::new();
    let mut count = 0u64;
    for tensor in stored {
        // The C reader's limit, the closing NUL included.
        if tensor.name.len() >= 64 {
            return Err(GgufExportError::Layout { why: format!("the name `{}` is too long", tensor.name) });
        }
        kv::put_string(&mut infos, &tensor.name);
        infos.extend((tensor.ne.len() as u32).to_le_bytes());
        infos.extend(tensor.ne.iter().flat_map(|n| n.to_le_bytes()));
        infos.extend(tensor.ty.id().to_le_bytes());
        infos.extend(tensor.offset.to_le_bytes());
        count += 1;
    }
    let mut out = MAGIC.to_vec();
    out.extend(VERSION.to_le_bytes());
    out.extend(count.to_le_bytes());
    out.extend((kvs.len() as u64).to_le_bytes());
    kvs.encode(&mut out);
    out.append(&mut infos);
    out.resize(padded(out.len() as u64) as usize, 0);
    Ok(out)
}

impl ExportPlan for GgufPlan {
    fn files(&self) -> &[PlannedFile] {
        &self.files
    }

    fn runtimes(&self) -> Vec<(&'static str, &'static str)> {
        // The first build that runs every model of the family, mixtures of experts included.
        vec![("llama.cpp", "b6709")]
    }

    fn tensor_bytes(&self, index: usize) -> u64 {
        self.layout.places.get(index).map_or(0, |place| place.row_bytes * place.rows as u64)
    }

    fn write_frame(&self, out: &dyn Sink) -> Result<(), Fault> {
        for (shard, head) in self.heads.iter().enumerate() {
            self.write(out, shard, 0, head)?;
        }
        for stored in &self.layout.stored {
            let padding = vec![0; (padded(stored.bytes) - stored.bytes) as usize];
            if !padding.is_empty() {
                self.write(out, stored.shard, self.start(stored) + stored.bytes, &padding)?;
            }
        }
        Ok(())
    }

    fn write_rows(&self, index: usize, first_row: usize, rows: &QuantizedRows, out: &dyn Sink) -> Result<(), Fault> {
        let found = self.layout.places.get(index).and_then(|p| Some((p, self.layout.stored.get(p.stored)?)));
        let Some((place, stored)) = found else {
            let (expected, found) = (format!("an index below {}", self.layout.places.len()), index.to_string());
            return Err(WriteError::Rows { tensor: String::new(), expected, found }.into());
        };
        let mismatch =
            |expected: String, found: String| WriteError::Rows { tensor: place.name.clone(), expected, found };
        let last_row = first_row.checked_add(rows.rows).filter(|last| *last <= place.rows);
        if last_row.is_none() || rows.cols != place.cols {
            let found = format!("{} rows of {} from row {first_row}", rows.rows, rows.cols);
            return Err(mismatch(format!("rows within [{}, {}]", place.rows, place.cols), found).into());
        }
        let offset = self.start(stored) + place.start + first_row as u64 * place.row_bytes;
        BUFFER.with_borrow_mut(|buffer| {
            let bytes = pack(stored.ty, rows, buffer).map_err(|trouble| match trouble {
                Trouble::Shape(found) => mismatch(stored.ty.to_string(), found),
                Trouble::Value(row, what) => {
                    WriteError::Value { tensor: place.name.clone(), row: first_row + row, what }
                }
            });
            // Through our own error, which knows the way out.
            self.write(out, stored.shard, offset, bytes.map_err(GgufExportError::from)?)
        })
    }
}
