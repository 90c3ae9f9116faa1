use crate::TextError;
use serde::Deserialize;
use serde_json::Value;

/// A template as configuration files hold it: one, or several with names.
#[derive(Deserialize)]
#[serde(untagged)]
enum Field {
    One(String),
    Named(Vec<Named>),
}

#[derive(Deserialize)]
struct Named {
    name: String,
    template: String,
}

/// Finds the chat template among a checkpoint's sidecar files, in the order of transformers:
/// `chat_template.jinja`, then the field of `tokenizer_config.json`, then `chat_template.json`.
///
/// `read` gives the bytes of a sidecar by name. Where a file holds several templates, the one called `name` is
/// taken, else `default`, else the only one.
///
/// # Errors
/// A file that does not parse, or several templates of which none is meant.
pub fn template_source(
    read: &dyn Fn(&str) -> Option<Vec<u8>>,
    name: Option<&str>,
) -> Result<Option<String>, TextError> {
    const JINJA: &str = "chat_template.jinja";
    if let Some(bytes) = read(JINJA) {
        let text = String::from_utf8(bytes);
        return text.map(Some).map_err(|error| TextError::File { file: JINJA, reason: error.to_string() });
    }
    for file in ["tokenizer_config.json", "chat_template.json"] {
        let Some(bytes) = read(file) else { continue };
        let broken = |error: serde_json::Error| TextError::File { file, reason: error.to_string() };
        let mut config: Value = serde_json::from_slice(&bytes).map_err(broken)?;
        match config.get_mut("chat_template").map(Value::take) {
            None | Some(Value::Null) => {}
            Some(field) => return choose(serde_json::from_value(field).map_err(broken)?, name).map(Some),
        }
    }
    Ok(None)
}

fn choose(field: Field, name: Option<&str>) -> Result<String, TextError> {
    let mut named = match field {
        Field::One(template) => return Ok(template),
        Field::Named(named) => named,
    };
    let wanted = name.unwrap_or("default");
    let at = |wanted: &str| named.iter().position(|one| one.name == wanted);
    let only = (named.len() == 1).then_some(0);
    match at(wanted).or_else(|| at("default")).or(only) {
        Some(index) => Ok(named.swap_remove(index).template),
        None => {
            let found = named.iter().map(|one| one.name.as_str()).collect::<Vec<_>>().join(", ");
            Err(TextError::TemplateName { wanted: wanted.to_owned(), found })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(files: &[(&str, &str)], name: Option<&str>) -> Result<Option<String>, TextError> {
        let read = |wanted: &str| {
            let (_, text) = files.iter().find(|(file, _)| *file == wanted)?;
            Some(text.as_bytes().to_vec())
        };
        template_source(&read, name)
    }

    const TWO: &str = r#"{"chat_template": [{"name": "default", "template": "A"}, {"name": "rag", "template": "B"}]}"#;

    #[test]
    fn order_of_files() {
        let all = [
            ("chat_template.json", r#"{"chat_template": "third"}"#),
            ("tokenizer_config.json", r#"{"chat_template": "second"}"#),
            ("chat_template.jinja", "first"),
        ];
        assert_eq!(find(&all, None).unwrap().as_deref(), Some("first"));
        assert_eq!(find(&all[..2], None).unwrap().as_deref(), Some("second"));
        assert_eq!(find(&all[..1], None).unwrap().as_deref(), Some("third"));
        assert_eq!(find(&[], None).unwrap(), None);
    }

    #[test]
    fn a_config_without_the_field_is_passed_over() {
        for config in ["{}", r#"{"chat_template": null}"#] {
            let files = [("tokenizer_config.json", config), ("chat_template.json", r#"{"chat_template": "x"}"#)];
            assert_eq!(find(&files, None).unwrap().as_deref(), Some("x"));
        }
    }

    #[test]
    fn named_templates() {
        let files = [("tokenizer_config.json", TWO)];
        assert_eq!(find(&files, None).unwrap().as_deref(), Some("A"));
        assert_eq!(find(&files, Some("rag")).unwrap().as_deref(), Some("B"));
        assert_eq!(find(&files, Some("tool_use")).unwrap().as_deref(), Some("A"));
        let strange = TWO.replace("default", "other");
        let error = find(&[("tokenizer_config.json", &strange)], None).unwrap_err();
        assert_eq!(error.to_string(), "no chat template named \"default\"; there are other, rag");
    }

    #[test]
    fn broken_files_are_named() {
        let error = find(&[("tokenizer_config.json", "{")], None).unwrap_err();
        assert!(error.to_string().starts_with("tokenizer_config.json: "), "{error}");
        let error = find(&[("chat_template.json", r#"{"chat_template": 3}"#)], None).unwrap_err();
        assert!(error.to_string().starts_with("chat_template.json: "), "{error}");
    }
}
