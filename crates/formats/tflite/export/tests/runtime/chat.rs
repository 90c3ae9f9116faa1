//! What a bundle is asked, and what the checkpoint's own forward pass says to it.

use crate::emit::{Case, Rounded};
use lfmq_checkpoint::Checkpoint;
use lfmq_core::{Executor, TensorSource};
use lfmq_kernels::Kernels;
use lfmq_reference::Reference;
use lfmq_text::{ChatTemplate, Message, Prompt, Sampler, SamplerOptions, Tokenizer, generate};
use serde_json::{Value, json};
use std::path::PathBuf;

/// Tokens of an answer.
const TOKENS: usize = 24;

pub struct Conversation {
    /// Prompts as they are, with the model's greedy continuation.
    raw: Vec<(String, String)>,
    question: String,
    rendered: String,
}

struct Speaker<'a> {
    source: &'a Checkpoint,
    tokenizer: Tokenizer,
    template: ChatTemplate,
}

impl Speaker<'_> {
    fn render(&self, messages: Vec<Message>) -> String {
        // The runtime puts the first token in front by itself.
        self.template.render(&Prompt { messages, add_generation_prompt: true, ..Prompt::default() }).unwrap()
    }

    /// The greedy answer of the weights as `case` rounds them.
    fn answer(&self, case: &Case, prompt: &str) -> String {
        let plan = case.plan(self.source);
        let rounded = Rounded { source: self.source, plan: &plan };
        let reference = Reference::open(&rounded, Kernels::best()).unwrap();
        let ids = self.tokenizer.encode(prompt, true).unwrap();
        let mut session = reference.session(ids.len() + TOKENS).unwrap();
        let mut sampler = Sampler::new(SamplerOptions::default()).unwrap();
        let ends = &self.source.spec().tokens.eos;
        let done = generate(session.as_mut(), &ids, &mut sampler, ends, TOKENS, &mut |_| true).unwrap();
        self.tokenizer.decode(&done.ids, true)
    }
}

impl Conversation {
    pub fn of(case: &Case) -> Self {
        let source = case.source();
        let file = |name: &str| source.sidecar(name).unwrap();
        let tokenizer = Tokenizer::from_checkpoint(file("tokenizer.json"), source.sidecar("tokenizer_config.json"));
        let template = std::str::from_utf8(file("chat_template.jinja")).unwrap();
        let speaker = Speaker {
            source: &source,
            tokenizer: tokenizer.unwrap(),
            template: ChatTemplate::new(template, "", "<|im_end|>").unwrap(),
        };
        let tasks = std::fs::read_to_string(case.model.join("tasks.jsonl")).unwrap();
        let tasks: Vec<Value> = tasks.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let text = |task: &Value, key: &str| task[key].as_str().unwrap_or_default().to_owned();
        let raw = tasks
            .iter()
            .step_by(tasks.len() / 4)
            .map(|task| {
                let messages = ["system", "user"].map(|role| Message::new(role, &text(task, role)));
                let prompt = speaker.render(messages.to_vec());
                let answer = speaker.answer(case, &prompt);
                (prompt, answer)
            })
            .collect();
        let question = text(&tasks[1], "user");
        let rendered = speaker.render(vec![Message::new("user", &question)]);
        Self { raw, question, rendered }
    }

    /// Writes the case and its bundle; returns the case's file.
    pub fn write(&self, case: &Case) -> PathBuf {
        let folder = case.write().with_file_name("");
        let prompts: Vec<&str> = self.raw.iter().map(|(prompt, _)| prompt.as_str()).collect();
        let asked = json!({ "bundle": "x.litertlm", "prompts": prompts, "question": self.question, "tokens": TOKENS });
        let file = folder.join("generate.json");
        std::fs::write(&file, asked.to_string()).unwrap();
        file
    }

    /// Floats must say the very same; with 8-bit activations the runtime may take another word now and then.
    pub fn check(&self, name: &str, found: &Value, exact: bool) {
        assert_eq!((&found["start"], &found["stops"]), (&json!(1), &json!([7, 2])), "{name}");
        assert_eq!(found["rendered"], self.rendered, "{name}");
        let mut same = 0;
        for ((prompt, answer), said) in self.raw.iter().zip(found["raw"].as_array().unwrap()) {
            let said = said["text"].as_str().unwrap();
            same += usize::from(said == answer);
            assert!(!exact || said == answer, "{name}: {prompt}\nexpected {answer:?}\nfound    {said:?}");
        }
        eprintln!("{name}: {same} of {} answers alike; {}", self.raw.len(), found["answer"]);
        assert!(2 * same >= self.raw.len(), "{name}: {found}");
        assert!(!found["answer"].as_str().unwrap().is_empty(), "{name}");
    }
}
