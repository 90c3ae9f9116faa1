//! What a repository's name says about a model: `LFM2.5-1.2B-Instruct` has base name `LFM2.5`, size `1.2B`
//! and fine-tune `Instruct`. The guesses are those of llama.cpp's converter (`gguf` 0.19, `metadata.py`).

use crate::sizes::{contradicts, is_size, spell_size};

/// The parts of a repository id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) name: String,
    pub(crate) organization: Option<String>,
    pub(crate) basename: Option<String>,
    pub(crate) finetune: Option<String>,
    pub(crate) version: Option<String>,
    pub(crate) size_label: Option<String>,
}

/// One part between dashes and what it was taken for; a part may be two things at once.
#[derive(Default)]
struct Part {
    text: String,
    base: bool,
    size: bool,
    finetune: bool,
    version: bool,
    quant: bool,
}

impl Part {
    fn unlabelled(&self) -> bool {
        !(self.base || self.size || self.finetune || self.version || self.quant)
    }

    fn all_letters(&self) -> bool {
        self.text.chars().all(char::is_alphabetic)
    }
}

impl Identity {
    /// Takes `id` (`org/name` or `name`) apart; `parameters` is the model's true size.
    pub(crate) fn of(id: &str, parameters: u64) -> Self {
        if id.contains(' ') {
            return Self { name: id.to_owned(), ..Self::default() };
        }
        let (organization, name) = match id.split_once('/') {
            Some((org, name)) => (Some(org).filter(|o| !o.starts_with('.')), name),
            None => (None, id),
        };
        let mut parts: Vec<Part> = name
            .split('-')
            .filter(|part| !part.is_empty())
            .enumerate()
            .map(|(index, text)| label(index, text, parameters))
            .collect();
        drop_word_sizes(&mut parts);
        mark_base(&mut parts);

        let join = |wanted: fn(&Part) -> bool| {
            let texts: Vec<&str> = parts.iter().filter(|p| wanted(p)).map(|p| p.text.as_str()).collect();
            if texts.is_empty() { None } else { Some(texts.join("-")) }
        };
        let mut sizes: Vec<&str> = Vec::new();
        for part in parts.iter().filter(|p| p.size) {
            if !sizes.contains(&part.text.as_str()) {
                sizes.push(&part.text);
            }
        }
        let size_label = if sizes.is_empty() { None } else { Some(sizes.join("-")) };
        let (finetune, version) = (join(|p| p.finetune), join(|p| p.version && !p.base));
        // A name of one kind of part only says nothing about where the base name ends.
        let ambiguous = size_label.is_none() && finetune.is_none() && version.is_none();
        Self {
            name: name.to_owned(),
            organization: organization.map(str::to_owned),
            basename: if ambiguous { None } else { join(|p| p.base) },
            finetune,
            version,
            size_label,
        }
    }
}

fn label(index: usize, text: &str, parameters: u64) -> Part {
    let lower = text.to_lowercase();
    let mut part = Part { text: text.to_owned(), ..Part::default() };
    if is_version(&lower) {
        part.version = true;
    } else if is_quant_type(&lower) {
        part.quant = true;
        part.text = text.to_uppercase();
    } else if index > 0 && is_size(&lower) {
        part.text = spell_size(text);
        if contradicts(&part.text, parameters) {
            // Most likely the length of the context.
            part.finetune = true;
            let end = part.text.pop().unwrap_or_default();
            part.text.extend(end.to_lowercase());
        } else {
            part.size = true;
        }
    } else if index > 0 && matches!(lower.as_str(), "chat" | "instruct" | "vision" | "lora") {
        part.finetune = true;
    }
    part
}

/// `mini` is no size beside `1.2B`.
fn drop_word_sizes(parts: &mut [Part]) {
    if parts.iter().any(|p| p.size && p.text.chars().any(|c| c.is_ascii_digit())) {
        for part in parts.iter_mut().filter(|p| p.size) {
            part.size = !part.all_letters();
        }
    }
}

/// Leading unlabelled parts (and versions among them) are the base name, later ones fine-tunes.
fn mark_base(parts: &mut [Part]) {
    let mut at_start = true;
    for part in parts.iter_mut() {
        let starts = part.text.chars().next().is_some_and(char::is_alphabetic);
        if at_start && ((part.unlabelled() && starts) || part.version) {
            part.base = true;
        } else {
            at_start = false;
            part.finetune |= part.unlabelled();
        }
    }
    for part in parts.iter_mut().rev() {
        if !(part.base && part.version) {
            break;
        }
        part.base = false;
    }
}

pub(crate) fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// `1`, `1.5`, `v2`, `iter3`.
fn is_version(lower: &str) -> bool {
    let number = lower.strip_prefix("iter").or_else(|| lower.strip_prefix('v')).unwrap_or(lower);
    number.split('.').all(is_digits)
}

/// `q4_k_m`, `iq2_s`, `bf16`, `fp32`.
fn is_quant_type(lower: &str) -> bool {
    let float = lower.strip_prefix('b').unwrap_or(lower);
    if let Some(rest) = float.strip_prefix('f') {
        return matches!(rest.strip_prefix('p').unwrap_or(rest), "16" | "32");
    }
    let Some(rest) = lower.strip_prefix('i').unwrap_or(lower).strip_prefix('q') else { return false };
    let mut chars = rest.chars();
    if !chars.next().is_some_and(|c| c.is_ascii_digit()) {
        return false;
    }
    // Then any number of an underscore and one word character.
    loop {
        match (chars.next(), chars.next()) {
            (None, _) => return true,
            (Some('_'), Some(c)) if c.is_alphanumeric() || c == '_' => {}
            _ => return false,
        }
    }
}

/// A title from an id: dashes to blanks, lower-case words capitalised, versions and acronyms as they are.
pub(crate) fn title(id: &str) -> String {
    let capitalised = |word: &str| {
        let lower = word.chars().any(char::is_lowercase) && !word.chars().any(char::is_uppercase);
        let version = word.strip_prefix('v').is_some_and(|rest| rest.split('.').all(is_digits));
        if !lower || version || word.starts_with(|c: char| c.is_ascii_digit()) {
            return word.to_owned();
        }
        let mut inside = false;
        word.chars()
            .flat_map(|c| {
                let first = c.is_alphabetic() && !inside;
                inside = c.is_alphabetic();
                if first { c.to_uppercase().collect::<Vec<_>>() } else { vec![c] }
            })
            .collect()
    };
    id.replace('-', " ").split_whitespace().map(capitalised).collect::<Vec<String>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(id: &str, parameters: u64) -> [Option<String>; 5] {
        let it = Identity::of(id, parameters);
        [it.organization, it.basename, it.size_label, it.finetune, it.version]
    }

    #[test]
    fn names_are_taken_apart_as_the_converter_does() {
        let some = |text: &str| if text.is_empty() { None } else { Some(text.to_owned()) };
        // Checked against `Metadata.get_model_id_components` of gguf 0.19.
        for (id, parameters, expected) in [
            ("LFM2-1.2B", 1_170_340_608, ["", "LFM2", "1.2B", "", ""]),
            ("LiquidAI/LFM2-8B-A1B", 8_339_929_856, ["LiquidAI", "LFM2", "8B-A1B", "", ""]),
            ("LFM2.5-1.2B-Instruct", 1_170_340_608, ["", "LFM2.5", "1.2B", "Instruct", ""]),
            ("LFM2-Tiny-dense", 9_000_000, ["", "", "", "", ""]),
            ("LFM2-1.2B", 9_000_000, ["", "LFM2", "", "1.2b", ""]),
            ("LFM2-350M-v1.1-q4_k_m", 354_000_000, ["", "LFM2", "350M", "", "v1.1"]),
            ("bloom-7b1", 7_100_000_000, ["", "bloom", "7.1B", "", ""]),
            ("phi-3-mini-128k-instruct", 3_800_000_000, ["", "phi-3", "mini", "128k-instruct", ""]),
            ("x-mini-3B-chat", 3_000_000_000, ["", "x-mini", "3B", "chat", ""]),
            ("../weights", 1, ["", "", "", "", ""]),
        ] {
            assert_eq!(parts(id, parameters), expected.map(some), "{id}");
        }
        assert_eq!(Identity::of("a human name", 1).name, "a human name");
    }

    #[test]
    fn titles() {
        for (id, expected) in [
            ("LFM2-Tiny-dense", "LFM2 Tiny Dense"),
            ("lfm2.5x-1.2b", "Lfm2.5X 1.2b"),
            ("v1.5-it's", "v1.5 It'S"),
            ("  a--b ", "A B"),
        ] {
            assert_eq!(title(id), expected);
        }
    }
}
