use crate::WireError;
use crate::cursor::Cursor;
use crate::tensor::{Info, Tensor};
use crate::value::{Array, Value};

/// `GGUF`
const MAGIC: [u8; 4] = *b"GGUF";
/// Alignment of files that do not name one.
const DEFAULT_ALIGNMENT: u32 = 32;
/// Fewest bytes of a key with its value (a one-letter key holding a byte) and of a tensor info.
const LEAST_KEY: u64 = 8 + 1 + 4 + 1;
const LEAST_TENSOR: u64 = 8 + 1 + 4 + 8 + 4 + 8;

/// A parsed file: its keys in order and its tensors in order, all borrowed from the bytes.
#[derive(Clone, Debug)]
pub struct Container<'a> {
    version: u32,
    alignment: u32,
    keys: Vec<(&'a str, Value<'a>)>,
    /// Positions in `keys` by name.
    keys_by_name: Vec<u32>,
    tensors: Vec<Tensor<'a>>,
    /// Positions in `tensors` by name.
    tensors_by_name: Vec<u32>,
    data_start: u64,
    notes: Vec<String>,
}

impl<'a> Container<'a> {
    /// Reads header, keys and tensor infos of a little-endian file of version 2 or 3 and checks that every
    /// tensor lies where the format says. Memory grows with what is read, never with what a length claims.
    ///
    /// # Errors
    /// Any breach of the format; see [`WireError`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, WireError> {
        let mut from = Cursor::new(bytes);
        let version = read_version(&mut from)?;
        let n_tensors = read_count(&mut from, "tensors", LEAST_TENSOR)?;
        let n_keys = read_count(&mut from, "keys", LEAST_KEY)?;
        let keys = read_keys(&mut from, n_keys)?;
        let keys_by_name =
            by_name(&keys, |(key, _)| key).map_err(|key| WireError::DuplicateKey { key: key.to_owned() })?;
        let mut container = Self {
            version,
            alignment: DEFAULT_ALIGNMENT,
            keys,
            keys_by_name,
            tensors: Vec::new(),
            tensors_by_name: Vec::new(),
            data_start: 0,
            notes: Vec::new(),
        };
        container.alignment = container.read_alignment()?;
        container.read_tensors(bytes, &mut from, n_tensors)?;
        Ok(container)
    }

    /// Version of the format, 2 or 3.
    #[must_use]
    pub const fn version(&self) -> u32 {
        self.version
    }

    /// What every tensor's offset is a multiple of.
    #[must_use]
    pub const fn alignment(&self) -> u32 {
        self.alignment
    }

    /// Byte of the file where the first tensor starts.
    #[must_use]
    pub const fn data_start(&self) -> u64 {
        self.data_start
    }

    /// The keys with their values, in the file's order.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = (&'a str, Value<'a>)> + '_ {
        self.keys.iter().copied()
    }

    /// The value of `key`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Value<'a>> {
        let found = self.keys_by_name.binary_search_by_key(&key, |i| self.keys.get(*i as usize).map_or("", |k| k.0));
        let index = *self.keys_by_name.get(found.ok()?)?;
        self.keys.get(index as usize).map(|(_, value)| *value)
    }

    /// The value of `key` as `T`, e.g. `read::<u32>("lfm2.block_count")`; integers of any width are taken as
    /// long as the value fits.
    ///
    /// # Errors
    /// When the key is missing or holds something else; both are named.
    pub fn read<T: FromValue<'a>>(&self, key: &str) -> Result<T, WireError> {
        self.find(key)?.ok_or_else(|| WireError::MissingKey { key: key.to_owned() })
    }

    /// As [`Self::read`], `None` when the key is missing.
    ///
    /// # Errors
    /// When the key holds something else.
    pub fn find<T: FromValue<'a>>(&self, key: &str) -> Result<Option<T>, WireError> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let wrong = || WireError::KeyType { key: key.to_owned(), expected: T::EXPECTED, found: value.describe() };
        T::from_value(value).ok_or_else(wrong).map(Some)
    }

    /// The tensors in the file's order.
    #[must_use]
    pub fn tensors(&self) -> &[Tensor<'a>] {
        &self.tensors
    }

    /// The tensor of this name.
    #[must_use]
    pub fn tensor(&self, name: &str) -> Option<&Tensor<'a>> {
        let at = |i: &u32| self.tensors.get(*i as usize).map_or("", |t| t.name());
        let found = self.tensors_by_name.binary_search_by_key(&name, at);
        self.tensors.get(*self.tensors_by_name.get(found.ok()?)? as usize)
    }

    /// Oddities that were accepted, each a sentence.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    fn read_alignment(&self) -> Result<u32, WireError> {
        let key = "general.alignment";
        match self.get(key) {
            None => Ok(DEFAULT_ALIGNMENT),
            Some(Value::U32(found)) if found.is_power_of_two() && found >= 8 => Ok(found),
            Some(Value::U32(found)) => Err(WireError::Alignment { found }),
            Some(v) => Err(WireError::KeyType { key: key.to_owned(), expected: "u32", found: v.describe() }),
        }
    }

    fn read_tensors(&mut self, bytes: &'a [u8], from: &mut Cursor<'a>, count: usize) -> Result<(), WireError> {
        let mut infos = Vec::new();
        for index in 0..count {
            infos.push(Info::read(index, from)?);
        }
        self.tensors_by_name =
            by_name(&infos, |i| i.name).map_err(|t| WireError::DuplicateTensor { tensor: t.to_owned() })?;
        let alignment = u64::from(self.alignment);
        self.data_start = (from.at() as u64).next_multiple_of(alignment);
        let mut offset = 0;
        for info in infos {
            let (tensor, next) = info.place(bytes, self.data_start, offset, alignment)?;
            self.tensors.push(tensor);
            offset = next;
        }
        self.note_the_end(bytes.len() as u64, offset);
        Ok(())
    }

    fn note_the_end(&mut self, len: u64, data: u64) {
        let end = self.data_start.saturating_add(data);
        if len > end {
            self.notes.push(format!("{} bytes follow the last tensor", len - end));
        } else if len < end && !self.tensors.is_empty() {
            self.notes.push("the last tensor is not padded to the alignment".to_owned());
        }
    }
}

fn read_version(from: &mut Cursor<'_>) -> Result<u32, WireError> {
    let left = from.left().min(MAGIC.len());
    let found = from.take(left as u64, "the magic")?;
    if found != MAGIC {
        return Err(WireError::Magic { found: found.to_vec() });
    }
    match from.u32("the header")? {
        found @ (2 | 3) => Ok(found),
        word if word & 0xffff == 0 && word != 0 => Err(WireError::BigEndian { word }),
        found => Err(WireError::Version { found }),
    }
}

fn read_count(from: &mut Cursor<'_>, what: &'static str, least: u64) -> Result<usize, WireError> {
    let count = from.u64("the header")?;
    let left = from.left() as u64;
    match usize::try_from(count) {
        Ok(n) if count <= left / least && u32::try_from(n).is_ok() => Ok(n),
        _ => Err(WireError::Count { what, count, left }),
    }
}

fn read_keys<'a>(from: &mut Cursor<'a>, count: usize) -> Result<Vec<(&'a str, Value<'a>)>, WireError> {
    let mut keys = Vec::new();
    for index in 0..count {
        let key = from.text("a key")?;
        match key.len() {
            0 => return Err(WireError::EmptyKey { index }),
            1..=65535 => {}
            found => return Err(WireError::LongKey { index, found }),
        }
        let id = from.u32("a value's type")?;
        keys.push((key, Value::read(key, id, from)?));
    }
    Ok(keys)
}

/// Positions of `items` sorted by name; the error is a name that appears twice.
fn by_name<'a, T>(items: &[T], name: impl Fn(&T) -> &'a str) -> Result<Vec<u32>, &'a str> {
    let named = |i: &u32| items.get(*i as usize).map_or("", &name);
    let mut order: Vec<u32> = (0u32..).take(items.len()).collect();
    order.sort_unstable_by_key(named);
    match order.windows(2).find_map(|w| w.first().map(named).filter(|n| w.last().map(named) == Some(*n))) {
        Some(twice) => Err(twice),
        None => Ok(order),
    }
}

/// A Rust type that a key can be read as.
pub trait FromValue<'a>: Sized {
    /// What messages call it.
    const EXPECTED: &'static str;

    /// The value, if it is one.
    fn from_value(value: Value<'a>) -> Option<Self>;
}

macro_rules! integers {
    ($($ty:ty => $expected:literal),*) => {$(
        impl<'a> FromValue<'a> for $ty {
            const EXPECTED: &'static str = $expected;

            fn from_value(value: Value<'a>) -> Option<Self> {
                value.int()?.try_into().ok()
            }
        }
    )*};
}

integers!(u16 => "an integer of 0 to 65535", u32 => "an integer of 0 to 2^32 - 1", u64 => "an unsigned integer",
    usize => "an unsigned integer", i32 => "a 32-bit integer", i64 => "an integer");

impl<'a> FromValue<'a> for f64 {
    const EXPECTED: &'static str = "a float";

    fn from_value(value: Value<'a>) -> Option<Self> {
        value.float()
    }
}

impl<'a> FromValue<'a> for bool {
    const EXPECTED: &'static str = "a bool";

    fn from_value(value: Value<'a>) -> Option<Self> {
        if let Value::Bool(v) = value { Some(v) } else { None }
    }
}

impl<'a> FromValue<'a> for &'a str {
    const EXPECTED: &'static str = "a string";

    fn from_value(value: Value<'a>) -> Option<Self> {
        if let Value::Str(v) = value { Some(v) } else { None }
    }
}

impl<'a> FromValue<'a> for Array<'a> {
    const EXPECTED: &'static str = "an array";

    fn from_value(value: Value<'a>) -> Option<Self> {
        if let Value::Array(v) = value { Some(v) } else { None }
    }
}
