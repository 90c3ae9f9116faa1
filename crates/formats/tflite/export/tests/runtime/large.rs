//! Files of full size, outside CI: `cargo test --release -p lfmq-tflite-export --test runtime -- --ignored --nocapture`.

use crate::emit::Case;
use crate::interpreter;
use lfmq_testkit::python;
use lfmq_testkit::synth::{self, Size};
use lfmq_tflite_export::{Files, TfliteOptions};
use std::fs;
use std::path::Path;
use std::process::Command;

fn scratch(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// One of 1.3 GB, and one that needs offsets of more than 32 bits.
#[test]
#[ignore = "needs 8 GB of disk and of memory"]
fn large_files_load() {
    let Some(python) = interpreter("large_files_load") else { return };
    let folder = scratch("synth-1.2B");
    synth::write(&folder, Size::B1_2, 0).unwrap();
    for (recipe, least) in [("tflite-q8", 1 << 30), ("tflite-fp32", 1 << 32)] {
        let mut case = Case::new("", recipe);
        (case.name, case.model) = (format!("large-{recipe}"), folder.clone());
        case.options = TfliteOptions { files: Files::Tflite, prefill: vec![16], ..TfliteOptions::default() };
        case.write_model();
        let file = case.folder().join("x.tflite");
        assert!(fs::metadata(&file).unwrap().len() > least, "{recipe}");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/load.py");
        eprint!("{}", python::run(Command::new(&python).arg(script).arg(&file)));
        fs::remove_dir_all(case.folder()).unwrap();
    }
    fs::remove_dir_all(folder).unwrap();
}

/// What writing costs beside quantizing, and the private memory both take.
#[test]
#[ignore = "a measurement"]
fn cost_of_350m() {
    let folder = scratch("synth-350M");
    synth::write(&folder, Size::M350, 0).unwrap();
    for recipe in ["tflite-q8", "tflite-q4"] {
        let mut case = Case::new("", recipe);
        (case.name, case.model) = (format!("cost-{recipe}"), folder.clone());
        case.options = TfliteOptions::default();
        let before = user_seconds();
        case.quantize_only();
        let between = user_seconds();
        case.write_model();
        let (quantizing, both) = (between - before, user_seconds() - between);
        let private = Path::new("/proc/self/status");
        let status = fs::read_to_string(private).unwrap_or_default();
        let line = |key: &str| status.lines().find(|l| l.starts_with(key)).unwrap_or_default().to_owned();
        eprintln!(
            "{recipe}: {:.2} s of CPU beyond {quantizing:.2} s of quantizing; {} {}",
            both - quantizing,
            line("VmHWM"),
            line("RssAnon")
        );
        fs::remove_dir_all(case.folder()).unwrap();
    }
    fs::remove_dir_all(folder).unwrap();
}

/// User time of this process.
fn user_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The second field is a name in brackets, which may hold anything; clock ticks are hundredths.
    let fields = stat.rsplit(')').next().unwrap_or_default();
    fields.split_whitespace().nth(11).and_then(|t| t.parse().ok()).map_or(0.0, |t: f64| t / 100.0)
}
