use crate::SamplerOptions;

/// What the model card of a model says about prompting and sampling it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Card {
    /// The kind of model the advice is for.
    pub kind: &'static str,
    /// The card's sampling settings.
    pub options: SamplerOptions,
    /// The system prompt the card demands, or how to write it; `None` where it is free.
    pub system: Option<&'static str>,
    /// Whether the model was trained on one question and one answer only.
    pub single_turn: bool,
}

const GREEDY: SamplerOptions =
    SamplerOptions { temperature: 0.0, top_k: 0, top_p: 1.0, min_p: 0.0, repetition_penalty: 1.0, seed: 0 };

const fn free(kind: &'static str, options: SamplerOptions) -> Card {
    Card { kind, options, system: None, single_turn: false }
}

const LFM2: Card =
    free("LFM2 text", SamplerOptions { temperature: 0.3, min_p: 0.15, repetition_penalty: 1.05, ..GREEDY });

/// Parts of a model's name in lower case and the advice for it; the first row whose parts all occur wins, so
/// special models stand before their families.
const CARDS: [(&[&str], Card); 11] = [
    (
        &["extract", "pii"],
        Card {
            kind: "PII-Extract",
            options: GREEDY,
            system: Some("Extract <address>, <company_name>, <email_address>, <human_name>, <phone_number>"),
            single_turn: true,
        },
    ),
    (
        &["extract"],
        Card {
            kind: "Extract",
            options: GREEDY,
            system: Some(
                "Say to identify and extract what matches a schema and to return it as JSON, XML or YAML; then \
                 `Schema:` and one line `- field: description` for each field.",
            ),
            single_turn: true,
        },
    ),
    (
        &["enjp"],
        Card {
            kind: "ENJP-MT",
            options: SamplerOptions { temperature: 0.5, min_p: 0.1, repetition_penalty: 1.05, ..GREEDY },
            system: Some("Translate to Japanese. (or: Translate to English.)"),
            single_turn: true,
        },
    ),
    (&["rag"], Card { system: Some("Put the documents into the system prompt."), ..free("RAG", GREEDY) }),
    (&["tool"], Card { system: Some("Put the list of tools into the system prompt."), ..free("Tool", GREEDY) }),
    (
        &["math"],
        Card {
            system: Some(""),
            ..free(
                "Math",
                SamplerOptions { temperature: 0.6, top_p: 0.95, min_p: 0.1, repetition_penalty: 1.05, ..GREEDY },
            )
        },
    ),
    (&["vl"], free("vision", SamplerOptions { temperature: 0.1, min_p: 0.15, repetition_penalty: 1.05, ..GREEDY })),
    (
        &["lfm2.5", "8b"],
        free("LFM2.5-8B-A1B", SamplerOptions { temperature: 0.2, top_k: 80, repetition_penalty: 1.05, ..GREEDY }),
    ),
    (
        &["lfm2.5"],
        free(
            "LFM2.5 text",
            SamplerOptions { temperature: 0.1, top_k: 50, top_p: 0.1, repetition_penalty: 1.05, ..GREEDY },
        ),
    ),
    (
        &["24b"],
        free("LFM2-24B-A2B", SamplerOptions { temperature: 0.1, top_k: 50, repetition_penalty: 1.05, ..GREEDY }),
    ),
    (&["lfm2"], LFM2),
];

/// The card's advice for a model by its name or path, e.g. `LiquidAI/LFM2-1.2B-Extract`; the advice for LFM2 text
/// models when the name says nothing.
///
/// Only whole words of the name count: `vl` is not found in `devlog`.
#[must_use]
pub fn card_for(model_name: &str) -> Card {
    let name = model_name.rsplit(['/', '\\']).find(|part| !part.is_empty()).unwrap_or_default().to_lowercase();
    let words: Vec<&str> = name.split(|c: char| !(c.is_alphanumeric() || c == '.')).collect();
    CARDS.iter().find(|(parts, _)| parts.iter().all(|part| words.contains(part))).map_or(LFM2, |(_, card)| *card)
}

/// The sampling settings of [`card_for`].
#[must_use]
pub fn defaults_for(model_name: &str) -> SamplerOptions {
    card_for(model_name).options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_names() {
        let cases = [
            ("LiquidAI/LFM2-350M", "LFM2 text"),
            ("LFM2-8B-A1B", "LFM2 text"),
            ("LiquidAI/LFM2-24B-A2B", "LFM2-24B-A2B"),
            ("LiquidAI/LFM2.5-1.2B-Instruct", "LFM2.5 text"),
            ("LiquidAI/LFM2.5-8B-A1B", "LFM2.5-8B-A1B"),
            ("LiquidAI/LFM2-1.2B-Extract", "Extract"),
            ("LiquidAI/LFM2-350M-PII-Extract-JP", "PII-Extract"),
            ("LiquidAI/LFM2-350M-ENJP-MT", "ENJP-MT"),
            ("LiquidAI/LFM2-1.2B-RAG", "RAG"),
            ("LiquidAI/LFM2-1.2B-Tool", "Tool"),
            ("LiquidAI/LFM2-350M-Math", "Math"),
            ("LiquidAI/LFM2-VL-450M", "vision"),
            ("out/lfm2-1.2b-tool-q4_0.gguf", "Tool"),
            ("models/rag/LFM2-700M/", "LFM2 text"),
            ("storage-devlog", "LFM2 text"),
            ("", "LFM2 text"),
        ];
        for (name, kind) in cases {
            assert_eq!(card_for(name).kind, kind, "{name}");
        }
    }

    #[test]
    fn settings_are_the_cards() {
        assert_eq!(defaults_for("LFM2-1.2B").min_p, 0.15);
        assert_eq!(defaults_for("LFM2-1.2B-Extract"), SamplerOptions::default(), "greedy");
        assert_eq!(defaults_for("LFM2.5-1.2B-Instruct").top_k, 50);
        assert_eq!(defaults_for("LFM2.5-8B-A1B").temperature, 0.2);
        for (_, card) in CARDS {
            assert!(crate::Sampler::new(card.options).is_ok(), "{}", card.kind);
        }
    }
}
