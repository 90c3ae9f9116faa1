//! YAML of a model card, with every scalar left as its text.

use saphyr_parser::{Event, Parser, ScalarStyle};

/// A card nests lists in maps; more than this is no card.
const DEPTH: usize = 32;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Yaml {
    Null,
    Text(String),
    List(Vec<Yaml>),
    /// Pairs as written; of equal keys the last counts.
    Map(Vec<(String, Yaml)>),
}

impl Yaml {
    /// The value of a key that is there, even if it is null.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Map(pairs) => pairs.iter().rev().find(|(k, _)| k == key).map(|(_, v)| v),
            _ => None,
        }
    }

    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A lone text or the texts of a list.
    pub(crate) fn texts(&self) -> Vec<&str> {
        match self {
            Self::List(all) => all.iter().filter_map(Self::text).collect(),
            other => other.text().into_iter().collect(),
        }
    }
}

/// A collection whose end has not come yet.
enum Open {
    List(Vec<Yaml>),
    Map(Vec<(String, Yaml)>, Option<String>),
}

impl Open {
    fn push(&mut self, node: Yaml) {
        match self {
            Self::List(all) => all.push(node),
            Self::Map(pairs, key) => match key.take() {
                Some(key) => pairs.push((key, node)),
                // A key that is not a text can never be asked for.
                None => *key = Some(node.text().unwrap_or_default().to_owned()),
            },
        }
    }

    fn close(self) -> Yaml {
        match self {
            Self::List(all) => Yaml::List(all),
            Self::Map(pairs, _) => Yaml::Map(pairs),
        }
    }
}

/// The first document of `text`.
pub(crate) fn parse(text: &str) -> Result<Yaml, String> {
    let mut open: Vec<Open> = Vec::new();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|e| e.to_string())?;
        let node = match event {
            Event::Scalar(text, style, ..) => {
                let null = style == ScalarStyle::Plain && matches!(&*text, "" | "~" | "null" | "Null" | "NULL");
                if null { Yaml::Null } else { Yaml::Text(text.into_owned()) }
            }
            Event::SequenceStart(..) => {
                open.push(Open::List(Vec::new()));
                continue;
            }
            Event::MappingStart(..) => {
                open.push(Open::Map(Vec::new(), None));
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => match open.pop() {
                Some(done) => done.close(),
                None => continue,
            },
            Event::Alias(_) => return Err(format!("an alias in line {}", span.start.line())),
            Event::Nothing | Event::StreamStart | Event::DocumentStart(_) => continue,
            Event::DocumentEnd | Event::StreamEnd => break,
        };
        if open.len() > DEPTH {
            return Err(format!("more than {DEPTH} levels in line {}", span.start.line()));
        }
        match open.last_mut() {
            Some(parent) => parent.push(node),
            None => return Ok(node),
        }
    }
    Ok(Yaml::Null)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_keeps_its_words() {
        let card = parse(
            "license: other\nversion: 1.0\nlanguage:\n- en\n- no\nnothing:\nquoted: \"null\"\n\
             tags: [a, b]\nbase:\n  - name: X\n    n: 1\n",
        )
        .unwrap();
        let text = |key: &str| card.get(key).and_then(Yaml::text);
        assert_eq!(text("license"), Some("other"));
        assert_eq!(text("version"), Some("1.0"));
        assert_eq!(card.get("language").unwrap().texts(), ["en", "no"]);
        assert_eq!(card.get("nothing"), Some(&Yaml::Null));
        assert_eq!(text("quoted"), Some("null"));
        assert_eq!(card.get("tags").unwrap().texts(), ["a", "b"]);
        let Some(Yaml::List(base)) = card.get("base") else { panic!("no list") };
        assert_eq!(base[0].get("name").and_then(Yaml::text), Some("X"));
    }

    #[test]
    fn hostile_cards_are_errors_not_crashes() {
        assert!(parse(&"[".repeat(100_000)).is_err());
        assert!(parse("a: &x [1]\nb: *x\n").is_err());
        assert!(parse("a: [1\nb: {").is_err());
        assert_eq!(parse(""), Ok(Yaml::Null));
    }
}
