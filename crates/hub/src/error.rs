use lfmq_core::{Classify, Kind};
use std::io;
use std::path::{Path, PathBuf};

/// Why a snapshot could not be had. No variant ever holds a token, a query string or a server's own text.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HubError {
    /// The text is no `org/name[@revision]`.
    #[error("`{text}` is not a model id: {why}")]
    Id {
        /// What was given.
        text: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A setting or environment variable cannot be used.
    #[error("{name}: {why}")]
    Setting {
        /// Its name.
        name: &'static str,
        /// What is wrong.
        why: String,
    },
    /// The token holds what no token can hold.
    #[error("the token from {place} is not a token: it is empty or has spaces, line ends or non-ASCII characters")]
    Token {
        /// Where it was read.
        place: String,
    },
    /// The operating system's word.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// No room for the rest of a file. What came so far is kept.
    #[error("{path}: the disk is full, {bytes} more bytes are needed for this file")]
    DiskFull {
        /// The partial file.
        path: PathBuf,
        /// Bytes still to come.
        bytes: u64,
    },
    /// Offline, and the cache does not have everything.
    #[error("offline, and {id} is not complete in {cache}: missing {}", few(.missing))]
    Offline {
        /// The id with its revision.
        id: String,
        /// The cache.
        cache: PathBuf,
        /// What is not there.
        missing: Vec<String>,
    },
    /// No usable answer after all attempts.
    #[error("{host} cannot be reached for {what} ({attempts} attempts): {why}")]
    Unreachable {
        /// Host and port.
        host: String,
        /// What was asked for.
        what: String,
        /// How often it was tried.
        attempts: u32,
        /// The last failure.
        why: String,
    },
    /// The model's terms have to be accepted first.
    #[error("{repo} is gated (status {status})")]
    Gated {
        /// The repository.
        repo: String,
        /// 401 or 403.
        status: u16,
        /// Whether a token was sent.
        signed_in: bool,
    },
    /// The hub does not let us see it.
    #[error("{host} refuses {what} (status {status}){}", if *.signed_in { "" } else { ", no token was sent" })]
    Denied {
        /// Host and port.
        host: String,
        /// What was asked for.
        what: String,
        /// 401 or 403.
        status: u16,
        /// Whether a token was sent.
        signed_in: bool,
    },
    /// There is no such thing.
    #[error("{host} has no {what}")]
    NotFound {
        /// Host and port.
        host: String,
        /// What was asked for.
        what: String,
    },
    /// Too many requests, and the wait is longer than ours.
    #[error("{host} limits the rate of requests{}", wait.map(|s| format!(", for {s} s more")).unwrap_or_default())]
    RateLimited {
        /// Host and port.
        host: String,
        /// Seconds to wait, if it said.
        wait: Option<u64>,
    },
    /// The server failed.
    #[error("{host} answered {what} with status {status}")]
    Server {
        /// Host and port.
        host: String,
        /// What was asked for.
        what: String,
        /// The status.
        status: u16,
    },
    /// The server does not speak as a hub does.
    #[error("{host} answered {what} with nonsense: {why}")]
    Protocol {
        /// Host and port.
        host: String,
        /// What was asked for.
        what: String,
        /// What is wrong.
        why: String,
    },
    /// A file's length is not what was announced.
    #[error("{file}: {expected} bytes were announced, {found} came")]
    Length {
        /// The file.
        file: String,
        /// Announced.
        expected: u64,
        /// Seen.
        found: u64,
    },
    /// A file's content is not what was announced. Nothing of it was kept.
    #[error("{file}: the {algorithm} should be {expected}, but is {found}")]
    Digest {
        /// The file.
        file: String,
        /// Which digest.
        algorithm: &'static str,
        /// Announced.
        expected: String,
        /// Computed.
        found: String,
    },
    /// A file name that could leave the cache or hide in a terminal.
    #[error("{repo} lists a file named {name:?}: {why}")]
    FileName {
        /// The repository.
        repo: String,
        /// The name.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The repository is there, but nothing in it is wanted.
    #[error("{id} has none of the files a checkpoint consists of")]
    Nothing {
        /// The id with its revision.
        id: String,
    },
}

/// The first of many names.
fn few(names: &[String]) -> String {
    const SHOWN: usize = 8;
    let mut text = names.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN {
        text.push_str(&format!(" and {} more", names.len() - SHOWN));
    }
    text
}

impl HubError {
    /// Wraps an operating system error with its path.
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }

    /// The same while writing, where `bytes` are still to come.
    pub(crate) fn write(path: &Path, bytes: u64) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                Self::DiskFull { path, bytes }
            }
            _ => Self::Io { path, source },
        }
    }
}

impl Classify for HubError {
    fn kind(&self) -> Kind {
        match self {
            Self::Id { .. } | Self::NotFound { .. } | Self::Nothing { .. } | Self::FileName { .. } => Kind::Input,
            Self::Token { .. } | Self::Gated { .. } | Self::Denied { .. } => Kind::Authentication,
            Self::Setting { .. }
            | Self::Io { .. }
            | Self::DiskFull { .. }
            | Self::Offline { .. }
            | Self::Unreachable { .. }
            | Self::RateLimited { .. }
            | Self::Server { .. }
            | Self::Protocol { .. }
            | Self::Length { .. }
            | Self::Digest { .. } => Kind::Environment,
        }
    }

    fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Id { .. } => "an id is org/name or org/name@revision, such as LiquidAI/LFM2-350M@main",
            Self::Token { .. } => "a token is one word that begins with hf_",
            Self::DiskFull { .. } => {
                "free some space, or set HF_HUB_CACHE to a larger disk; what came so far is kept and continued"
            }
            Self::Offline { .. } => "run once without --offline and HF_HUB_OFFLINE",
            Self::Unreachable { .. } => {
                "check the network, HTTPS_PROXY and HF_ENDPOINT (SSL_CERT_FILE for a company's own certificates); \
                 --offline uses the cache alone; what came so far is kept and continued"
            }
            Self::Gated { signed_in: false, .. } => {
                "accept the terms on the model's page, then set HF_TOKEN to a token of that account"
            }
            Self::Gated { signed_in: true, .. } => {
                "the token's account has no access: accept the terms on the model's page, and let the token read gated models"
            }
            Self::Denied { signed_in: false, .. } => {
                "the model does not exist or is private: check the spelling, or set HF_TOKEN (it is not sent over plain http, except to this machine)"
            }
            Self::Denied { signed_in: true, .. } => {
                "the token is wrong, expired or without access: check HF_TOKEN, and the spelling of the model"
            }
            Self::NotFound { .. } => "check the spelling and the revision",
            Self::RateLimited { wait: Some(wait), .. } => {
                return Some(format!(
                    "repeat in {wait} s; what came so far is kept; with HF_TOKEN the limits are wider"
                ));
            }
            Self::RateLimited { wait: None, .. } => {
                "repeat later; what came so far is kept; with HF_TOKEN the limits are wider"
            }
            Self::Server { .. } => "the hub has a fault: repeat later; what came so far is kept and continued",
            Self::Protocol { .. } | Self::Length { .. } | Self::Digest { .. } => {
                "something between here and the hub alters its answers: check HF_ENDPOINT and HTTPS_PROXY"
            }
            Self::FileName { .. } => "this repository is not one to trust",
            Self::Io { .. } => "HF_HUB_CACHE names the folder to use for the cache",
            Self::Nothing { .. } => "config.json and *.safetensors are looked for at the top of the repository",
            Self::Setting { .. } => return None,
        };
        Some(text.to_owned())
    }
}
