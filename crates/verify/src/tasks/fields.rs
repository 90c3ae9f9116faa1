use serde_json::Value;
use std::collections::HashMap;

/// Fields of one answer, or of many added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FieldCount {
    /// Fields that are in both answers.
    pub hit: usize,
    /// Fields of the given answer.
    pub given: usize,
    /// Fields of the right answer.
    pub wanted: usize,
    /// Whether the given answer is a JSON object at all.
    pub valid: bool,
}

impl FieldCount {
    pub(super) const fn join(self, other: Self) -> Self {
        Self {
            hit: self.hit + other.hit,
            given: self.given + other.given,
            wanted: self.wanted + other.wanted,
            valid: self.valid && other.valid,
        }
    }

    /// `2 hit / (given + wanted)`, the harmonic mean of precision and recall; 1 if neither has a field.
    #[must_use]
    pub fn f1(&self) -> f64 {
        match self.given + self.wanted {
            0 => 1.0,
            all => 2.0 * self.hit as f64 / all as f64,
        }
    }
}

/// Counts the fields of the `given` answer; `None` if the `right` one is not a JSON object. A field is the path to a leaf
/// with its value as text, so `21` and `"21"` are the same; an empty object or list is a leaf.
#[must_use]
pub fn count_fields(right: &str, given: &str) -> Option<FieldCount> {
    let wanted = leaves(right)?;
    let found = leaves(given);
    let valid = found.is_some();
    let found = found.unwrap_or_default();
    let hit = found.iter().filter(|(path, value)| wanted.get(*path) == Some(value)).count();
    Some(FieldCount { hit, given: found.len(), wanted: wanted.len(), valid })
}

fn leaves(text: &str) -> Option<HashMap<String, String>> {
    let value: Value = serde_json::from_str(text.trim()).ok().filter(Value::is_object)?;
    let mut out = HashMap::new();
    flatten(&value, String::new(), &mut out);
    Some(out)
}

fn flatten(value: &Value, path: String, out: &mut HashMap<String, String>) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            // The length keeps `{"a.b": 1}` apart from `{"a": {"b": 1}}`.
            map.iter().for_each(|(key, v)| flatten(v, format!("{path}.{}:{key}", key.len()), out));
        }
        Value::Array(items) if !items.is_empty() => {
            items.iter().enumerate().for_each(|(i, v)| flatten(v, format!("{path}[{i}]"), out));
        }
        Value::Object(_) if path.is_empty() => {}
        Value::String(text) => drop(out.insert(path, text.clone())),
        leaf => drop(out.insert(path, leaf.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_by_hand() {
        let right = r#"{"n":"R1","items":[{"name":"iron","qty":21},{"name":"bolt","qty":2}]}"#;
        for (given, hit, count, valid) in [
            (right, 5, 5, true),
            (r#"{"items":[{"qty":"21","name":"iron"}],"n":"R1"}"#, 3, 3, true),
            (r#"{"n":"R1","items":[{"name":"bolt","qty":2},{"name":"iron","qty":21}]}"#, 1, 5, true),
            (r#"{"n":"R1","more":[]}"#, 1, 2, true),
            ("[]", 0, 0, false),
            (r#"{"n":"R1""#, 0, 0, false),
            ("{}", 0, 0, true),
        ] {
            let c = count_fields(right, given).unwrap();
            assert_eq!((c.hit, c.given, c.wanted, c.valid), (hit, count, 5, valid), "{given}");
        }
        assert_eq!(count_fields("just text", "{}"), None);
        assert_eq!(count_fields(right, right).unwrap().f1(), 1.0);
    }

    #[test]
    fn a_dot_in_a_key_is_not_a_level() {
        let c = count_fields(r#"{"a":{"b":1}}"#, r#"{"a.b":1}"#).unwrap();
        assert_eq!(c.hit, 0);
    }
}
