//! Initializers: typed bytes in the model file or in files beside it, mapped and never copied.

use crate::RunError;
use crate::model::{TensorProto, Values};
use crate::tensor::{Data, Kind, Tensor, Why, elements};
use half::f16;
use lfmq_core::Mapped;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

/// A tensor as the file has it.
#[derive(Clone)]
pub(crate) struct Stored {
    pub kind: Kind,
    pub shape: Vec<usize>,
    bytes: Bytes,
    external: bool,
}

#[derive(Clone)]
enum Bytes {
    Mapped(Arc<Mapped>, Range<usize>),
    /// Values that the model file spells out one by one.
    Own(Arc<Vec<u8>>),
}

/// Where a tensor's bytes are: two tensors with one place are one set of weights.
pub(crate) type Place = (usize, usize);

/// The files that tensors lie in.
pub(crate) struct Files {
    model: Arc<Mapped>,
    folder: PathBuf,
    open: BTreeMap<String, Arc<Mapped>>,
}

impl Files {
    pub fn new(model: Arc<Mapped>) -> Self {
        let folder = model.path().parent().unwrap_or(Path::new("")).to_owned();
        Self { model, folder, open: BTreeMap::new() }
    }

    fn external(&mut self, location: &str) -> Result<Arc<Mapped>, Fault> {
        if let Some(open) = self.open.get(location) {
            return Ok(open.clone());
        }
        // Downwards only: a file must not make us read elsewhere. Backslashes separate on some machines.
        let plain = |c: Component<'_>| matches!(c, Component::Normal(_));
        if location.is_empty() || location.contains(['\\', '\0', ':']) || !Path::new(location).components().all(plain) {
            return Err(Fault::Why(format!("its location `{location}` is not a path below the model's folder")));
        }
        let path = self.folder.join(location);
        let map = Mapped::open(&path).map_err(|source| Fault::Open(RunError::Open { path, source }))?;
        let map = Arc::new(map);
        self.open.insert(location.to_owned(), map.clone());
        Ok(map)
    }

    /// Checks kind, shape and length of `tensor` and finds its bytes.
    ///
    /// # Errors
    /// When the bytes are not what the shape needs, or not where they are said to be.
    pub fn find(&mut self, tensor: &TensorProto<'_>) -> Result<Stored, RunError> {
        let path = self.model.path().to_owned();
        self.locate(tensor).map_err(|fault| match fault {
            Fault::Why(why) => RunError::Tensor { path, tensor: tensor.name.to_owned(), why },
            Fault::Open(error) => error,
        })
    }

    fn locate(&mut self, tensor: &TensorProto<'_>) -> Result<Stored, Fault> {
        let kind = Kind::of(tensor.dtype)?;
        let shape: Vec<usize> = tensor
            .dims
            .iter()
            .map(|d| usize::try_from(*d).map_err(|_| format!("extent {d}")))
            .collect::<Result<_, _>>()?;
        let count = elements(&shape, isize::MAX.cast_unsigned())?;
        let need = kind.bytes(count).ok_or_else(|| format!("a tensor of shape {shape:?} is too large"))?;
        let bytes = match &tensor.values {
            Values::None if need == 0 => Bytes::Own(Arc::default()),
            Values::None => return Err(format!("no values for shape {shape:?}").into()),
            Values::Raw(range) => Bytes::Mapped(self.model.clone(), range.clone()),
            Values::Floats(values) if kind == Kind::F32 => {
                Bytes::Own(Arc::new(values.iter().flat_map(|v| v.to_le_bytes()).collect()))
            }
            Values::Floats(_) => return Err(format!("floats as the values of {kind:?}").into()),
            Values::Ints(values) => Bytes::Own(Arc::new(spelled_out(kind, values)?)),
            Values::External { location, offset, length } => {
                let map = self.external(location)?;
                let length = length.unwrap_or(need as u64);
                let at = |n: u64| usize::try_from(n).ok();
                let range = at(*offset).zip(offset.checked_add(length).and_then(at)).map(|(a, b)| a..b);
                let range = range.filter(|r| r.end <= map.len()).ok_or_else(|| {
                    format!("bytes {offset}+{length} of {}, which has {}", map.path().display(), map.len())
                })?;
                Bytes::Mapped(map, range)
            }
        };
        let external = matches!(tensor.values, Values::External { .. });
        let stored = Stored { kind, shape, bytes, external };
        if stored.bytes().len() != need {
            return Err(format!("{} bytes for shape {:?}, expected {need}", stored.bytes().len(), stored.shape).into());
        }
        Ok(stored)
    }
}

enum Fault {
    Why(Why),
    Open(RunError),
}

impl From<Why> for Fault {
    fn from(why: Why) -> Self {
        Self::Why(why)
    }
}

/// `int32_data` and `int64_data` as the bytes `raw_data` would have.
fn spelled_out(kind: Kind, values: &[i64]) -> Result<Vec<u8>, Why> {
    Ok(match kind {
        Kind::I64 => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        Kind::I32 => values.iter().flat_map(|v| (*v as i32).to_le_bytes()).collect(),
        Kind::F16 => values.iter().flat_map(|v| (*v as u16).to_le_bytes()).collect(),
        Kind::U8 | Kind::I8 | Kind::Bool | Kind::U4 | Kind::I4 => values.iter().map(|v| *v as u8).collect(),
        Kind::F32 => return Err("integers as the values of F32".into()),
    })
}

impl Stored {
    /// Values that no file holds, as if one did.
    pub fn of(tensor: &Tensor) -> Self {
        let bytes: Vec<u8> = match &tensor.data {
            Data::F32(v) => v.iter().flat_map(|v| v.to_le_bytes()).collect(),
            Data::F16(v) => v.iter().flat_map(|v| v.to_le_bytes()).collect(),
            Data::I64(v) => v.iter().flat_map(|v| v.to_le_bytes()).collect(),
            Data::I32(v) => v.iter().flat_map(|v| v.to_le_bytes()).collect(),
            Data::U8(v) => v.to_vec(),
            Data::I8(v) => v.iter().map(|v| v.cast_unsigned()).collect(),
            Data::Bool(v) => v.iter().map(|v| u8::from(*v)).collect(),
        };
        Self { kind: tensor.kind(), shape: tensor.shape.clone(), bytes: Bytes::Own(Arc::new(bytes)), external: false }
    }

    /// Part `i` of `count` along the first axis.
    pub fn part(&self, i: usize, count: usize) -> Result<Self, Why> {
        let all = self.bytes();
        let fits = self.shape.first() == Some(&count) && i < count && all.len().is_multiple_of(count);
        let each = if fits { all.len() / count } else { return Err(format!("{:?} for {count} experts", self.shape)) };
        let bytes = match &self.bytes {
            Bytes::Mapped(map, range) => {
                Bytes::Mapped(map.clone(), range.start + i * each..range.start + (i + 1) * each)
            }
            Bytes::Own(own) => Bytes::Own(Arc::new(own.get(i * each..(i + 1) * each).unwrap_or_default().to_vec())),
        };
        let shape = self.shape.get(1..).unwrap_or_default().to_vec();
        Ok(Self { kind: self.kind, shape, bytes, external: self.external })
    }

    /// Number of elements.
    pub fn count(&self) -> usize {
        elements(&self.shape, usize::MAX).unwrap_or(0)
    }

    /// Whether the values lie in a file of their own beside the graph.
    pub fn is_external(&self) -> bool {
        self.external
    }

    pub fn bytes(&self) -> &[u8] {
        match &self.bytes {
            Bytes::Mapped(map, range) => map.get(range.clone()).unwrap_or_default(),
            Bytes::Own(bytes) => bytes,
        }
    }

    /// See [`Place`].
    pub fn place(&self) -> Place {
        match &self.bytes {
            Bytes::Mapped(map, range) => (Arc::as_ptr(map).addr(), range.start),
            Bytes::Own(bytes) => (Arc::as_ptr(bytes).addr(), 0),
        }
    }

    /// Floats `range`, counted in elements, widened to f32.
    pub fn floats(&self, range: Range<usize>, out: &mut Vec<f32>) -> Result<(), Why> {
        let size = match self.kind {
            Kind::F32 => 4,
            Kind::F16 => 2,
            other => return Err(format!("expected floats, found {other:?}")),
        };
        let span = range.start.saturating_mul(size)..range.end.saturating_mul(size);
        let bytes = self.bytes().get(span).ok_or("elements outside the tensor")?;
        if size == 4 {
            out.extend(bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)));
        } else {
            out.extend(bytes.as_chunks::<2>().0.iter().map(|b| f16::from_le_bytes(*b).to_f32()));
        }
        Ok(())
    }

    /// A copy in memory. Elements of four bits take a byte each.
    pub fn load(&self) -> Tensor {
        let bytes = self.bytes();
        let count = elements(&self.shape, usize::MAX).unwrap_or(0);
        let nibbles = || bytes.iter().flat_map(|b| [b & 15, b >> 4]).take(count);
        let data = match self.kind {
            Kind::F32 => Data::F32(Arc::new(bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect())),
            Kind::F16 => Data::F16(Arc::new(bytes.as_chunks().0.iter().map(|b| f16::from_le_bytes(*b)).collect())),
            Kind::I64 => Data::I64(Arc::new(bytes.as_chunks().0.iter().map(|b| i64::from_le_bytes(*b)).collect())),
            Kind::I32 => Data::I32(Arc::new(bytes.as_chunks().0.iter().map(|b| i32::from_le_bytes(*b)).collect())),
            Kind::U8 => Data::U8(Arc::new(bytes.to_vec())),
            Kind::I8 => Data::I8(Arc::new(bytes.iter().map(|b| b.cast_signed()).collect())),
            Kind::Bool => Data::Bool(Arc::new(bytes.iter().map(|b| *b != 0).collect())),
            Kind::U4 => Data::U8(Arc::new(nibbles().collect())),
            Kind::I4 => Data::I8(Arc::new(nibbles().map(|n| (n << 4).cast_signed() >> 4).collect())),
        };
        Tensor::new(self.shape.clone(), data)
    }
}
