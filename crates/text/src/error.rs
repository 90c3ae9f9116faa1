use lfmq_core::{Classify, ExecError, Kind};

/// What can go wrong between text and token ids.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TextError {
    /// A sidecar file that cannot be understood.
    #[error("{file}: {reason}")]
    File {
        /// Its name beside the checkpoint.
        file: &'static str,
        /// Why not.
        reason: String,
    },
    /// A tokenizer that is not byte-level BPE.
    #[error("tokenizer.json: the {part} is {found}, expected {expected}")]
    NotByteLevel {
        /// Which part of the file.
        part: &'static str,
        /// What this crate handles.
        expected: &'static str,
        /// What the file has.
        found: String,
    },
    /// A GGUF pre-tokenizer this crate has no rule for.
    #[error("tokenizer.ggml.pre is {found:?}; known are {known}")]
    Pre {
        /// What the file says.
        found: String,
        /// What is known.
        known: String,
    },
    /// Lists of a vocabulary that contradict each other.
    #[error("vocabulary: {reason}")]
    Vocabulary {
        /// The contradiction.
        reason: String,
    },
    /// The tokenizer refused a text.
    #[error("cannot encode a text of {bytes} bytes: {reason}")]
    Encode {
        /// Length of the text.
        bytes: usize,
        /// Why not.
        reason: String,
    },
    /// A bos token was asked for and there is none.
    #[error("the tokenizer names no beginning-of-sequence token")]
    NoBos,
    /// A chat template that does not parse.
    #[error("chat template, line {line}: {reason}")]
    Template {
        /// 1-based, 0 when unknown.
        line: usize,
        /// Why not.
        reason: String,
    },
    /// Several named templates and none of the wanted name.
    #[error("no chat template named {wanted:?}; there are {found}")]
    TemplateName {
        /// The wanted name.
        wanted: String,
        /// The names there are.
        found: String,
    },
    /// A chat template that parsed and failed on these messages.
    #[error("chat template, line {line}: {reason}")]
    Render {
        /// 1-based, 0 when unknown.
        line: usize,
        /// Why not.
        reason: String,
    },
    /// The template itself refused the messages.
    #[error("the chat template refuses these messages: {message}")]
    Refused {
        /// The template's own words.
        message: String,
    },
    /// A template asked for the date and none was given.
    #[error("the chat template prints today's date and none was given")]
    NoDate,
    /// A sampling setting outside its range.
    #[error("{name} is {value}, expected {expected}")]
    Setting {
        /// The setting.
        name: &'static str,
        /// Its value.
        value: f64,
        /// Its range in words.
        expected: &'static str,
    },
    /// Logits without a single finite value.
    #[error("none of {count} logits is finite")]
    Logits {
        /// Number of logits.
        count: usize,
    },
    /// Generation was asked for after an empty prompt.
    #[error("the prompt holds no token")]
    EmptyPrompt,
    /// The model refused.
    #[error(transparent)]
    Exec(#[from] ExecError),
}

impl Classify for TextError {
    fn kind(&self) -> Kind {
        match self {
            Self::Setting { .. } | Self::EmptyPrompt | Self::NoDate => Kind::Usage,
            Self::Exec(error) => error.kind(),
            _ => Kind::Input,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::File { file, .. } => return Some(format!("fetch {file} again; it comes with the checkpoint")),
            Self::NotByteLevel { .. } => "LFM2 tokenizers are byte-level BPE; check that the file belongs to the model",
            Self::Pre { .. } => "convert the file again with a converter that knows LFM2",
            Self::Vocabulary { .. } => "the file's tokenizer lists are damaged; convert it again",
            Self::NoBos => "name bos_token in tokenizer_config.json, or encode without one",
            Self::Template { .. } | Self::Render { .. } => {
                "pass the prompt as plain text, or give another template that keeps to Jinja's common part"
            }
            Self::TemplateName { .. } => "choose one of the names",
            Self::Refused { .. } => "the model's card says which roles and order it was trained on",
            Self::NoDate => "give the date to print",
            Self::EmptyPrompt => "begin with the bos token or some text",
            Self::Logits { .. } => "weights or caches hold NaN; verify the artifact",
            Self::Encode { .. } | Self::Setting { .. } | Self::Exec(_) => return None,
        };
        Some(hint.to_owned())
    }
}
