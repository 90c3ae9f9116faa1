//! Values as Python prints them, because templates were written against Jinja on Python: `True`, `None`,
//! `1e-05`, and `json.dumps`.

use minijinja::value::{Kwargs, ValueKind};
use minijinja::{Error, ErrorKind, Value};
use std::fmt::Write;

/// `str(value)`.
pub(super) fn str(value: &Value) -> String {
    match value.as_str() {
        Some(text) => text.to_owned(),
        None => repr(value),
    }
}

/// `repr(value)`; nothing for an undefined value.
fn repr(value: &Value) -> String {
    let list = |value: &Value| value.try_iter().map(|items| items.map(|item| repr(&item)).collect::<Vec<_>>());
    match value.kind() {
        ValueKind::Undefined => String::new(),
        ValueKind::None => "None".to_owned(),
        ValueKind::Bool => if value.is_true() { "True" } else { "False" }.to_owned(),
        ValueKind::Number => number(value, "inf", "nan"),
        ValueKind::String => value.as_str().map(quoted).unwrap_or_default(),
        ValueKind::Seq => format!("[{}]", list(value).unwrap_or_default().join(", ")),
        ValueKind::Map => {
            let pairs: Vec<String> =
                entries(value).iter().map(|(key, item)| format!("{}: {}", repr(key), repr(item))).collect();
            format!("{{{}}}", pairs.join(", "))
        }
        _ => value.to_string(),
    }
}

fn quoted(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut out = String::from(quote);
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\\' => out.push_str("\\\\"),
            c if c == quote => out.extend(['\\', c]),
            c if c.is_control() => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push(quote);
    out
}

fn number(value: &Value, infinite: &str, nan: &str) -> String {
    match f64::try_from(value.clone()) {
        Ok(float) if !value.is_integer() => float_repr(float, infinite, nan),
        _ => value.to_string(),
    }
}

/// The shortest digits that read back, with an exponent below 1e-4 and from 1e16 on.
fn float_repr(x: f64, infinite: &str, nan: &str) -> String {
    if x.is_nan() {
        return nan.to_owned();
    }
    if x.is_infinite() {
        return if x > 0.0 { infinite.to_owned() } else { format!("-{infinite}") };
    }
    let scientific = format!("{x:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    match exponent.parse::<i32>().unwrap_or_default() {
        -4..=15 if x.fract() == 0.0 => format!("{x:.1}"),
        -4..=15 => format!("{x}"),
        exponent => format!("{digits}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs()),
    }
}

fn entries(map: &Value) -> Vec<(Value, Value)> {
    let keys = map.try_iter().map(Iterator::collect::<Vec<_>>).unwrap_or_default();
    keys.into_iter().map(|key| (key.clone(), map.get_item(&key).unwrap_or_default())).collect()
}

/// Jinja's test: strings and mappings can be iterated, `none` cannot.
pub(super) fn is_iterable(value: &Value) -> bool {
    is_sequence(value) || matches!(value.kind(), ValueKind::Iterable | ValueKind::Undefined)
}

/// Jinja's test: what has a length and can be indexed, so strings and mappings too.
pub(super) fn is_sequence(value: &Value) -> bool {
    matches!(value.kind(), ValueKind::String | ValueKind::Bytes | ValueKind::Seq | ValueKind::Map)
}

/// The filter `tojson` of transformers: `json.dumps` with `ensure_ascii=False` unless asked otherwise, no escaping
/// for HTML.
pub(super) fn tojson(value: &Value, options: Kwargs) -> Result<String, Error> {
    let indent = match options.get::<Option<Value>>("indent")? {
        Some(text) if text.as_str().is_some() => Some(str(&text)),
        Some(width) if !width.is_none() => Some(" ".repeat(usize::try_from(width)?.min(64))),
        _ => None,
    };
    let default = (if indent.is_some() { "," } else { ", " }.to_owned(), ": ".to_owned());
    let separators = options.get::<Option<Vec<String>>>("separators")?;
    let (item, key) = match separators.as_deref() {
        Some([item, key]) => (item.clone(), key.clone()),
        _ => default,
    };
    let json = Json {
        indent,
        item,
        key,
        ascii: options.get::<Option<bool>>("ensure_ascii")?.unwrap_or(false),
        sort: options.get::<Option<bool>>("sort_keys")?.unwrap_or(false),
    };
    options.assert_all_used()?;
    let mut out = String::new();
    json.write(value, 0, &mut out)?;
    Ok(out)
}

struct Json {
    indent: Option<String>,
    item: String,
    key: String,
    ascii: bool,
    sort: bool,
}

impl Json {
    fn write(&self, value: &Value, depth: usize, out: &mut String) -> Result<(), Error> {
        match value.kind() {
            ValueKind::None => out.push_str("null"),
            ValueKind::Bool => out.push_str(if value.is_true() { "true" } else { "false" }),
            ValueKind::Number => out.push_str(&number(value, "Infinity", "NaN")),
            ValueKind::String => self.string(value.as_str().unwrap_or_default(), out)?,
            ValueKind::Seq | ValueKind::Iterable => {
                let items: Vec<Value> = value.try_iter()?.collect();
                self.block('[', ']', &items, depth, out, |item, out| self.write(item, depth + 1, out))?;
            }
            ValueKind::Map => {
                let mut pairs = entries(value);
                if self.sort {
                    pairs.sort_by(|a, b| a.0.cmp(&b.0));
                }
                self.block('{', '}', &pairs, depth, out, |(key, item), out| {
                    // Python turns the keys true, null and 1 into the strings that JSON spells them with.
                    let mut name = String::new();
                    match key.as_str() {
                        Some(text) => name.push_str(text),
                        None => self.write(key, depth, &mut name)?,
                    }
                    self.string(&name, out)?;
                    out.push_str(&self.key);
                    self.write(item, depth + 1, out)
                })?;
            }
            other => {
                return Err(Error::new(ErrorKind::InvalidOperation, format!("tojson: a value of kind {other}")));
            }
        }
        Ok(())
    }

    fn block<T>(
        &self,
        open: char,
        close: char,
        items: &[T],
        depth: usize,
        out: &mut String,
        mut write: impl FnMut(&T, &mut String) -> Result<(), Error>,
    ) -> Result<(), Error> {
        out.push(open);
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                out.push_str(&self.item);
            }
            self.new_line(depth + 1, out);
            write(item, out)?;
        }
        if !items.is_empty() {
            self.new_line(depth, out);
        }
        out.push(close);
        Ok(())
    }

    fn new_line(&self, depth: usize, out: &mut String) {
        if let Some(indent) = &self.indent {
            out.push('\n');
            out.push_str(&indent.repeat(depth));
        }
    }

    fn string(&self, text: &str, out: &mut String) -> Result<(), Error> {
        let quoted = serde_json::to_string(text)
            .map_err(|error| Error::new(ErrorKind::BadSerialization, "tojson").with_source(error))?;
        for c in quoted.chars() {
            if self.ascii && !(' '..='~').contains(&c) {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    write!(out, "\\u{unit:04x}")
                        .map_err(|error| Error::new(ErrorKind::WriteFailure, "tojson").with_source(error))?;
                }
            } else {
                out.push(c);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expected values by CPython's `repr`.
    #[test]
    fn floats() {
        let cases = [
            (1.0, "1.0"),
            (0.5, "0.5"),
            (-0.0, "-0.0"),
            (0.1 + 0.2, "0.30000000000000004"),
            (1e-4, "0.0001"),
            (1e-5, "1e-05"),
            (1.5e-7, "1.5e-07"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (1.25e300, "1.25e+300"),
            (123_456_789.125, "123456789.125"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
        ];
        for (x, expected) in cases {
            assert_eq!(float_repr(x, "inf", "nan"), expected);
        }
    }

    #[test]
    fn strings_quote_themselves_as_python_does() {
        let cases =
            [("a", "'a'"), ("it's", "\"it's\""), ("\"'", "'\"\\''"), ("a\n\\", "'a\\n\\\\'"), ("\u{1b}", "'\\x1b'")];
        for (text, expected) in cases {
            assert_eq!(quoted(text), expected);
        }
    }
}
