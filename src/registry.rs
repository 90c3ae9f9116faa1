//! THE list of formats, and the kernel rung chosen for this run. Schemes and recipes are listed by `lfmq-quant`.

use crate::args::ActivationArg;
use crate::jobs::speaker::Speaker;
use crate::jobs::usage;
use lfmq_core::{Activation, Executor, Exporter, Fault, Kind};
use lfmq_gguf_export::{GgufExporter, GgufOptions};
use lfmq_gguf_run::Gguf;
use lfmq_kernels::Kernels;
use lfmq_onnx_export::{OnnxExporter, OnnxOptions};
use lfmq_onnx_run::Onnx;
use lfmq_quant::{QuantError, Recipe};
use lfmq_tflite_export::{TfliteExporter, TfliteOptions};
use lfmq_tflite_run::Tflite;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Instant;

/// One format: how to write it and how to run it.
pub struct Format {
    /// As typed after `--to`.
    pub id: &'static str,
    /// Extension of its files.
    pub extension: &'static str,
    /// Extension of files that hold the same model together with its tokenizer.
    pub bundle: Option<&'static str>,
    /// What it is for, in a few words.
    pub used_by: &'static str,
    /// The recipe of `--bits N`.
    pub bits: fn(u8) -> Result<Recipe, QuantError>,
    pub exporter: fn(&FormatOptions) -> Box<dyn Exporter>,
    /// Whether its files hold a graph, to be held against our own forward pass.
    pub graph: bool,
    /// With bytes for experts that are laid out.
    opener: fn(&Path, Activation, u64) -> Result<Opened, Fault>,
}

pub const FORMATS: &[Format] = &[
    Format {
        id: "gguf",
        extension: "gguf",
        bundle: None,
        used_by: "llama.cpp, LM Studio, Ollama",
        bits: Recipe::bits,
        exporter: |options| Box::new(GgufExporter { options: options.gguf.clone() }),
        graph: false,
        opener: open_gguf,
    },
    Format {
        id: "onnx",
        extension: "onnx",
        bundle: None,
        used_by: "onnxruntime, onnxruntime-genai, transformers.js",
        bits: |bits| Recipe::named(&format!("onnx-q{bits}")),
        exporter: |options| Box::new(OnnxExporter { options: options.onnx.clone() }),
        graph: true,
        opener: open_onnx,
    },
    Format {
        id: "tflite",
        extension: "tflite",
        bundle: Some("litertlm"),
        used_by: "LiteRT (TensorFlow Lite), LiteRT-LM",
        bits: |bits| Recipe::named(&format!("tflite-q{bits}")),
        exporter: |options| Box::new(TfliteExporter { options: options.tflite.clone() }),
        graph: true,
        opener: open_tflite,
    },
];

impl Format {
    /// Whether a file of this name holds a model of this format.
    pub fn has(&self, path: &Path) -> bool {
        let found = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
        [Some(self.extension), self.bundle].into_iter().flatten().any(|e| e.eq_ignore_ascii_case(found))
    }

    /// Whether the file is a bundle of a model that lies beside it by itself.
    pub fn repeats(&self, path: &Path) -> bool {
        let bundle = self.bundle.is_some_and(|e| path.extension().is_some_and(|found| found == e));
        bundle && path.with_extension(self.extension).is_file()
    }
}

/// What was chosen for each format.
#[derive(Clone, Debug, Default)]
pub struct FormatOptions {
    pub gguf: GgufOptions,
    pub onnx: OnnxOptions,
    pub tflite: TfliteOptions,
}

/// An artifact opened for running, with the text side it carries.
pub struct Opened {
    pub executor: Box<dyn Executor>,
    words: Words,
}

/// Where an artifact keeps its tokenizer.
enum Words {
    /// Inside.
    Vocabulary(Option<(lfmq_text::Vocabulary, Option<String>)>),
    /// In files of this folder.
    Folder(PathBuf),
    /// Inside, as `tokenizer.json` and a chat template.
    Files { tokenizer: Vec<u8>, template: Option<String> },
}

fn open_gguf(path: &Path, activation: Activation, experts: u64) -> Result<Opened, Fault> {
    let gguf = Gguf::open_within(path, lfmq_gguf_run::Options { activation, kernels: rung() }, experts)?;
    let words = gguf.vocabulary()?.map(|v| {
        let vocabulary = lfmq_text::Vocabulary {
            tokens: v.tokens,
            types: v.types,
            merges: v.merges,
            bos: v.bos,
            eos: v.eos,
            pad: v.pad,
            add_bos: v.add_bos,
            pre: v.pre.unwrap_or_default(),
        };
        (vocabulary, v.chat_template)
    });
    Ok(Opened { executor: Box::new(gguf), words: Words::Vocabulary(words) })
}

fn open_onnx(path: &Path, activation: Activation, experts: u64) -> Result<Opened, Fault> {
    let onnx = Onnx::open_within(path, lfmq_onnx_run::Options { activation, kernels: rung() }, experts)?;
    // The graph may lie in a folder of its own below the files that belong to the model.
    let mut above = path.ancestors().skip(1).take(2);
    let folder = above.find(|f| f.join("tokenizer.json").is_file()).or(path.parent()).unwrap_or(path);
    Ok(Opened { executor: Box::new(onnx), words: Words::Folder(folder.to_owned()) })
}

fn open_tflite(path: &Path, activation: Activation, experts: u64) -> Result<Opened, Fault> {
    let tflite = Tflite::open_within(path, lfmq_tflite_run::Options { activation, kernels: rung() }, experts)?;
    let words = match tflite.tokenizer() {
        None => Words::Folder(path.parent().map(Path::to_path_buf).unwrap_or_default()),
        Some((stream, length)) => {
            let template = tflite.chat_template().map(str::to_owned);
            Words::Files { tokenizer: inflate(path, stream, length)?, template }
        }
    };
    Ok(Opened { executor: Box::new(tflite), words })
}

/// Unpacks the tokenizer of a bundle.
fn inflate(path: &Path, stream: &[u8], length: u64) -> Result<Vec<u8>, Fault> {
    /// No `tokenizer.json` is larger; the length is a claim of the file.
    const LARGEST: u64 = 256 << 20;
    let most = usize::try_from(length.min(LARGEST)).unwrap_or(usize::MAX);
    let broken = |why: String| Fault::new(Kind::Input, format!("{}: the tokenizer inside: {why}", path.display()));
    let unpacked = miniz_oxide::inflate::decompress_to_vec_zlib_with_limit(stream, most);
    unpacked.map_err(|why| broken(why.to_string())).and_then(|bytes| match bytes.len() as u64 == length {
        true => Ok(bytes),
        false => Err(broken(format!("{} bytes, expected {length}", bytes.len()))),
    })
}

/// Experts of a larger model are laid out when they are used, at most so many bytes at a time: what runs beside the
/// yardstick must leave it room.
const EXPERTS: u64 = 2 << 30;

impl Opened {
    /// Opens an artifact and lays its weights out, as before a first token; also the time that took, in ms.
    ///
    /// # Errors
    /// When the file cannot be read, is malformed, asks for something we do not run, or holds a weight that is no number.
    pub fn timed(path: &Path, activation: Activation) -> Result<(Self, f64), Fault> {
        Self::within(path, activation, EXPERTS)
    }

    /// The same for a process that does nothing else: experts may take half of the memory that can be had.
    ///
    /// # Errors
    /// As [`Self::timed`].
    pub fn alone(path: &Path, activation: Activation) -> Result<(Self, f64), Fault> {
        Self::within(path, activation, usage::available().map_or(EXPERTS, |bytes| EXPERTS.max(bytes / 2)))
    }

    fn within(path: &Path, activation: Activation, experts: u64) -> Result<(Self, f64), Fault> {
        let format = of_file(path)?;
        let started = Instant::now();
        let opened = (format.opener)(path, activation, experts)?;
        drop(opened.executor.session(1)?);
        Ok((opened, started.elapsed().as_secs_f64() * 1e3))
    }

    /// The tokenizer and template the artifact carries.
    ///
    /// # Errors
    /// When it carries none, or one we do not know.
    pub fn speaker(&self) -> Result<Speaker, Fault> {
        match &self.words {
            Words::Folder(folder) => Speaker::of_folder(folder),
            Words::Files { tokenizer, template } => Speaker::of_bundle(tokenizer, template.as_deref()),
            Words::Vocabulary(Some((vocabulary, template))) => {
                Speaker::of_artifact(vocabulary.clone(), template.as_deref())
            }
            Words::Vocabulary(None) => Err(Fault::new(Kind::Input, "the artifact carries no tokenizer")),
        }
    }
}

/// The format of a file, by its extension.
///
/// # Errors
/// An input error naming the extensions there are.
pub fn of_file(path: &Path) -> Result<&'static Format, Fault> {
    FORMATS.iter().find(|f| f.has(path)).ok_or_else(|| {
        let known: Vec<_> = FORMATS.iter().flat_map(|f| [Some(f.extension), f.bundle]).flatten().collect();
        Fault::new(Kind::Input, format!("{}: no format has files like this", path.display()))
            .with_hint(format!("extensions: {}", known.join(", ")))
    })
}

/// What `--activations` means.
pub fn activation(typed: ActivationArg) -> Activation {
    match typed {
        ActivationArg::F32 => Activation::F32,
        ActivationArg::Runtime => Activation::Runtime,
    }
}

/// The names of all formats.
pub fn format_ids() -> Vec<&'static str> {
    FORMATS.iter().map(|f| f.id).collect()
}

/// The format of this name.
///
/// # Errors
/// A usage error naming the formats there are.
pub fn format(id: &str) -> Result<&'static Format, Fault> {
    FORMATS.iter().find(|f| f.id == id).ok_or_else(|| {
        let known: Vec<_> = FORMATS.iter().map(|f| f.id).collect();
        Fault::new(Kind::Usage, format!("unknown format `{id}`")).with_hint(format!("formats: {}", known.join(", ")))
    })
}

static RUNG: OnceLock<&'static Kernels> = OnceLock::new();

/// Fixes the rung of this run: the one asked for, else the best the machine has.
///
/// # Errors
/// A usage error when the machine does not have it.
pub fn select_rung(asked: Option<&str>) -> Result<(), Fault> {
    let kernels = Kernels::select(asked).map_err(|e| Fault::new(Kind::Usage, e))?;
    RUNG.get_or_init(|| kernels);
    Ok(())
}

/// The kernels of this run.
pub fn rung() -> &'static Kernels {
    RUNG.get_or_init(Kernels::best)
}

/// The rung's name, for reports.
pub fn rung_name() -> &'static str {
    rung().name
}
