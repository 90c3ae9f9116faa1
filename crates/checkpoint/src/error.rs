use lfmq_core::{Classify, Kind};
use std::path::PathBuf;
use std::{fmt, io};

/// Why a folder is not a checkpoint that this program can use.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The operating system's word.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// Neither `model.safetensors` nor an index beside it.
    #[error("{path}: no model.safetensors and no model.safetensors.index.json here")]
    NoWeights {
        /// The folder.
        path: PathBuf,
    },
    /// A file that is read whole is too large for that.
    #[error("{path}: {bytes} bytes, more than the {limit} such a file may have")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
        /// The limit.
        limit: u64,
    },

    /// The length word of a safetensors file is impossible.
    #[error("{path}: the header's length word says {length}, but the file has {bytes} bytes and {limit} is the limit")]
    HeaderLength {
        /// The file.
        path: PathBuf,
        /// What the word says; 0 where the file is too short for it.
        length: u64,
        /// Size of the file.
        bytes: u64,
        /// Largest header the format allows.
        limit: u64,
    },
    /// The header is not the JSON it should be.
    #[error("{path}: the header cannot be read: {why}")]
    HeaderText {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// A header names a tensor twice.
    #[error("{path}: tensor `{tensor}` is there twice")]
    DuplicateTensor {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
    },
    /// An element type that is not a plain float.
    #[error("{path}: tensor `{tensor}` is {found}; only F32, F16 and BF16 can be read")]
    UnsupportedDtype {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// Its type in the file's words.
        found: String,
    },
    /// A tensor's bytes are not as many as its shape needs.
    #[error("{path}: tensor `{tensor}` of shape {shape:?} has {found} bytes")]
    TensorSize {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// Its dimensions.
        shape: Vec<u64>,
        /// How the file counts its bytes, e.g. `12..8` or `24`.
        found: String,
    },
    /// A tensor does not start where the one before it ends.
    #[error("{path}: tensor `{tensor}` starts at {found}, but the data before it ends at {expected}")]
    NotContiguous {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// End of the data before it.
        expected: u64,
        /// Its start.
        found: u64,
    },
    /// The file is shorter or longer than its header says.
    #[error("{path}: the header calls for {expected} bytes, the file has {found}")]
    FileSize {
        /// The file.
        path: PathBuf,
        /// Header and data together.
        expected: u64,
        /// Size of the file.
        found: u64,
    },

    /// The index of a sharded checkpoint is not the JSON it should be.
    #[error("{path}: {why}")]
    Index {
        /// The index.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The index names a file that is not there.
    #[error("{path}: the index calls for it, but it is not there")]
    MissingShard {
        /// The file.
        path: PathBuf,
    },
    /// A tensor lies in another file than the index says, or in two, or in none.
    #[error("tensor `{tensor}`: the index says {expected}, it lies in {found}")]
    Misplaced {
        /// The tensor.
        tensor: String,
        /// File that the index names, or `no file`.
        expected: String,
        /// File it is found in, or `no file`.
        found: String,
    },

    /// The set of tensors is not the one that the configuration calls for.
    #[error("the weights are not those config.json calls for: missing {missing}; unexpected {unexpected}")]
    TensorSet {
        /// Tensors that should be there.
        missing: NameList,
        /// Tensors that should not.
        unexpected: NameList,
    },
    /// A tensor has another shape than the configuration calls for.
    #[error("tensor `{tensor}`: config.json says {expected:?}, the file has {found:?}")]
    TensorShape {
        /// The tensor.
        tensor: String,
        /// The shape that follows from the configuration.
        expected: Vec<u64>,
        /// The shape in the file.
        found: Vec<u64>,
    },
    /// A head beside a tied embedding that is not the same.
    #[error("config.json ties head and embedding, but lm_head.weight differs from model.embed_tokens.weight")]
    HeadDiffers,

    /// A JSON file that cannot be read.
    #[error("{path}: not JSON: {why}")]
    Json {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// A field of the configuration that is absent or makes no sense.
    #[error("config.json: `{field}` should be {expected}, it is {found}")]
    Field {
        /// The field.
        field: String,
        /// What it should be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// A model that this program knows it cannot do, or does not know.
    #[error("{what} is not supported: {why}")]
    Unsupported {
        /// Its name in the configuration's words.
        what: String,
        /// Why not.
        why: String,
    },
}

/// Names for an error message: the first few and how many there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NameList {
    /// The first few.
    pub first: Vec<String>,
    /// How many there are in all.
    pub total: usize,
}

impl NameList {
    /// Names kept for the message.
    const SHOWN: usize = 4;

    /// Counts all of `names` and keeps the first few.
    pub(crate) fn of<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let mut list = Self::default();
        for name in names {
            list.total += 1;
            if list.first.len() < Self::SHOWN {
                list.first.push(name.to_owned());
            }
        }
        list
    }
}

impl fmt::Display for NameList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.total == 0 {
            return f.write_str("none");
        }
        f.write_str(&self.first.join(", "))?;
        match self.total - self.first.len() {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

impl CheckpointError {
    /// For `map_err` on an operation on `path`.
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        |source| Self::Io { path, source }
    }
}

impl Classify for CheckpointError {
    fn kind(&self) -> Kind {
        match self {
            Self::Io { source, .. } if source.kind() != io::ErrorKind::NotFound => Kind::Environment,
            _ => Kind::Input,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NoWeights { .. } => "give the folder of a Hugging Face checkpoint with safetensors weights",
            Self::MissingShard { .. } | Self::FileSize { .. } => "the download may be incomplete; fetch it again",
            Self::Unsupported { .. } => {
                "supported are the causal language models Lfm2ForCausalLM and Lfm2MoeForCausalLM in F32, F16 or BF16"
            }
            _ => return None,
        };
        Some(hint.to_owned())
    }
}
