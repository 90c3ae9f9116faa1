//! Ids against llama.cpp: its logits files begin with the tokens it cut the text into.
#![allow(clippy::print_stderr, reason = "a skipped test says so")]

use lfmq_gguf_wire::{Array, Container};
use lfmq_text::{ChatTemplate, Message, Prompt, Tokenizer, Vocabulary};
use std::fs;
use std::path::PathBuf;

fn fixture(name: &str) -> Option<Vec<u8>> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures").join(name);
    let bytes = fs::read(&path).ok();
    if bytes.is_none() {
        eprintln!("SKIPPED: {} is missing", path.display());
    }
    bytes
}

/// The tokens of a logits file: `_logits_`, positions per window, vocabulary, windows, tokens, all 4 bytes each.
fn tokens_of(logits_file: &[u8]) -> Vec<u32> {
    let (magic, rest) = logits_file.split_at(8);
    assert_eq!(magic, b"_logits_");
    let mut words = rest.chunks_exact(4).map(|word| u32::from_le_bytes(word.try_into().unwrap()));
    let header: Vec<u32> = words.by_ref().take(3).collect();
    words.take((header[0] * header[2]) as usize).collect()
}

fn assert_begins(tokenizer: &Tokenizer, text: &[u8], logits_file: &[u8], about: &str) {
    let ids = tokenizer.encode(std::str::from_utf8(text).unwrap(), tokenizer.adds_bos()).unwrap();
    let expected = tokens_of(logits_file);
    assert!(expected.len() >= 256, "{about}");
    assert_eq!(ids[..expected.len()], expected, "{about}");
}

#[test]
fn ids_of_a_checkpoint_are_those_of_llama() {
    for model in ["lfm2-tiny", "lfm2-tiny-moe"] {
        let files = [
            format!("{model}/tokenizer.json"),
            format!("{model}/tokenizer_config.json"),
            "golden/llama.cpp/prose.txt".into(),
            format!("golden/llama.cpp/{model}-f32.kld"),
        ];
        let Some(files) = files.iter().map(|name| fixture(name)).collect::<Option<Vec<_>>>() else { continue };
        let tokenizer = Tokenizer::from_checkpoint(&files[0], Some(&files[1])).unwrap();
        assert_begins(&tokenizer, &files[2], &files[3], model);
    }
}

fn vocabulary_of(gguf: &Container<'_>) -> Vocabulary {
    let strings = |key| gguf.read::<Array<'_>>(key).unwrap().strings().unwrap().map(str::to_owned).collect();
    let types = gguf.read::<Array<'_>>("tokenizer.ggml.token_type").unwrap();
    Vocabulary {
        tokens: strings("tokenizer.ggml.tokens"),
        types: types.ints().unwrap().map(|kind| kind as i32).collect(),
        merges: strings("tokenizer.ggml.merges"),
        bos: gguf.find("tokenizer.ggml.bos_token_id").unwrap(),
        eos: gguf.find("tokenizer.ggml.eos_token_id").unwrap(),
        pad: gguf.find("tokenizer.ggml.padding_token_id").unwrap(),
        add_bos: gguf.read("tokenizer.ggml.add_bos_token").unwrap(),
        pre: gguf.read::<&str>("tokenizer.ggml.pre").unwrap().to_owned(),
    }
}

#[test]
fn ids_of_a_gguf_file_are_those_of_llama() {
    for name in ["micro-Q4_K_M", "micro-moe-Q4_0"] {
        let files = [
            "golden/llama.cpp/prose.txt".to_owned(),
            format!("golden/llama.cpp/{name}.gguf"),
            format!("golden/llama.cpp/{name}.kld"),
        ];
        let Some(files) = files.iter().map(|name| fixture(name)).collect::<Option<Vec<_>>>() else { continue };
        let gguf = Container::parse(&files[1]).unwrap();
        let tokenizer = Tokenizer::from_vocabulary(vocabulary_of(&gguf)).unwrap();
        assert_eq!((tokenizer.bos(), tokenizer.eos(), tokenizer.pad()), (Some(1), Some(7), Some(0)), "{name}");
        assert_begins(&tokenizer, &files[0], &files[2], name);

        // The whole way of a chat: template of the file, then ids without another bos.
        let source = gguf.read::<&str>("tokenizer.chat_template").unwrap();
        let template = ChatTemplate::new(source, &tokenizer.token(1).unwrap(), &tokenizer.token(7).unwrap()).unwrap();
        let prompt =
            Prompt { messages: vec![Message::new("user", "Hi")], add_generation_prompt: true, ..Prompt::default() };
        let text = template.render(&prompt).unwrap();
        let ids = tokenizer.encode(&text, false).unwrap();
        assert_eq!(ids.iter().filter(|&&id| id == 1).count(), 1, "{name}: {text}");
        assert_eq!((ids[0], ids[1], ids.iter().filter(|&&id| id == 7).count()), (1, 6, 1), "{name}: {text}");
        assert_eq!(tokenizer.decode(&ids, false), text);
    }
}
