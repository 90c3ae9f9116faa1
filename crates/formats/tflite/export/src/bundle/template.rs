//! Chat templates as the runtime's own template engine takes them.

/// The runtime hands every text over as a list of parts, whatever a template expects; templates of the family would print
/// that list. This joins the texts before anything looks at them.
const JOINED: &str = r#"{%- set joined = namespace(messages=[], text="") -%}
{%- for message in messages -%}
{%- if message.content is defined and message.content is not string and message.content is iterable -%}
{%- set joined.text = "" -%}
{%- for part in message.content -%}
{%- if part.type == "text" -%}{%- set joined.text = joined.text ~ part.text -%}{%- endif -%}
{%- endfor -%}
{%- set joined.messages = joined.messages + [dict(message, content=joined.text)] -%}
{%- else -%}
{%- set joined.messages = joined.messages + [message] -%}
{%- endif -%}
{%- endfor -%}
{%- set messages = joined.messages -%}
"#;

/// `template` behind [`JOINED`].
pub(super) fn adapted(template: &str) -> String {
    format!("{JOINED}{}", plain(template))
}

/// `template` without what the engine lacks: the `generation` tags that training marks answers with, and `get` with one
/// argument, which is an index there.
fn plain(template: &str) -> String {
    let mut out = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(at) = rest.find("{%") {
        let (before, tag) = rest.split_at(at);
        out.push_str(&indexed(before));
        let end = tag.find("%}").map_or(tag.len(), |end| end + 2);
        let (tag, after) = tag.split_at(end);
        // The dashes stay: they eat the space around a tag.
        match tag.trim_matches(['{', '%', '-', '+', '}']).trim() {
            "generation" => out.push_str(&tag.replace("generation", "if true")),
            "endgeneration" => out.push_str(&tag.replace("endgeneration", "endif")),
            _ => out.push_str(&indexed(tag)),
        }
        rest = after;
    }
    out.push_str(&indexed(rest));
    out
}

/// `x.get('name')` as `x['name']`.
fn indexed(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(".get(") {
        out.push_str(before);
        match after.split_once(')') {
            Some((name, after)) if quoted(name) => {
                out.push_str(&format!("[{name}]"));
                rest = after;
            }
            _ => {
                out.push_str(".get(");
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

fn quoted(text: &str) -> bool {
    ['\'', '"'].iter().any(|q| {
        let inner = text.strip_prefix(*q).and_then(|t| t.strip_suffix(*q));
        inner.is_some_and(|name| !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_'))
    })
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn rewritten_and_left_alone() {
        for (from, to) in [
            ("{%- generation -%}x{% endgeneration %}", "{%- if true -%}x{% endif %}"),
            ("{{ m.get('tool_calls') }}", "{{ m['tool_calls'] }}"),
            ("{% if m.get(\"a\") and n.get('b', 1) %}", "{% if m[\"a\"] and n.get('b', 1) %}"),
            (
                "{% if add_generation_prompt %}generation{% endif %}",
                "{% if add_generation_prompt %}generation{% endif %}",
            ),
            ("{% broken", "{% broken"),
        ] {
            assert_eq!(plain(from), to);
        }
    }
}
