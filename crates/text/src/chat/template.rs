use super::{Prompt, python};
use crate::TextError;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Rest, Serde};
use minijinja::{Environment, Error, ErrorKind, Value};
use std::borrow::Cow;
use std::error::Error as _;

/// A checkpoint's own Jinja template, rendered as transformers renders it: `trim_blocks` and `lstrip_blocks` on,
/// Python's string methods, `tojson`, `raise_exception`, `strftime_now`, `break` and `continue`.
///
/// Known difference: `~` and `join` print `true` and `none` where Python prints `True` and `None`.
#[derive(Debug)]
pub struct ChatTemplate {
    environment: Environment<'static>,
    bos: String,
    eos: String,
}

const NAME: &str = "chat_template";

/// Instructions a template may take: a hostile one must end.
const FUEL: u64 = 10_000_000;

/// Reasons a template stops that are not faults of its code.
#[derive(Debug, thiserror::Error)]
enum Halt {
    #[error("{0}")]
    Refused(String),
    #[error("no date")]
    NoDate,
}

impl ChatTemplate {
    /// Parses `source`. `bos` and `eos` are the tokens' texts.
    ///
    /// # Errors
    /// A template that does not parse.
    pub fn new(source: &str, bos: &str, eos: &str) -> Result<Self, TextError> {
        let mut environment = Environment::new();
        environment.set_syntax(whitespace()?);
        environment.set_fuel(Some(FUEL));
        environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.set_formatter(|out, _, value| out.write_str(&python::str(value)).map_err(Error::from));
        environment.add_filter("tojson", python::tojson);
        environment.add_filter("string", python::str);
        environment.add_test("iterable", python::is_iterable);
        environment.add_test("sequence", python::is_sequence);
        environment.add_function("raise_exception", |message: String| -> Result<Value, Error> {
            Err(halt(Halt::Refused(message)))
        });
        environment
            .add_template_owned(NAME, without_generation_tags(source))
            .map_err(|error| TextError::Template { line: error.line().unwrap_or(0), reason: explain(&error) })?;
        Ok(Self { environment, bos: bos.to_owned(), eos: eos.to_owned() })
    }

    /// The prompt's text, bos token included: encode it without adding another.
    ///
    /// # Errors
    /// When the template refuses the messages, fails on them, or wants a date that is not given.
    pub fn render(&self, prompt: &Prompt) -> Result<String, TextError> {
        let template = self.environment.get_template(NAME).map_err(failure)?;
        template.render(self.variables(prompt)).map_err(failure)
    }

    fn variables(&self, prompt: &Prompt) -> Value {
        let now = prompt.now;
        let strftime_now = Value::from_function(move |format: String, _: Rest<Value>| -> Result<String, Error> {
            let now = now.ok_or_else(|| halt(Halt::NoDate))?;
            now.format(&format)
                .map_err(|code| Error::new(ErrorKind::InvalidOperation, format!("strftime_now does not know %{code}")))
        });
        let tools = (!prompt.tools.is_empty()).then_some(&prompt.tools);
        let of_the_model = [("bos_token", Value::from(&*self.bos)), ("eos_token", Value::from(&*self.eos))];
        let of_the_prompt = [
            ("messages", Value::from(Serde(&prompt.messages))),
            ("tools", Value::from(Serde(tools))),
            ("documents", Value::from(())),
            ("add_generation_prompt", Value::from(prompt.add_generation_prompt)),
            ("strftime_now", strftime_now),
        ];
        let further = prompt.variables.iter().map(|(name, value)| (name.as_str(), Value::from(Serde(value))));
        // Later ones win.
        Value::from_pairs(of_the_model.into_iter().chain(further).chain(of_the_prompt))
    }
}

fn whitespace() -> Result<SyntaxConfig, TextError> {
    let config = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    config.map_err(|error| TextError::Template { line: 0, reason: explain(&error) })
}

/// `{% generation %}` marks for training what the assistant said. It is replaced by a condition that always holds,
/// so that whitespace control around it keeps working.
fn without_generation_tags(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(start) = rest.find("{%") {
        let (before, tag) = rest.split_at(start);
        out.push_str(before);
        let Some(length) = tag.find("%}").map(|end| end + 2) else { return out + tag };
        let (tag, after) = tag.split_at(length);
        out.push_str(&replaced(tag));
        rest = after;
    }
    out + rest
}

/// One tag from `{%` to `%}`.
fn replaced(tag: &str) -> Cow<'_, str> {
    let word = tag.trim_start_matches("{%").trim_end_matches("%}").trim_matches(['-', '+']).trim();
    match word {
        "generation" => Cow::Owned(tag.replacen(word, "if true", 1)),
        "endgeneration" => Cow::Owned(tag.replacen(word, "endif", 1)),
        _ => Cow::Borrowed(tag),
    }
}

fn halt(why: Halt) -> Error {
    Error::new(ErrorKind::InvalidOperation, why.to_string()).with_source(why)
}

fn failure(error: Error) -> TextError {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = error.source();
    while let Some(inner) = cause {
        match inner.downcast_ref::<Halt>() {
            Some(Halt::Refused(message)) => return TextError::Refused { message: message.clone() },
            Some(Halt::NoDate) => return TextError::NoDate,
            None => cause = inner.source(),
        }
    }
    TextError::Render { line: error.line().unwrap_or(0), reason: explain(&error) }
}

/// Kind and detail without the template's name, which is ours.
fn explain(error: &Error) -> String {
    match error.detail() {
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    }
}
