use crate::{ReportError, view::View};
use serde_json::Value;
use std::ops::Deref;

/// A report as a file holds it.
#[derive(Clone, Debug)]
pub struct Report {
    /// Where it came from.
    pub name: String,
    /// All of it.
    pub raw: Value,
    view: View,
}

impl Report {
    /// The reports in `text`: one, a list of them, or what `lfmq verify` and `lfmq quantize` print with
    /// `--format json`. `name` is for messages.
    ///
    /// # Errors
    /// Text that is not JSON, or holds no report of a version that is known here.
    pub fn read(name: &str, text: &str) -> Result<Vec<Self>, ReportError> {
        let no_report = |why: String| ReportError::NoReport { name: name.to_owned(), why };
        let value: Value = serde_json::from_str(text).map_err(|e| no_report(e.to_string()))?;
        let found = unwrap(value);
        if found.is_empty() {
            return Err(no_report("it is an empty list".into()));
        }
        found.into_iter().map(|value| Self::new(name, value)).collect()
    }

    /// A report from its JSON.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn new(name: &str, raw: Value) -> Result<Self, ReportError> {
        let no_report = |why: String| ReportError::NoReport { name: name.to_owned(), why };
        let version = raw.get("schema_version").and_then(Value::as_u64);
        if version != Some(u64::from(lfmq_verify::SCHEMA_VERSION)) || raw.get("artifact").is_none() {
            let expected = lfmq_verify::SCHEMA_VERSION;
            let found = version.map_or("none".to_owned(), |v| v.to_string());
            return Err(no_report(format!("expected a drift report of schema version {expected}, found {found}")));
        }
        let view = View::deserialize_from(&raw).map_err(no_report)?;
        Ok(Self { name: name.to_owned(), raw, view })
    }
}

impl Deref for Report {
    type Target = View;

    fn deref(&self) -> &View {
        &self.view
    }
}

impl View {
    fn deserialize_from(value: &Value) -> Result<Self, String> {
        serde::Deserialize::deserialize(value).map_err(|e: serde_json::Error| e.to_string())
    }
}

/// Takes reports out of the program's answer.
fn unwrap(value: Value) -> Vec<Value> {
    match value {
        Value::Array(list) => list,
        Value::Object(mut map) if map.contains_key("result") && map.contains_key("command") => {
            let Some(mut result) = map.remove("result") else { return Vec::new() };
            match result.get_mut("verification").map(Value::take) {
                Some(reports) => unwrap(reports),
                None => vec![result],
            }
        }
        other => vec![other],
    }
}
