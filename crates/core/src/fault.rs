use std::error::Error;
use std::fmt;

/// Whose turn it is to act on an error; the program's exit code follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The command line.
    Usage,
    /// An input file is invalid or something it asks for is not supported.
    Input,
    /// Disk, memory, network, permissions.
    Environment,
    /// Credentials.
    Authentication,
    /// A gate did not hold.
    Gate,
    /// Our own mistake.
    Bug,
}

/// Implemented by each library's error enum.
pub trait Classify: Error + Send + Sync + 'static {
    /// Whose turn it is.
    fn kind(&self) -> Kind;

    /// What the user can do about it, if we know.
    fn hint(&self) -> Option<String> {
        None
    }
}

/// A classified error on its way to the program.
#[derive(Debug)]
pub struct Fault {
    /// Whose turn it is.
    pub kind: Kind,
    /// What the user can do.
    pub hint: Option<String>,
    error: Box<dyn Error + Send + Sync>,
}

impl Fault {
    /// Classifies an error that has no [`Classify`] of its own.
    pub fn new(kind: Kind, error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { kind, hint: None, error: error.into() }
    }

    /// The same with a hint.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl Error for Fault {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.error.source()
    }
}

impl<E: Classify> From<E> for Fault {
    fn from(error: E) -> Self {
        Self { kind: error.kind(), hint: error.hint(), error: Box::new(error) }
    }
}

impl Classify for crate::ExecError {
    fn kind(&self) -> Kind {
        Kind::Input
    }
}

impl Classify for crate::SourceError {
    fn kind(&self) -> Kind {
        Kind::Input
    }
}
