//! `lfmq-testkit synth SIZE DIR [--seed N]`: writes a checkpoint of a real shape with random weights.
#![forbid(unsafe_code)]

use lfmq_testkit::synth::{self, Size};
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            // Nothing is left to do if this cannot be written either.
            let _ = writeln!(std::io::stderr(), "{message}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &[String]) -> Result<(), String> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (size, folder, seed) = match words.as_slice() {
        ["synth", size, folder] => (*size, *folder, "0"),
        ["synth", size, folder, "--seed", seed] => (*size, *folder, *seed),
        _ => return Err("usage: lfmq-testkit synth SIZE DIR [--seed N]".into()),
    };
    let sizes = || Size::ALL.map(|(word, _)| word).join(", ");
    let size = Size::ALL.into_iter().find(|(word, _)| *word == size);
    let (_, size) = size.ok_or_else(|| format!("SIZE is one of {}", sizes()))?;
    let seed = seed.parse().map_err(|_| format!("--seed is a number, not {seed}"))?;
    synth::write(Path::new(folder), size, seed).map_err(|e| format!("{folder}: {e}"))
}
