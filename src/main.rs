//! The `lfmq` program: parse, run, and turn an error into an exit code. Nothing here computes.
#![forbid(unsafe_code)]

mod args;
mod commands;
mod failure;
mod jobs;
mod printer;
mod registry;

use args::{Cli, Format};
use clap::Parser;
use failure::Failure;
use lfmq_kernels::Isa;
use printer::Printer;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    if let Err(error) = ctrlc::set_handler(|| {
        printer::last_words("interrupted; nothing was published. hint: `lfmq quantize … --resume` continues");
        std::process::exit(130);
    }) {
        printer::last_words(&format!("warning: cannot catch Ctrl-C: {error}"));
    }
    let printer = Printer::new(&cli.global);
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| start(&cli, &printer)));
    let outcome = outcome.unwrap_or_else(|_| {
        let bug = Failure::bug("lfmq made a mistake and stopped; the message above says where");
        Err(bug.with_hint("please report it with the command line and the message").into())
    });
    let (failure, value) = match outcome {
        Ok(done) => (done.failure, Some(done.value)),
        Err(error) => (Some(Failure::from(error)), None),
    };
    match failure {
        None => {
            printer.document(cli.command.name(), Ok(&value.unwrap_or_default()));
            ExitCode::SUCCESS
        }
        Some(failure) => {
            printer.document(cli.command.name(), Err((&failure, value.as_ref())));
            printer.error(&failure);
            ExitCode::from(failure.code())
        }
    }
}

/// Fixes threads and kernels for the whole run, then runs the command inside that pool.
fn start(cli: &Cli, printer: &Printer) -> anyhow::Result<commands::Done> {
    registry::select_rung(cli.global.isa.as_deref())?;
    let isa = Isa::of(registry::rung());
    let pool = rayon::ThreadPoolBuilder::new().num_threads(cli.global.threads.map_or(0, usize::from));
    // Every thread of the pool, so that loops compiled for several instruction sets follow the rung, too.
    pool.build_scoped(|thread| isa.scope(|| thread.run()), |pool| pool.install(|| commands::run(cli, printer)))?
}

/// What clap has to say: help and version are results, the rest is a usage error (also as JSON when asked for).
fn usage(error: &clap::Error) -> ExitCode {
    let wants_json = std::env::args().collect::<Vec<_>>().windows(2).any(|w| w[0] == "--format" && w[1] == "json")
        || std::env::args().any(|a| a == "--format=json");
    if error.use_stderr() && wants_json {
        let cli = Cli::parse_from(["lfmq", "--format", "json", "doctor"]);
        debug_assert_eq!(cli.global.format, Format::Json);
        let failure = Failure::usage(error.to_string().trim().to_owned());
        Printer::new(&cli.global).document("", Err((&failure, None)));
    }
    // A closed stdout is not an error of ours.
    let _ = error.print();
    ExitCode::from(if error.use_stderr() { 2 } else { 0 })
}
