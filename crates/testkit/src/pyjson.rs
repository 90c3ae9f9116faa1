//! JSON as Python's `json.dumps(value, indent=1, ensure_ascii=False)` spells it, to the byte.

use serde_json::Value;

/// The text of `value`.
pub fn dumps(value: &Value) -> String {
    let mut out = String::new();
    write(value, 0, &mut out);
    out
}

fn write(value: &Value, depth: usize, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
        Value::Number(n) => match n.as_f64().filter(|_| n.is_f64()) {
            Some(x) => out.push_str(&float(x)),
            None => out.push_str(&n.to_string()),
        },
        Value::String(s) => string(s, out),
        Value::Array(items) => block(items.iter(), ['[', ']'], depth, out, |item, out| write(item, depth + 1, out)),
        Value::Object(map) => block(map.iter(), ['{', '}'], depth, out, |(key, item), out| {
            string(key, out);
            out.push_str(": ");
            write(item, depth + 1, out);
        }),
    }
}

/// A bracketed list, one item a line, indented by a blank per level.
fn block<T>(
    items: impl ExactSizeIterator<Item = T>,
    [open, close]: [char; 2],
    depth: usize,
    out: &mut String,
    mut each: impl FnMut(T, &mut String),
) {
    out.push(open);
    let empty = items.len() == 0;
    for (i, item) in items.enumerate() {
        if i > 0 {
            out.push(',');
        }
        line(depth + 1, out);
        each(item, out);
    }
    if !empty {
        line(depth, out);
    }
    out.push(close);
}

fn line(depth: usize, out: &mut String) {
    out.push('\n');
    out.extend(std::iter::repeat_n(' ', depth));
}

fn string(s: &str, out: &mut String) {
    // Both escape the same characters the same way and leave the rest as UTF-8.
    out.push_str(&Value::from(s).to_string());
}

/// `repr` of a finite float: shortest digits, an exponent below 1e-4 and from 1e16 on, always a point or an exponent.
fn float(x: f64) -> String {
    let scientific = format!("{x:e}");
    let Some((digits, exponent)) = scientific.split_once('e') else { return scientific };
    match exponent.parse::<i32>() {
        Ok(e) if !(-4..16).contains(&e) => format!("{digits}e{}{:02}", if e < 0 { '-' } else { '+' }, e.abs()),
        _ => format!("{x:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn floats_as_python_spells_them() {
        for (x, text) in [
            (1e-5, "1e-05"),
            (0.02, "0.02"),
            (1e6, "1000000.0"),
            (0.0001, "0.0001"),
            (1e16, "1e+16"),
            (1.5e-7, "1.5e-07"),
            (1e15, "1000000000000000.0"),
        ] {
            assert_eq!(float(x), text);
        }
    }

    #[test]
    fn nested() {
        let text = dumps(&json!({"a": [1, "Ġ\n\"\u{1}"], "b": {}, "c": []}));
        assert_eq!(text, "{\n \"a\": [\n  1,\n  \"Ġ\\n\\\"\\u0001\"\n ],\n \"b\": {},\n \"c\": []\n}");
    }
}
