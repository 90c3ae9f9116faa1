//! `lfmq doctor`: what this build can do on this machine.

use super::Done;
use crate::args::DoctorArgs;
use crate::printer::{Align, Printer, Table, Tone};
use crate::registry;
use lfmq_kernels::{Isa, Kernels};
use serde_json::json;

/// Every environment switch: name and what it does.
const SWITCHES: [(&str, &str); 13] = [
    ("LFMQ_THREADS", "threads; results do not depend on it"),
    ("LFMQ_ISA", "kernel rung instead of the best"),
    ("HF_HUB_CACHE", "the hub cache"),
    ("HF_HOME", "its parent, if HF_HUB_CACHE is not set"),
    ("HF_ENDPOINT", "a mirror of the hub"),
    ("HF_TOKEN", "sent to the hub only"),
    ("HF_TOKEN_PATH", "a file with the token"),
    ("HF_HUB_OFFLINE", "1: never go to the network"),
    ("NO_COLOR", "no colour"),
    ("COLUMNS", "width of tables"),
    ("LFMQ_PYTHON", "a Python with the runtimes for --oracle"),
    ("ORT_DYLIB_PATH", "onnxruntime's library, in place of Python's"),
    ("RUST_BACKTRACE", "1 shows where a bug of ours happened"),
];

/// The instruction set that each thread of the pool runs plain loops in.
fn loops() -> Vec<&'static str> {
    rayon::broadcast(|_| Isa::current().name())
}

pub fn run(_: &DoctorArgs, printer: &Printer) -> anyhow::Result<Done> {
    let here: Vec<&str> = Kernels::available().iter().map(|k| k.name).collect();
    let chosen = registry::rung_name();
    printer.line(&printer.tone("kernel rungs", Tone::Strong));
    let mut rungs = Table::new(&[("", Align::Left), ("", Align::Left)]);
    for name in Kernels::known() {
        let (state, tone) = match (name == chosen, here.contains(&name)) {
            (true, _) => ("in use", Tone::Good),
            (false, true) => ("available", Tone::Dim),
            (false, false) => ("not on this machine", Tone::Dim),
        };
        rungs.toned([(name.to_owned(), None), (state.to_owned(), Some(tone))]);
    }
    printer.table(&rungs);
    printer.line(&format!("\n{}", printer.tone("formats", Tone::Strong)));
    let mut formats = Table::new(&[("", Align::Left), ("", Align::Left)]);
    for format in registry::FORMATS {
        formats.row([format.id.to_owned(), format.used_by.to_owned()]);
    }
    printer.table(&formats);
    let schemes: Vec<String> = lfmq_quant::schemes::ALL.iter().map(|s| s.id().to_string()).collect();
    let presets: Vec<&str> = lfmq_quant::Recipe::names().collect();
    printer.line(&format!(
        "\n{}\n  {}",
        printer.tone("schemes (for --set role=scheme)", Tone::Strong),
        schemes.join(" ")
    ));
    printer.line(&format!("\n{}\n  {}", printer.tone("presets (for --recipe)", Tone::Strong), presets.join(" ")));
    printer.line(&format!("\n{}", printer.tone("environment", Tone::Strong)));
    let mut switches = Table::new(&[("", Align::Left), ("", Align::Left), ("", Align::Left)]);
    for (name, meaning) in SWITCHES {
        let value = std::env::var(name).unwrap_or_default();
        let value = if name == "HF_TOKEN" && !value.is_empty() { "(set)".to_owned() } else { value };
        switches.toned([(name.to_owned(), None), (meaning.to_owned(), Some(Tone::Dim)), (value, None)]);
    }
    printer.table(&switches);
    Ok(json!({
        "rungs": {"known": Kernels::known(), "available": here, "in_use": chosen, "loops": loops()},
        "threads": rayon::current_num_threads(),
        "formats": registry::FORMATS.iter().map(|f| f.id).collect::<Vec<_>>(),
        "schemes": schemes,
        "presets": presets,
    })
    .into())
}
