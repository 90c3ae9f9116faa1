/// What a stage counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// Tokens.
    Tokens,
    /// Anything else.
    Items,
}

/// How libraries report progress; the program decides what to show.
pub trait Observer: Sync {
    /// A stage of `total` units begins.
    fn begin(&self, stage: &str, total: u64, unit: Unit);

    /// `units` more are done.
    fn advance(&self, units: u64);

    /// The stage is over.
    fn end(&self);

    /// Something worth a line.
    fn note(&self, _line: &str) {}
}

/// Shows nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Observer for Silent {
    fn begin(&self, _: &str, _: u64, _: Unit) {}
    fn advance(&self, _: u64) {}
    fn end(&self) {}
}
