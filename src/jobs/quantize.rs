//! What `lfmq quantize …` means: checkpoint opened, recipe and importance read, formats and output chosen.

use super::{file, model, size, targets};
use crate::args::{
    GgufArgs, OnnxArgs, OnnxConv, OnnxFlavor, OnnxMoe, ProfileArg, QuantizeArgs, TfliteArgs, TfliteFiles,
};
use crate::registry::{self, Format, FormatOptions};
use anyhow::{Context, Result};
use lfmq_artifact::{Mode, SideFile, Staging, license_files};
use lfmq_checkpoint::Checkpoint;
use lfmq_core::{Exporter, Fault, Kind, Observer, TensorSource};
use lfmq_gguf_export::{GgufOptions, Profile, Split, SplitLimit};
use lfmq_onnx_export::{ConvForm, Float, MinOrt, MoeForm, OnnxOptions};
use lfmq_quant::{Importance, Recipe};
use lfmq_targets::Target;
use lfmq_tflite_export::{Files, TfliteOptions};
use std::path::{Path, PathBuf};

/// Everything decided before a weight is read.
pub struct QuantizeJob {
    pub checkpoint: Checkpoint,
    /// Where on the hub the checkpoint is from, if it is.
    pub origin: Option<model::Origin>,
    pub importance: Option<Importance>,
    pub outputs: Vec<Output>,
    pub mode: Mode,
    /// Bytes of weights in flight.
    pub memory: usize,
    /// Whether the artifacts are proved.
    pub prove: bool,
    /// Where the page with all reports goes.
    pub page: Option<PathBuf>,
    /// For whom the files are sealed.
    #[cfg(feature = "seal")]
    pub recipients: Option<lfmq_artifact::Recipients>,
}

impl QuantizeJob {
    /// Whether the files are sealed.
    pub fn seals(&self) -> bool {
        #[cfg(feature = "seal")]
        return self.recipients.is_some();
        #[cfg(not(feature = "seal"))]
        false
    }

    /// Seals the files of `staging`, if that was asked for.
    ///
    /// # Errors
    /// The file system refuses.
    #[cfg_attr(not(feature = "seal"), allow(unused_variables, reason = "nothing seals"))]
    pub fn seal(&self, staging: &mut Staging, observer: &dyn Observer) -> Result<(), Fault> {
        #[cfg(feature = "seal")]
        if let Some(recipients) = &self.recipients {
            staging.seal(recipients, observer)?;
        }
        Ok(())
    }
}

/// One format to write.
pub struct Output {
    pub format: &'static Format,
    pub exporter: Box<dyn Exporter>,
    pub recipe: Recipe,
    /// File names without extension.
    pub stem: String,
    pub folder: PathBuf,
    /// The targets it serves.
    pub targets: Vec<Target>,
    /// What the licence asks to hand on.
    pub terms: Vec<SideFile>,
}

/// A format with the recipe for it and the targets that want it.
struct Choice {
    format: &'static Format,
    recipe: Recipe,
    targets: Vec<Target>,
}

/// Presets that only change the float type: the converter's own output.
const FLOATS: [&str; 3] = ["F32", "F16", "BF16"];

/// Resolves what was typed.
///
/// # Errors
/// Any part that does not exist, is malformed or contradicts another.
pub fn prepare(args: &QuantizeArgs, offline: bool, observer: &dyn Observer) -> Result<QuantizeJob> {
    let choices = if args.target.is_empty() { by_format(args)? } else { by_target(args)? };
    #[cfg(feature = "seal")]
    let recipients = match args.seal.as_slice() {
        [] => None,
        keys => Some(lfmq_artifact::Recipients::parse(keys).map_err(Fault::from)?),
    };
    let folder = model::resolve(&args.model, offline, observer)?;
    let checkpoint = Checkpoint::open(&folder).map_err(Fault::from)?;
    let importance = args.imatrix.as_deref().map(importance).transpose()?;
    let mut outputs = Vec::new();
    // Targets share a folder for whatever they come to, so that nobody has to know which of them want the same file.
    let shared = match &args.out {
        _ if args.target.is_empty() => None,
        Some(out) => Some(out.clone()),
        None => Some(PathBuf::from(format!("{}-targets", checkpoint.name()))),
    };
    let several = choices.len() > 1;
    for Choice { format, recipe, targets } in choices {
        let options = FormatOptions {
            gguf: gguf_options(&args.gguf, recipe.name())?,
            onnx: onnx_options(&args.onnx, &recipe)?,
            tflite: tflite_options(&args.tflite),
        };
        let changed = if args.set.is_empty() { "" } else { "-mixed" };
        let stem = format!("{}-{}{changed}", checkpoint.name(), recipe.name());
        let mut folder = match (&shared, &args.out) {
            (Some(shared), _) => shared.join(recipe.name()),
            (None, Some(out)) if several => out.join(format.id),
            (None, Some(out)) => out.clone(),
            (None, None) => PathBuf::from(&stem),
        };
        // Formats may share a recipe, not a folder.
        if outputs.iter().any(|o: &Output| o.folder == folder) {
            folder.as_mut_os_string().push(format!("-{}", format.id));
        }
        let terms = match args.dry_run {
            true => vec![],
            false => license_files(&checkpoint, &stem, args.license_file.as_deref()).map_err(Fault::from)?,
        };
        outputs.push(Output { format, exporter: (format.exporter)(&options), recipe, stem, folder, targets, terms });
    }
    let mode = match (args.overwrite, args.resume) {
        (true, _) => Mode::Overwrite,
        (_, true) => Mode::Resume,
        _ => Mode::Refuse,
    };
    let page = args.html.clone().or_else(|| shared.map(|shared| shared.join("report.html")));
    if args.html.is_none() && mode == Mode::Refuse && page.as_ref().is_some_and(|p| p.exists()) && !args.dry_run {
        let fault = Fault::new(Kind::Usage, format!("{} already exists", page.unwrap_or_default().display()));
        return Err(fault.with_hint("--overwrite replaces it, --html writes the page elsewhere").into());
    }
    Ok(QuantizeJob {
        origin: model::Origin::of(&folder),
        checkpoint,
        importance,
        outputs,
        mode,
        prove: !args.no_verify,
        page: page.filter(|_| !args.no_verify),
        #[cfg(feature = "seal")]
        recipients,
        memory: usize::try_from(args.memory).unwrap_or(usize::MAX).saturating_mul(1 << 20),
    })
}

/// The importance weights of `--imatrix`.
///
/// # Errors
/// When the file cannot be read or is none.
pub fn importance(path: &Path) -> Result<Importance> {
    Importance::read(path).map_err(Fault::from).with_context(|| format!("reading {}", path.display()))
}

/// What `--to` asks for.
fn by_format(args: &QuantizeArgs) -> Result<Vec<Choice>> {
    let mut choices: Vec<Choice> = Vec::new();
    for id in &args.to {
        let format = registry::format(id)?;
        if choices.iter().any(|c| c.format.id == format.id) {
            return Err(Fault::new(Kind::Usage, format!("--to names `{id}` twice")).into());
        }
        choices.push(Choice { format, recipe: recipe(args, format)?, targets: vec![] });
    }
    Ok(choices)
}

/// What `--target` asks for: targets that want the same file share it.
fn by_target(args: &QuantizeArgs) -> Result<Vec<Choice>> {
    let mut choices: Vec<Choice> = Vec::new();
    for target in targets::named(&args.target).map_err(Fault::from)? {
        let build = target.build(&registry::format_ids()).ok_or_else(|| {
            Fault::new(Kind::Input, format!("target {}: none of its formats can be written yet", target.name))
        })?;
        let format = registry::format(build.format.id())?;
        let mut wanted = match args.bits {
            Some(8) => (format.bits)(8),
            Some(4) | None => Recipe::named(&build.recipe),
            Some(bits) => {
                let fault = Fault::new(Kind::Usage, format!("--bits {bits} with --target"));
                return Err(fault.with_hint("targets are made for 4 bits; 8 is the other choice").into());
            }
        }
        .map_err(Fault::from)?;
        for choice in &args.set {
            wanted.set(choice).map_err(Fault::from)?;
        }
        match choices.iter_mut().find(|c| c.format.id == format.id && c.recipe.name() == wanted.name()) {
            Some(choice) => choice.targets.push(target),
            None => choices.push(Choice { format, recipe: wanted, targets: vec![target] }),
        }
    }
    Ok(choices)
}

/// The recipe for one format.
fn recipe(args: &QuantizeArgs, format: &Format) -> Result<Recipe> {
    let mut recipe = match (args.bits, args.recipe.as_deref()) {
        (Some(bits), _) => (format.bits)(bits),
        (None, Some(name)) if Path::new(name).extension().is_some_and(|e| e == "toml") => {
            let text = file::read("recipe", Path::new(name))?;
            Recipe::from_toml(&text)
        }
        (None, Some(name)) => Recipe::named(name),
        (None, None) => {
            return Err(Fault::new(Kind::Usage, "say how to quantize")
                .with_hint("--bits 4 is the usual choice; or --recipe Q4_0, or --recipe BF16 to only convert")
                .into());
        }
    }
    .map_err(Fault::from)?;
    for choice in &args.set {
        recipe.set(choice).map_err(Fault::from)?;
    }
    Ok(recipe)
}

fn gguf_options(args: &GgufArgs, recipe: &str) -> Result<GgufOptions, Fault> {
    let profile = match args.profile {
        Some(ProfileArg::Convert) => Profile::Convert,
        Some(ProfileArg::Quantize) => Profile::Quantize,
        None if FLOATS.contains(&recipe) => Profile::Convert,
        None => Profile::Quantize,
    };
    let limit = match (args.split_max_tensors, &args.split_max_size) {
        (Some(0), _) => return Err(Fault::new(Kind::Usage, "--split-max-tensors 0 leaves no room for a tensor")),
        (Some(n), _) => Some(SplitLimit::Tensors(n)),
        (None, Some(text)) => Some(SplitLimit::Bytes(size::parse(text)?)),
        (None, None) => None,
    };
    if limit.is_none() && args.no_tensor_first_split {
        let fault = Fault::new(Kind::Usage, "--no-tensor-first-split without a split");
        return Err(fault.with_hint("add --split-max-size or --split-max-tensors"));
    }
    let split = limit.map(|limit| Split { limit, no_tensor_first: args.no_tensor_first_split });
    let override_kv = args.override_kv.iter().map(|text| text.parse()).collect::<Result<Vec<_>, _>>()?;
    Ok(GgufOptions { profile, split, model_name: args.model_name.clone(), override_kv })
}

fn onnx_options(args: &OnnxArgs, recipe: &Recipe) -> Result<OnnxOptions, Fault> {
    let min_ort =
        args.onnx_min_ort.parse::<MinOrt>().map_err(|why| Fault::new(Kind::Usage, format!("--onnx-min-ort: {why}")))?;
    Ok(OnnxOptions {
        float: if recipe.name().ends_with("16") { Float::F16 } else { Float::F32 },
        conv: if args.onnx_conv == OnnxConv::Fused { ConvForm::Fused } else { ConvForm::Portable },
        moe: if args.onnx_moe == OnnxMoe::Qmoe { MoeForm::Qmoe } else { MoeForm::Grouped },
        logits_to_keep: args.onnx_flavor == OnnxFlavor::TransformersJs,
        min_ort,
        ..OnnxOptions::default()
    })
}

fn tflite_options(args: &TfliteArgs) -> TfliteOptions {
    TfliteOptions {
        files: match args.tflite_files {
            TfliteFiles::Both => Files::Both,
            TfliteFiles::Tflite => Files::Tflite,
            TfliteFiles::Litertlm => Files::Litertlm,
        },
        context: args.tflite_context,
        prefill: args.tflite_prefill.clone(),
        inline_weights: args.tflite_inline_weights,
    }
}
