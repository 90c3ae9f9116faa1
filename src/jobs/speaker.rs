//! A model that can be talked to: tokenizer, chat template and end tokens, from wherever the model came from.

use anyhow::Result;
use lfmq_core::{Executor, Fault, Kind, TensorSource};
use lfmq_text::{ChatTemplate, Message, Moment, Prompt, Sampler, SamplerOptions, Tokenizer, generate, template_source};
use std::path::Path;

pub struct Speaker {
    pub tokenizer: Tokenizer,
    pub template: Option<ChatTemplate>,
    /// Tokens that end an answer.
    pub ends: Vec<u32>,
}

impl Speaker {
    /// From the files beside a checkpoint.
    ///
    /// # Errors
    /// When there is no tokenizer or a file does not parse.
    pub fn of_checkpoint(source: &dyn TensorSource) -> Result<Self, Fault> {
        let json = source.sidecar("tokenizer.json").ok_or_else(|| {
            Fault::new(Kind::Input, format!("{} has no tokenizer.json", source.name()))
                .with_hint("put the checkpoint's tokenizer files beside its weights")
        })?;
        let tokenizer = Tokenizer::from_checkpoint(json, source.sidecar("tokenizer_config.json"))?;
        let template = template_source(&|name| source.sidecar(name).map(<[u8]>::to_vec), None)?;
        let ends = source.spec().tokens.eos.clone();
        Self::new(tokenizer, template.as_deref(), ends)
    }

    /// From the tokenizer files in an artifact's folder.
    ///
    /// # Errors
    /// When there is no tokenizer or a file does not parse.
    pub fn of_folder(folder: &Path) -> Result<Self, Fault> {
        let read = |name: &str| std::fs::read(folder.join(name)).ok();
        let json = read("tokenizer.json")
            .ok_or_else(|| Fault::new(Kind::Input, format!("{} has no tokenizer.json", folder.display())))?;
        let tokenizer = Tokenizer::from_checkpoint(&json, read("tokenizer_config.json").as_deref())?;
        let template = template_source(&read, None)?;
        Self::new(tokenizer, template.as_deref(), vec![])
    }

    /// From the `tokenizer.json` and the chat template that an artifact carries. Which tokens end an answer they do not
    /// say: those that end a turn in every model of the family.
    ///
    /// # Errors
    /// When it is no tokenizer that we know.
    pub fn of_bundle(tokenizer_json: &[u8], template: Option<&str>) -> Result<Self, Fault> {
        let tokenizer = Tokenizer::from_checkpoint(tokenizer_json, None)?;
        let ends = ["<|im_end|>", "<|endoftext|>"].iter().filter_map(|text| tokenizer.id(text)).collect();
        Self::new(tokenizer, template, ends)
    }

    /// From the vocabulary an artifact carries.
    ///
    /// # Errors
    /// When it is no tokenizer that we know.
    pub fn of_artifact(vocabulary: lfmq_text::Vocabulary, template: Option<&str>) -> Result<Self, Fault> {
        let tokenizer = Tokenizer::from_vocabulary(vocabulary)?;
        Self::new(tokenizer, template, vec![])
    }

    fn new(tokenizer: Tokenizer, template: Option<&str>, mut ends: Vec<u32>) -> Result<Self, Fault> {
        let text = |id: Option<u32>| id.and_then(|id| tokenizer.token(id)).unwrap_or_default();
        let template = match template {
            Some(source) => Some(ChatTemplate::new(source, &text(tokenizer.bos()), &text(tokenizer.eos()))?),
            None => None,
        };
        ends.extend(tokenizer.eos().filter(|id| !ends.contains(id)));
        Ok(Self { tokenizer, template, ends })
    }

    /// Ids of a chat of one question, the assistant's turn opened.
    ///
    /// # Errors
    /// When the model has no chat template or the template refuses.
    pub fn chat(&self, system: Option<&str>, user: &str, now: Option<Moment>) -> Result<Vec<u32>, Fault> {
        let template = self.template.as_ref().ok_or_else(|| {
            Fault::new(Kind::Input, "the model has no chat template").with_hint("`--raw` feeds the prompt as it is")
        })?;
        let mut messages: Vec<Message> = system.map(|s| Message::new("system", s)).into_iter().collect();
        messages.push(Message::new("user", user));
        let text = template.render(&Prompt { messages, add_generation_prompt: true, now, ..Prompt::default() })?;
        Ok(self.tokenizer.encode(&text, false)?)
    }

    /// The greedy answer of `executor` to a question, special tokens left out.
    ///
    /// # Errors
    /// As [`Self::chat`], or when the prompt does not fit.
    pub fn answer(
        &self,
        executor: &dyn Executor,
        system: &str,
        user: &str,
        max_tokens: usize,
    ) -> Result<String, Fault> {
        let system = Some(system).filter(|s| !s.is_empty());
        let prompt = self.chat(system, user, None)?;
        let mut session = executor.session(prompt.len() + max_tokens)?;
        let mut sampler = Sampler::new(SamplerOptions::default())?.within(self.tokenizer.vocab_size());
        let done = generate(session.as_mut(), &prompt, &mut sampler, &self.ends, max_tokens, &mut |_| true)?;
        Ok(self.tokenizer.decode(&done.ids, true))
    }
}
