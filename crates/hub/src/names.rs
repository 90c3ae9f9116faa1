//! File names come from the server: a hostile one must not leave the cache nor fool a terminal.

/// What is wrong with a file name, if anything. Names are `/`-separated and relative.
pub(crate) fn fault(name: &str) -> Option<&'static str> {
    if name.is_empty() || name.len() > 1024 {
        return Some("its length");
    }
    if name.chars().any(|c| c.is_control() || is_invisible(c)) {
        return Some("it has control characters");
    }
    if name.contains(['\\', ':']) {
        return Some("it has a backslash or a colon");
    }
    for part in name.split('/') {
        if part.is_empty() {
            return Some("it is absolute or has an empty part");
        }
        if part == "." || part == ".." {
            return Some("it climbs");
        }
        if part.len() > 255 {
            return Some("a part of it is too long");
        }
        // Windows drops these, so that two names would be one.
        if part.ends_with(['.', ' ']) {
            return Some("a part of it ends with a dot or a space");
        }
    }
    None
}

/// Marks that change the direction of text or show nothing.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// Whether a server's ETag can name a file of the cache.
pub(crate) fn is_blob(name: &str) -> bool {
    (1..=128).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

/// The files a checkpoint consists of, at the top of a repository: configuration, weights, tokenizer, template,
/// licence and card.
#[must_use]
pub fn checkpoint_files(name: &str) -> bool {
    const WHOLE: [&str; 5] = [
        "config.json",
        "generation_config.json",
        "model.safetensors.index.json",
        "special_tokens_map.json",
        "README.md",
    ];
    const BEGINS: [&str; 4] = ["tokenizer", "chat_template.", "LICENSE", "NOTICE"];
    !name.contains('/')
        && (WHOLE.contains(&name)
            || name.ends_with(".safetensors")
            || BEGINS.iter().any(|start| name.starts_with(start)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::path::{Component, Path};

    #[test]
    fn hostile_names() {
        for bad in [
            "",
            "/etc/passwd",
            "../x",
            "a/../../x",
            "a/./b",
            "a//b",
            "a/",
            "..",
            ".",
            "a\\b",
            "..\\x",
            "C:x",
            "a\0b",
            "a\nb",
            "a\u{1b}[2Jb",
            "a\u{202e}b",
            "x/.. ",
            "a./b",
            "x ",
            "a\u{85}",
        ] {
            assert!(fault(bad).is_some(), "{bad:?}");
        }
        assert!(fault(&"x".repeat(256)).is_some());
        for fine in ["config.json", "a/b.safetensors", ".gitattributes", "ä.txt", "a b", "..x", "x..y"] {
            assert_eq!(fault(fine), None, "{fine:?}");
        }
    }

    proptest! {
        #[test]
        fn a_name_without_fault_stays_below_its_folder(name in "[a./\\\\: \u{0}-\u{20}x]{0,12}") {
            if fault(&name).is_none() {
                prop_assert!(Path::new(&name).components().all(|c| matches!(c, Component::Normal(_))));
                prop_assert_eq!(Path::new(&name).components().count(), name.split('/').count());
            }
        }
    }

    #[test]
    fn blob_names() {
        for fine in ["0123abc", "d41d8cd9-2", "A_b"] {
            assert!(is_blob(fine), "{fine}");
        }
        for bad in ["", ".", "..", "a/b", "a\\b", "x.incomplete", "a b", "é"] {
            assert!(!is_blob(bad), "{bad}");
        }
    }

    #[test]
    fn what_a_checkpoint_needs() {
        for wanted in [
            "config.json",
            "generation_config.json",
            "model.safetensors",
            "model-00001-of-00002.safetensors",
            "model.safetensors.index.json",
            "tokenizer.json",
            "tokenizer_config.json",
            "tokenizer.model",
            "special_tokens_map.json",
            "chat_template.jinja",
            "chat_template.json",
            "README.md",
            "LICENSE",
            "LICENSE.txt",
            "NOTICE",
        ] {
            assert!(checkpoint_files(wanted), "{wanted}");
        }
        for other in
            [".gitattributes", "pytorch_model.bin", "onnx/model.onnx", "x/model.safetensors", "vocab.json", "a.gguf"]
        {
            assert!(!checkpoint_files(other), "{other}");
        }
    }
}
