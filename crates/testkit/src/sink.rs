//! Where exporters write in tests.

use lfmq_core::{ExportPlan, QuantizedRows, Sink, TensorSource};
use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Mutex;

/// Files in memory that count how often each byte was written.
pub struct Counting(Vec<Mutex<(Vec<u8>, Vec<u8>)>>);

impl Counting {
    /// The files of `plan`, nothing written yet.
    #[must_use]
    pub fn of(plan: &dyn ExportPlan) -> Self {
        let file = |bytes: u64| Mutex::new((vec![0; bytes as usize], vec![0; bytes as usize]));
        Self(plan.files().iter().map(|f| file(f.bytes)).collect())
    }

    /// The files.
    ///
    /// # Panics
    /// Unless each byte of them was written exactly once.
    #[must_use]
    pub fn once(self) -> Vec<Vec<u8>> {
        let files = self.0.into_iter().map(|file| file.into_inner().expect("nothing panicked"));
        let checked = files.enumerate().map(|(n, (bytes, counts))| {
            let other = counts.iter().position(|count| *count != 1);
            assert!(other.is_none(), "file {n}: byte {other:?} was not written once");
            bytes
        });
        checked.collect()
    }
}

impl Sink for Counting {
    fn write_at(&self, file: usize, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut file = self.0[file].lock().expect("nothing panicked");
        let range = offset as usize..offset as usize + bytes.len();
        file.0[range.clone()].copy_from_slice(bytes);
        file.1[range].iter_mut().for_each(|n| *n += 1);
        Ok(())
    }
}

/// Writes all of `source` through `plan` in slabs of `rows` rows, the last slab first if `backwards`, and returns the
/// files, each byte of which was written once. `quantized` makes the rows of tensor `index` from their weights.
///
/// # Panics
/// On any error.
pub fn write(
    source: &dyn TensorSource,
    plan: &dyn ExportPlan,
    (rows, backwards): (usize, bool),
    quantized: impl Fn(usize, &[f32]) -> QuantizedRows,
) -> Vec<Vec<u8>> {
    let out = Counting::of(plan);
    let mut slabs = Vec::new();
    for (index, t) in source.tensors().iter().enumerate() {
        slabs.extend((0..t.rows).step_by(rows).map(|first| (index, first)));
    }
    if backwards {
        slabs.reverse();
    }
    for (index, first) in slabs {
        let tensor = &source.tensors()[index];
        let last = first.saturating_add(rows).min(tensor.rows);
        let mut x = vec![0.0; (last - first) * tensor.cols];
        source.read_rows(index, first..last, &mut x).expect("readable rows");
        plan.write_rows(index, first, &quantized(index, &x), &out).expect("rows that fit");
    }
    plan.write_frame(&out).expect("a frame");
    out.once()
}

/// The files of a plan in a folder on disk.
pub struct Folder(Vec<Mutex<File>>);

impl Folder {
    /// Makes the files of `plan`, in their full size, in `folder`.
    ///
    /// # Errors
    /// I/O.
    pub fn of(plan: &dyn ExportPlan, folder: &Path) -> io::Result<Self> {
        let make = |name: &str, bytes| {
            let path = folder.join(name);
            path.parent().map_or(Ok(()), fs::create_dir_all)?;
            let file = File::create(path)?;
            file.set_len(bytes)?;
            Ok(Mutex::new(file))
        };
        plan.files().iter().map(|f| make(&f.name, f.bytes)).collect::<io::Result<_>>().map(Self)
    }
}

impl Sink for Folder {
    fn write_at(&self, file: usize, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut file = self.0[file].lock().expect("nothing panicked");
        file.seek(SeekFrom::Start(offset))?;
        file.write_all(bytes)
    }
}
