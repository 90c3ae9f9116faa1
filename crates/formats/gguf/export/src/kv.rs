//! Typed metadata keys in file order, and their bytes.

/// A value of a key, of the types that a model's metadata needs.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    U16(u16),
    U32(u32),
    I32(i32),
    F32(f32),
    Bool(bool),
    Str(String),
    I32s(Vec<i32>),
    Strs(Vec<String>),
}

const STRING: u32 = 8;
const ARRAY: u32 = 9;

impl Value {
    /// The type word; for arrays that of the elements.
    fn word(&self) -> u32 {
        match self {
            Self::U16(_) => 2,
            Self::U32(_) => 4,
            Self::I32(_) | Self::I32s(_) => 5,
            Self::F32(_) => 6,
            Self::Bool(_) => 7,
            Self::Str(_) | Self::Strs(_) => STRING,
        }
    }

    /// Python's writer leaves out empty strings and arrays.
    fn is_empty(&self) -> bool {
        match self {
            Self::Str(text) => text.is_empty(),
            Self::I32s(all) => all.is_empty(),
            Self::Strs(all) => all.is_empty(),
            _ => false,
        }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        let mut array = |count: usize| {
            out.extend(ARRAY.to_le_bytes());
            out.extend(self.word().to_le_bytes());
            out.extend((count as u64).to_le_bytes());
        };
        match self {
            Self::I32s(all) => {
                array(all.len());
                out.extend(all.iter().flat_map(|v| v.to_le_bytes()));
                return;
            }
            Self::Strs(all) => {
                array(all.len());
                all.iter().for_each(|text| put_string(out, text));
                return;
            }
            _ => out.extend(self.word().to_le_bytes()),
        }
        match self {
            Self::U16(v) => out.extend(v.to_le_bytes()),
            Self::U32(v) => out.extend(v.to_le_bytes()),
            Self::I32(v) => out.extend(v.to_le_bytes()),
            Self::F32(v) => out.extend(v.to_le_bytes()),
            Self::Bool(v) => out.push(u8::from(*v)),
            Self::Str(text) => put_string(out, text),
            Self::I32s(_) | Self::Strs(_) => {}
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Str(text.to_owned())
    }
}

/// A string as the format has it: u64 length, bytes.
pub(crate) fn put_string(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

/// Keys in the order of the file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Kvs(Vec<(String, Value)>);

impl Kvs {
    /// Python's assignment: a known key keeps its place, an empty value is left out.
    pub(crate) fn set(&mut self, key: impl Into<String>, value: Value) {
        let key = key.into();
        if value.is_empty() {
            return;
        }
        match self.0.iter_mut().find(|(k, _)| *k == key) {
            Some(slot) => slot.1 = value,
            None => self.0.push((key, value)),
        }
    }

    /// The C library's assignment: the key moves to the end.
    pub(crate) fn append(&mut self, key: impl Into<String>, value: Value) {
        let key = key.into();
        self.remove(&key);
        self.0.push((key, value));
    }

    pub(crate) fn remove(&mut self, key: &str) {
        self.0.retain(|(k, _)| k != key);
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        for (key, value) in &self.0 {
            put_string(out, key);
            value.encode(out);
        }
    }

    #[cfg(test)]
    pub(crate) fn get(&self, key: &str) -> Option<&Value> {
        self.0.iter().find(|(k, _)| k == key).map(|(_, v)| v)
    }

    #[cfg(test)]
    pub(crate) fn keys(&self) -> Vec<&str> {
        self.0.iter().map(|(k, _)| k.as_str()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_assignments_differ_in_the_place_of_a_known_key() {
        let mut kvs = Kvs::default();
        for (key, n) in [("a", 1), ("b", 2)] {
            kvs.set(key, Value::U32(n));
        }
        kvs.set("a", Value::U32(3));
        assert_eq!(kvs.keys(), ["a", "b"]);
        kvs.append("a", Value::U32(4));
        assert_eq!(kvs.keys(), ["b", "a"]);
        assert_eq!(kvs.get("a"), Some(&Value::U32(4)));
        kvs.set("c", Value::Strs(vec![]));
        assert_eq!(kvs.len(), 2);
    }

    #[test]
    fn bytes_of_each_kind() {
        let bytes = |value: Value| {
            let mut out = Vec::new();
            value.encode(&mut out);
            out
        };
        assert_eq!(bytes(Value::U16(0x102)), [2, 0, 0, 0, 2, 1]);
        assert_eq!(bytes(Value::Bool(true)), [7, 0, 0, 0, 1]);
        assert_eq!(bytes("hi".into()), [8, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, b'h', b'i']);
        assert_eq!(bytes(Value::I32s(vec![-1])), [9, 0, 0, 0, 5, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255]);
    }
}
