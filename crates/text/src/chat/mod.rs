mod lookup;
mod moment;
mod python;
mod template;

pub use lookup::template_source;
pub use moment::Moment;
pub use template::ChatTemplate;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// One message of a chat.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// `system`, `user`, `assistant` or `tool`.
    pub role: String,
    /// The text, or a list of parts such as `{"type": "text", "text": "..."}`.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub content: Value,
    /// Whatever else a template may look at, such as `tool_calls` or `thinking`.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

impl Message {
    /// A message of plain text.
    #[must_use]
    pub fn new(role: &str, text: &str) -> Self {
        Self { role: role.to_owned(), content: Value::from(text), more: Map::new() }
    }
}

/// What a template renders.
#[derive(Clone, Debug, Default)]
pub struct Prompt {
    /// The chat so far.
    pub messages: Vec<Message>,
    /// Descriptions of the functions the model may call, as JSON schemas.
    pub tools: Vec<Value>,
    /// Whether to open the assistant's turn at the end.
    pub add_generation_prompt: bool,
    /// The date for templates that print one. This library reads no clock.
    pub now: Option<Moment>,
    /// Further variables, such as `keep_past_thinking`.
    pub variables: Map<String, Value>,
}
