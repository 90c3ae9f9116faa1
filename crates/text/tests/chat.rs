//! Rendered chats against transformers' `apply_chat_template`.

use lfmq_text::{ChatTemplate, Message, Moment, Prompt, TextError};
use serde_json::{Map, Value};

const BOS: &str = "<|startoftext|>";
const EOS: &str = "<|im_end|>";
const NOW: Moment = Moment { year: 2026, month: 3, day: 5, hour: 14, minute: 7, second: 9 };

fn source(name: &str) -> &'static str {
    match name {
        "lfm2" => include_str!("data/lfm2.jinja"),
        "lfm25" => include_str!("data/lfm25.jinja"),
        "whitespace" => include_str!("data/whitespace.jinja"),
        other => panic!("no template {other}"),
    }
}

fn prompt_of(case: &Value) -> Prompt {
    let mut variables: Map<String, Value> = case["options"].as_object().unwrap().clone();
    let tools = variables.remove("tools").map(|tools| tools.as_array().unwrap().clone());
    let opens = variables.remove("add_generation_prompt").is_some_and(|flag| flag.as_bool().unwrap());
    Prompt {
        messages: serde_json::from_value(case["messages"].clone()).unwrap(),
        tools: tools.unwrap_or_default(),
        add_generation_prompt: opens,
        now: Some(NOW),
        variables,
    }
}

#[test]
fn texts_are_those_of_transformers() {
    let golden: Value = serde_json::from_str(include_str!("data/chats.json")).unwrap();
    let cases = golden["cases"].as_array().unwrap();
    assert!(cases.len() > 20);
    for case in cases {
        let (file, name) = (case["template"].as_str().unwrap(), case["name"].as_str().unwrap());
        let template = ChatTemplate::new(source(file), BOS, EOS).unwrap();
        match (template.render(&prompt_of(case)), case["text"].as_str()) {
            (Ok(text), Some(expected)) => assert_eq!(text, expected, "{file}: {name}"),
            (Err(TextError::Refused { message }), None) => {
                assert_eq!(message, case["refused"].as_str().unwrap(), "{file}: {name}");
            }
            (got, _) => panic!("{file}: {name}: {got:?}"),
        }
    }
}

fn asking() -> Prompt {
    Prompt { messages: vec![Message::new("user", "Hi")], add_generation_prompt: true, ..Prompt::default() }
}

#[test]
fn the_date_is_the_callers() {
    let template = ChatTemplate::new("{{ strftime_now('%d %b %Y') }}", BOS, EOS).unwrap();
    assert!(matches!(template.render(&asking()), Err(TextError::NoDate)));
    assert_eq!(template.render(&Prompt { now: Some(NOW), ..asking() }).unwrap(), "05 Mar 2026");
}

#[test]
fn tokens_reach_the_template() {
    let template = ChatTemplate::new("{{ bos_token }}|{{ eos_token }}|{{ tools }}", BOS, EOS).unwrap();
    assert_eq!(template.render(&asking()).unwrap(), "<|startoftext|>|<|im_end|>|None");
}

#[test]
fn generation_tags_in_every_spelling() {
    for (open, close) in [("{% generation %}", "{% endgeneration %}"), ("{%-generation-%}", "{%-  endgeneration  -%}")]
    {
        let text = format!("a{open}b{close}c");
        assert_eq!(ChatTemplate::new(&text, BOS, EOS).unwrap().render(&asking()).unwrap(), "abc", "{text}");
    }
    let kept = "{{ generation | default('x') }}{% set generation = 1 %}{{ generation }}";
    assert_eq!(ChatTemplate::new(kept, BOS, EOS).unwrap().render(&asking()).unwrap(), "x1");
}

#[test]
fn broken_templates_name_the_line() {
    let error = ChatTemplate::new("a\nb\n{% for %}", BOS, EOS).unwrap_err();
    assert!(error.to_string().starts_with("chat template, line 3: "), "{error}");
    let error = ChatTemplate::new("{% unclosed", BOS, EOS).unwrap_err();
    assert!(matches!(error, TextError::Template { .. }), "{error}");
    let template = ChatTemplate::new("a\n{{ messages.nothing.here }}", BOS, EOS).unwrap();
    let error = template.render(&asking()).unwrap_err();
    assert!(error.to_string().starts_with("chat template, line 2: "), "{error}");
}

#[test]
fn an_endless_template_ends() {
    let nested = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}";
    let error = ChatTemplate::new(nested, BOS, EOS).unwrap().render(&asking()).unwrap_err();
    assert!(matches!(error, TextError::Render { .. }), "{error}");
}
