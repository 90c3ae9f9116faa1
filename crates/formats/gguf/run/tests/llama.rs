//! Files that llama.cpp wrote, run here, against the logits that llama.cpp gave for them.
//!
//! With activations in f32 the two must agree to the 16 bits of the saved logits, give or take llama.cpp's binary16 key/value
//! cache. With rounded activations they agree as well, until an activation lies so near the middle between two codes
//! that the last bit of an f32 sum decides: then one code differs by one, and what follows in the window drifts by
//! as much as rounding costs at all. Hence short windows and a share of exact positions.

mod support;

use lfmq_core::Activation::{F32, Runtime};
use lfmq_core::{Executor, Want};
use lfmq_gguf_run::Gguf;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use support::{Gap, Saved, gap, open};

const MICRO: [&str; 3] = ["micro-Q4_K_M", "micro-moe-Q4_0", "micro-moe-MXFP4_MOE"];

fn folder() -> PathBuf {
    lfmq_testkit::fixtures().join("golden/llama.cpp")
}

fn micro(name: &str) -> PathBuf {
    folder().join(format!("{name}.gguf"))
}

/// The same quantized file, its weights dequantized by llama.cpp: nothing else is rounded.
#[test]
fn weights_alone() {
    for name in MICRO {
        let saved = Saved::read(&folder().join(format!("{name}-as-f32.kld")));
        let gap = gap(&open(&micro(name), F32), &saved);
        assert!(gap.max() < 1e-3 && gap.kld.abs() < 1e-6, "{name}: {} {}", gap.max(), gap.kld);
    }
}

/// As llama.cpp runs the quantized file, with windows short enough that most positions meet no tie.
#[test]
fn as_the_runtime_does() {
    for name in MICRO {
        let kat = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kat").join(format!("{name}.kld"));
        let saved = Saved::read(&kat);
        let found = gap(&open(&micro(name), Runtime), &saved);
        assert!(found.exact() >= 0.3 && found.max() < 0.06, "{name}: {} exact, worst {}", found.exact(), found.max());
        // The yardstick of this test: without rounding no position agrees.
        let unrounded = gap(&open(&micro(name), F32), &saved);
        assert!(unrounded.exact() == 0.0 && unrounded.kld > 2.0 * found.kld, "{name}: {unrounded:?}");
    }
}

/// The same in windows of 128 tokens with llama.cpp's own cache, as people run it.
#[test]
fn long_windows_stay_near() {
    for name in MICRO {
        let saved = Saved::read(&folder().join(format!("{name}.kld")));
        let near = |activation| gap(&open(&micro(name), activation), &saved).kld;
        let (rounded, unrounded) = (near(Runtime), near(F32));
        assert!(rounded < 5e-4 && rounded < 0.5 * unrounded, "{name}: {rounded} against {unrounded}");
    }
}

/// The trained fixtures as llama.cpp quantized them; `LFMQ_LLAMA_FILES` names the work folder of `scripts/llama.sh`.
#[test]
fn trained_models() {
    let Some(work) = folder_from("LFMQ_LLAMA_FILES", "trained_models") else { return };
    for model in ["lfm2-tiny", "lfm2-tiny-moe"] {
        let run = |name: &str, activation| -> Gap {
            gap(
                &open(&work.join(format!("{name}.gguf")), activation),
                &Saved::read(&folder().join(format!("{name}.kld"))),
            )
        };
        let found = run(&format!("{model}-f32"), F32);
        assert!(found.max() < 0.005 && found.kld.abs() < 5e-6, "{model}: {} {}", found.max(), found.kld);
        for preset in ["Q8_0", "Q4_0", "Q4_K_M"] {
            let name = format!("{model}-{preset}");
            let (rounded, unrounded) = (run(&name, Runtime).kld, run(&name, F32).kld);
            assert!(rounded < 3e-4 && rounded < unrounded, "{name}: {rounded} against {unrounded}");
        }
    }
}

/// Every type with and without importance weights against a llama.cpp that is here: `LFMQ_LLAMA_BIN` names the folder
/// of `llama-perplexity`, `LFMQ_LLAMA_GOLDEN` a folder with its files in `quant/` and a text `kld/text.txt`.
#[test]
fn every_type_as_the_runtime_does() {
    let name = "every_type_as_the_runtime_does";
    let Some(root) = folder_from("LFMQ_LLAMA_GOLDEN", name) else { return };
    let Some(tools) = folder_from("LFMQ_LLAMA_BIN", name) else { return };
    let out = tempfile::tempdir().unwrap();
    let mut wrong = Vec::new();
    for path in files(&root.join("quant")) {
        let stem = path.file_stem().unwrap().to_str().unwrap();
        // The adversarial models hold scales that overflow; nothing but their weights is worth comparing.
        if stem.starts_with("nasty") {
            continue;
        }
        let saved = out.path().join("logits");
        let status = Command::new(tools.join("llama-perplexity"))
            .args(["-m", path.to_str().unwrap(), "-f", root.join("kld/text.txt").to_str().unwrap()])
            .args("-c 8 -b 8 --chunks 8 -t 1 --no-repack -ctk f32 -ctv f32 -fa off --save-all-logits".split(' '))
            .arg(&saved)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        assert!(status.unwrap().success(), "{}", path.display());
        let saved = Saved::read(&saved);
        let (found, unrounded) = (gap(&open(&path, Runtime), &saved), gap(&open(&path, F32), &saved));
        // Twelve layers leave few positions without a tie; what is left is that rounding brings us nearer.
        if found.max() > 0.1 || (found.exact() < 0.2 && found.kld > 0.95 * unrounded.kld) {
            let (exact, worst, kld) = (found.exact(), found.max(), found.kld);
            wrong.push(format!("{stem}: {exact} exact, worst {worst}, kld {kld}, {} unrounded", unrounded.kld));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Every file of a folder of llama.cpp's output opens and runs under both kinds of activation.
#[test]
fn whole_folders_run() {
    let Some(root) = folder_from("LFMQ_LLAMA_GOLDEN", "whole_folders_run") else { return };
    let all = [files(&root.join("conv")), files(&root.join("quant"))].concat();
    assert!(!all.is_empty());
    for path in all {
        for activation in [F32, Runtime] {
            let model = open(&path, activation);
            let mut logits = Vec::new();
            model.session(8).unwrap().feed(&[1, 40, 41, 42], Want::All, &mut logits).unwrap();
            assert_eq!(logits.len(), 4 * model.facts().vocab);
            // Adversarial weights drive activations past binary16.
            let tame = activation == F32 || !path.to_str().unwrap().contains("nasty");
            assert!(!tame || logits.iter().all(|l| l.is_finite()), "{} {activation:?}", path.display());
        }
    }
}

/// A model in three files gives the logits of the same model in one.
#[test]
fn split_files_run() {
    let Some(root) = folder_from("LFMQ_LLAMA_GOLDEN", "split_files_run") else { return };
    let first = files(&root.join("split")).into_iter().find(|p| p.to_str().unwrap().contains("tmp-00001-of-")).unwrap();
    let logits = |path: &Path| {
        let (model, mut logits) = (open(path, F32), Vec::new());
        model.session(8).unwrap().feed(&[1, 40, 41, 42], Want::All, &mut logits).unwrap();
        logits
    };
    assert_eq!(logits(&first), logits(&root.join("conv/moe-bf16.gguf")));
    let second = first.with_file_name(first.file_name().unwrap().to_str().unwrap().replace("00001-of", "00002-of"));
    let refused = lfmq_gguf_run::Gguf::open(&second, support::options(F32)).err().unwrap().to_string();
    assert!(refused.contains("opened by its first part"), "{refused}");
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut all: Vec<PathBuf> = entries.map(|e| e.unwrap().path()).collect();
    all.retain(|p| p.extension().is_some_and(|e| e == "gguf"));
    all.sort();
    all
}

/// Says so past the test harness, which keeps the output of passing tests to itself.
fn folder_from(variable: &str, test: &str) -> Option<PathBuf> {
    let value = std::env::var_os(variable).map(PathBuf::from);
    if value.is_none() {
        let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {variable} is not set");
    }
    value
}

#[test]
fn experts_that_do_not_fit_change_no_bit() {
    let path = micro("micro-moe-Q4_0");
    let run = |experts: u64, threads: usize| -> Vec<u32> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let model = Gguf::open_within(&path, support::options(Runtime), experts).unwrap();
            let (mut session, mut logits) = (model.session(64).unwrap(), Vec::new());
            for part in [40, 1, 1, 6].iter().scan(0u32, |at, n| {
                Some(
                    (*at..{
                        *at += n;
                        *at
                    })
                        .collect::<Vec<_>>(),
                )
            }) {
                session.feed(&part, Want::All, &mut logits).unwrap();
            }
            logits.into_iter().map(f32::to_bits).collect()
        })
    };
    let all = run(u64::MAX, 1);
    // No room at all, room for a few, and all but one.
    let experts: u64 = {
        let model = Gguf::open(&path, support::options(F32)).unwrap();
        let tensors = model.weights().unwrap().tensors().iter();
        tensors.filter(|t| t.id.is_some_and(|id| id.role.expert().is_some())).map(|t| t.bytes).sum()
    };
    for room in [0, experts / 5, experts - 1] {
        assert!(run(room, 3) == all, "with room for {room} of {experts} bytes");
    }
}
