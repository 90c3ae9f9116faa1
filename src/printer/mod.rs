//! The only place that prints: results on stdout, everything else on stderr.

mod progress;
mod table;

pub use table::{Align, Table};

use crate::args::{Color, Format, GlobalArgs};
use crate::failure::Failure;
use progress::Bars;
use serde_json::{Value, json};
use std::io::{IsTerminal, Write};
use std::time::Instant;

/// Where and how a run talks.
pub struct Printer {
    format: Format,
    quiet: bool,
    verbose: bool,
    colour_out: bool,
    colour_err: bool,
    bars: Bars,
    started: Instant,
}

/// Colours with a meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    Good,
    Bad,
    Doubt,
    Dim,
    Strong,
}

impl Tone {
    const fn code(self) -> &'static str {
        match self {
            Self::Good => "32",
            Self::Bad => "31",
            Self::Doubt => "33",
            Self::Dim => "2",
            Self::Strong => "1",
        }
    }
}

fn paint(text: &str, tone: Tone, on: bool) -> String {
    if on { format!("\x1b[{}m{text}\x1b[0m", tone.code()) } else { text.to_owned() }
}

impl Printer {
    pub fn new(global: &GlobalArgs) -> Self {
        let wanted = |terminal: bool| match global.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => terminal && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty()),
        };
        let json = global.format == Format::Json;
        Self {
            format: global.format,
            quiet: global.quiet,
            verbose: global.verbose,
            colour_out: wanted(std::io::stdout().is_terminal()) && !json,
            colour_err: wanted(std::io::stderr().is_terminal()),
            bars: Bars::new(global.progress, global.quiet),
            started: Instant::now(),
        }
    }

    /// Reports progress of libraries.
    pub fn observer(&self) -> &dyn lfmq_core::Observer {
        &self.bars
    }

    /// `text` coloured for stdout.
    pub fn tone(&self, text: &str, tone: Tone) -> String {
        paint(text, tone, self.colour_out)
    }

    /// Columns of the terminal on stdout, 100 elsewhere.
    pub fn width(&self) -> usize {
        self.room().unwrap_or(100)
    }

    /// The same; `None` where lines may be as long as they like.
    fn room(&self) -> Option<usize> {
        std::env::var("COLUMNS").ok().and_then(|c| c.parse().ok()).or_else(progress::terminal_width)
    }

    /// Sentences of the result for a person, `indent` columns in, in lines that fit.
    pub fn paragraph(&self, indent: usize, text: &str, tone: Option<Tone>) {
        let room = self.width().saturating_sub(indent).max(20);
        for line in table::wrap(text, room) {
            let line = tone.map_or(line.clone(), |tone| self.tone(&line, tone));
            self.line(&format!("{}{line}", " ".repeat(indent)));
        }
    }

    /// A line of the result for a person; nothing in JSON mode.
    pub fn line(&self, text: &str) {
        if self.format == Format::Human {
            out(&format!("{text}\n"));
        }
    }

    /// A table of the result for a person.
    pub fn table(&self, table: &Table) {
        if self.format == Format::Human {
            out(&table.render(self.room(), &|text, tone| self.tone(text, tone)));
        }
    }

    /// Text of a stream, as it comes.
    pub fn stream(&self, text: &str) {
        if self.format == Format::Human {
            out(text);
        }
    }

    /// A remark on stderr.
    pub fn note(&self, text: &str) {
        if !self.quiet {
            self.bars.aside(&paint(text, Tone::Dim, self.colour_err));
        }
    }

    /// A remark on stderr for `--verbose`.
    pub fn detail(&self, text: &str) {
        if self.verbose {
            self.note(text);
        }
    }

    /// A warning on stderr.
    pub fn warn(&self, text: &str) {
        self.bars.aside(&format!("{} {text}", paint("warning:", Tone::Doubt, self.colour_err)));
    }

    /// The JSON document of a finished command; nothing in human mode.
    pub fn document(&self, command: &str, result: Result<&Value, (&Failure, Option<&Value>)>) {
        if self.format != Format::Json {
            return;
        }
        let (ok, result, error) = match result {
            Ok(value) => (true, value.clone(), Value::Null),
            Err((failure, value)) => (false, value.cloned().unwrap_or(Value::Null), failure.to_json()),
        };
        let document = json!({
            "schema_version": 1,
            "ok": ok,
            "command": command,
            "result": result,
            "error": error,
            "meta": {
                "version": env!("CARGO_PKG_VERSION"),
                "duration_s": self.started.elapsed().as_secs_f64(),
                "threads": rayon::current_num_threads(),
                "isa": crate::registry::rung_name(),
            },
        });
        out(&format!("{document:#}\n"));
    }

    /// An error with its hint on stderr.
    pub fn error(&self, failure: &Failure) {
        let mut text = format!("{} {}", paint("error:", Tone::Bad, self.colour_err), failure.message());
        if let Some(hint) = failure.hint() {
            text.push_str(&format!("\n{} {hint}", paint("hint:", Tone::Good, self.colour_err)));
        }
        self.bars.aside(&text);
    }
}

/// Writes to stdout. A reader that went away ends the program quietly, as `head` expects.
fn out(text: &str) {
    let mut stdout = std::io::stdout().lock();
    if let Err(error) = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        std::process::exit(if error.kind() == std::io::ErrorKind::BrokenPipe { 0 } else { 4 });
    }
}

/// A line on stderr from where no printer is at hand (argument errors, panics, signals).
pub fn last_words(text: &str) {
    // Nothing is left to tell if stderr is gone too.
    let _ = writeln!(std::io::stderr(), "{text}");
}
