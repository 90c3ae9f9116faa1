//! Progress of long stages on stderr: bars on a terminal, sparse lines elsewhere, NDJSON on request.

use crate::args::Progress;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use lfmq_core::{Observer, Unit};
use serde_json::json;
use std::io::{IsTerminal, Write};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Plain lines come no more often than this.
const EVERY: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Bar,
    Plain,
    Json,
    Silent,
}

struct Stage {
    name: String,
    total: u64,
    unit: Unit,
    begun: Instant,
    done: u64,
    told: Instant,
    bar: Option<ProgressBar>,
}

pub(super) struct Bars {
    mode: Mode,
    stage: Mutex<Option<Stage>>,
}

/// Columns of the terminal, if stdout is one.
pub(super) fn terminal_width() -> Option<usize> {
    console::Term::stdout().size_checked().map(|(_, columns)| usize::from(columns))
}

impl Bars {
    pub(super) fn new(progress: Progress, quiet: bool) -> Self {
        let mode = match progress {
            _ if quiet => Mode::Silent,
            Progress::None => Mode::Silent,
            Progress::Bar => Mode::Bar,
            Progress::Plain => Mode::Plain,
            Progress::Json => Mode::Json,
            Progress::Auto if std::io::stderr().is_terminal() => Mode::Bar,
            Progress::Auto => Mode::Plain,
        };
        Self { mode, stage: Mutex::new(None) }
    }

    /// A line on stderr that does not tear a bar.
    pub(super) fn aside(&self, text: &str) {
        let stage = self.lock();
        match stage.as_ref().and_then(|s| s.bar.as_ref()) {
            Some(bar) => bar.suspend(|| say(text)),
            None => say(text),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Stage>> {
        self.stage.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Speed and remaining time of a stage that moves bytes.
fn pace(stage: &Stage) -> String {
    let rate = stage.done as f64 / stage.begun.elapsed().as_secs_f64().max(1e-3);
    if stage.unit != Unit::Bytes || rate <= 0.0 {
        return String::new();
    }
    let left = (stage.total - stage.done) as f64 / rate;
    format!(", {}/s, {left:.0} s left", crate::jobs::size::show(rate as u64))
}

fn say(text: &str) {
    // stderr may be closed; then there is nobody to tell.
    let _ = writeln!(std::io::stderr(), "{text}");
}

fn style(unit: Unit) -> ProgressStyle {
    let template = match unit {
        Unit::Bytes => {
            "{msg:<10} {wide_bar:.cyan/dim} {bytes:>10}/{total_bytes:<10} {binary_bytes_per_sec:>12} eta {eta:>4}"
        }
        Unit::Tokens | Unit::Items => "{msg:<10} {wide_bar:.cyan/dim} {pos:>7}/{len:<7} {rate:>12} eta {eta:>4}",
    };
    let rate = |state: &ProgressState, out: &mut dyn std::fmt::Write| {
        // Writing into the bar's own buffer does not fail.
        let _ = write!(out, "{:.1}/s", state.per_sec());
    };
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()).with_key("rate", rate)
}

impl Observer for Bars {
    fn begin(&self, name: &str, total: u64, unit: Unit) {
        let bar = (self.mode == Mode::Bar).then(|| {
            let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr_with_hz(10));
            bar.set_style(style(unit));
            bar.set_message(name.to_owned());
            bar
        });
        if self.mode == Mode::Json {
            say(&json!({"event": "begin", "stage": name, "total": total, "unit": format!("{unit:?}").to_lowercase()})
                .to_string());
        }
        *self.lock() = Some(Stage {
            name: name.to_owned(),
            total,
            unit,
            begun: Instant::now(),
            done: 0,
            told: Instant::now(),
            bar,
        });
    }

    fn advance(&self, units: u64) {
        let mut guard = self.lock();
        let Some(stage) = guard.as_mut() else { return };
        stage.done += units;
        if let Some(bar) = &stage.bar {
            bar.inc(units);
        } else if stage.told.elapsed() >= EVERY && stage.done < stage.total {
            stage.told = Instant::now();
            match self.mode {
                Mode::Plain => {
                    let percent = stage.done as f64 / stage.total.max(1) as f64 * 100.0;
                    say(&format!("{} {percent:.0} %{}", stage.name, pace(stage)));
                }
                Mode::Json => say(&json!({"event": "advance", "stage": stage.name, "done": stage.done}).to_string()),
                Mode::Bar | Mode::Silent => {}
            }
        }
    }

    fn end(&self) {
        let Some(stage) = self.lock().take() else { return };
        if let Some(bar) = stage.bar {
            bar.finish_and_clear();
        }
        if self.mode == Mode::Json {
            let unit = format!("{:?}", stage.unit).to_lowercase();
            say(&json!({"event": "end", "stage": stage.name, "done": stage.done, "unit": unit}).to_string());
        }
    }

    fn note(&self, line: &str) {
        if self.mode != Mode::Silent {
            self.aside(line);
        }
    }
}
