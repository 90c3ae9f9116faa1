use crate::{Sampler, TextError};
use lfmq_core::{ExecError, Session, Want};
use serde::Serialize;

/// Why generation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stop {
    /// The model drew this end token; it is not among the ids.
    Eos(u32),
    /// As many tokens as were asked for.
    Length,
    /// The session has no room for another token.
    Context,
    /// The caller wanted no more.
    Caller,
}

/// What was generated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Generated {
    /// The new tokens, without prompt and end token.
    pub ids: Vec<u32>,
    /// Why it ended.
    pub stop: Stop,
}

/// Feeds `prompt` after whatever `session` was fed before, then draws up to `max_tokens` tokens one by one.
///
/// `on_token` sees each token as it is drawn, the end token apart, and returns whether to go on. The repetition
/// penalty counts the tokens of `prompt` and those drawn. The last token drawn is not fed.
///
/// # Errors
/// An empty prompt, a prompt that does not fit the session or the vocabulary, or logits without a finite value.
pub fn generate(
    session: &mut dyn Session,
    prompt: &[u32],
    sampler: &mut Sampler,
    eos: &[u32],
    max_tokens: usize,
    on_token: &mut dyn FnMut(u32) -> bool,
) -> Result<Generated, TextError> {
    if prompt.is_empty() {
        return Err(TextError::EmptyPrompt);
    }
    let mut sequence = prompt.to_vec();
    let mut logits = Vec::new();
    let mut fed = 0;
    let stop = loop {
        if sequence.len() - prompt.len() >= max_tokens {
            break Stop::Length;
        }
        logits.clear();
        match session.feed(sequence.get(fed..).unwrap_or_default(), Want::Last, &mut logits) {
            Err(ExecError::Full { .. }) if fed > 0 => break Stop::Context,
            fine_or_not => fine_or_not?,
        }
        fed = sequence.len();
        let id = sampler.sample(&logits, &sequence)?;
        if eos.contains(&id) {
            break Stop::Eos(id);
        }
        sequence.push(id);
        if !on_token(id) {
            break Stop::Caller;
        }
    };
    Ok(Generated { ids: sequence.split_off(prompt.len()), stop })
}
