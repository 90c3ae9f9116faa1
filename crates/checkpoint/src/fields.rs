//! Reads the fields of a configuration. `null` counts as absent, as in the library that wrote the file.

use crate::CheckpointError;
use serde_json::{Map, Value};

/// Largest width, count or id; far above any model, far below any overflow of a product of two.
const SIZE_LIMIT: u64 = 1 << 24;

/// The object of a configuration.
#[derive(Clone, Copy)]
pub struct Fields<'a>(&'a Map<String, Value>);

impl<'a> Fields<'a> {
    /// The fields of `value`.
    pub fn of(value: &'a Value) -> Result<Self, CheckpointError> {
        value.as_object().map(Self).ok_or_else(|| bad("config.json", "an object", value))
    }

    /// The field called `name`, unless it is null.
    pub fn get(self, name: &str) -> Option<&'a Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// A whole number from 1 to the limit.
    pub fn size(self, name: &str) -> Result<Option<usize>, CheckpointError> {
        match self.count(name)? {
            Some(0) => Err(bad(name, "at least 1", &Value::from(0))),
            other => Ok(other),
        }
    }

    /// A whole number from 0 to the limit. `8.0` is whole, too.
    pub fn count(self, name: &str) -> Result<Option<usize>, CheckpointError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        whole(value)
            .filter(|n| *n <= SIZE_LIMIT)
            .and_then(|n| usize::try_from(n).ok())
            .map(Some)
            .ok_or_else(|| bad(name, &format!("a whole number up to {SIZE_LIMIT}"), value))
    }

    /// A finite number above 0.
    pub fn positive(self, name: &str) -> Result<Option<f64>, CheckpointError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let number = value.as_f64().filter(|x| x.is_finite() && *x > 0.0);
        number.map(Some).ok_or_else(|| bad(name, "a number above 0", value))
    }

    /// True or false.
    pub fn flag(self, name: &str) -> Result<Option<bool>, CheckpointError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        value.as_bool().map(Some).ok_or_else(|| bad(name, "true or false", value))
    }

    /// A text.
    pub fn text(self, name: &str) -> Result<Option<&'a str>, CheckpointError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        value.as_str().map(Some).ok_or_else(|| bad(name, "a text", value))
    }

    /// A list.
    pub fn list(self, name: &str) -> Result<Option<&'a [Value]>, CheckpointError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        value.as_array().map(|list| Some(list.as_slice())).ok_or_else(|| bad(name, "a list", value))
    }

    /// An object.
    pub fn object(self, name: &str) -> Result<Option<Self>, CheckpointError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        value.as_object().map(|map| Some(Self(map))).ok_or_else(|| bad(name, "an object", value))
    }

    /// One token id or a list of them; a negative number stands for none.
    pub fn tokens(self, name: &str) -> Result<Vec<u32>, CheckpointError> {
        let values = match self.get(name) {
            None => return Ok(Vec::new()),
            Some(Value::Array(list)) => list.as_slice(),
            Some(one) => std::slice::from_ref(one),
        };
        let mut ids = Vec::new();
        for value in values {
            match whole(value).and_then(|id| u32::try_from(id).ok()) {
                Some(id) => ids.push(id),
                None if value.as_i64().is_some_and(|id| id < 0) => {}
                None => return Err(bad(name, "a token id or a list of them", value)),
            }
        }
        Ok(ids)
    }
}

/// `value` as a whole number from 0.
pub fn whole(value: &Value) -> Option<u64> {
    let float = || value.as_f64().filter(|x| x.fract() == 0.0 && (0.0..9e15).contains(x)).map(|x| x as u64);
    value.as_u64().or_else(float)
}

/// The error for a field that makes no sense.
pub fn bad(field: &str, expected: &str, found: &Value) -> CheckpointError {
    const SHOWN: usize = 60;
    let text = found.to_string();
    let found = match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    };
    CheckpointError::Field { field: field.to_owned(), expected: expected.to_owned(), found }
}
