//! What `lfmq quantize …` means: checkpoint opened, recipe and importance read, formats and output chosen.

use super::{model, size};
use crate::args::{ProfileArg, QuantizeArgs};
use crate::registry::{self, Format};
use anyhow::{Context, Result};
use lfmq_artifact::Mode;
use lfmq_checkpoint::Checkpoint;
use lfmq_core::{Exporter, Fault, Kind, TensorSource};
use lfmq_gguf_export::{GgufOptions, Profile, Split, SplitLimit};
use lfmq_quant::{Importance, Recipe};
use std::path::{Path, PathBuf};

/// Everything decided before a weight is read.
pub struct QuantizeJob {
    pub checkpoint: Checkpoint,
    pub recipe: Recipe,
    pub importance: Option<Importance>,
    pub outputs: Vec<(&'static Format, Box<dyn Exporter>)>,
    /// File names without extension.
    pub stem: String,
    pub out: PathBuf,
    pub mode: Mode,
    pub license_file: Option<PathBuf>,
    /// Bytes of weights in flight.
    pub memory: usize,
}

/// Presets that only change the float type: the converter's own output.
const FLOATS: [&str; 3] = ["F32", "F16", "BF16"];

/// Resolves what was typed.
///
/// # Errors
/// Any part that does not exist, is malformed or contradicts another.
pub fn prepare(args: &QuantizeArgs) -> Result<QuantizeJob> {
    let recipe = recipe(args)?;
    let model = model::resolve(&args.model)?;
    let checkpoint = Checkpoint::open(&model).map_err(Fault::from)?;
    let importance = match &args.imatrix {
        Some(path) => {
            Some(Importance::read(path).map_err(Fault::from).with_context(|| format!("reading {}", path.display()))?)
        }
        None => None,
    };
    let options = gguf_options(args, recipe.name())?;
    let mut outputs = Vec::new();
    for id in &args.to {
        let format = registry::format(id)?;
        if outputs.iter().any(|(f, _): &(&Format, _)| f.id == format.id) {
            return Err(Fault::new(Kind::Usage, format!("--to names `{id}` twice")).into());
        }
        outputs.push((format, (format.exporter)(options.clone())));
    }
    let changed = if args.set.is_empty() { "" } else { "-mixed" };
    let stem = format!("{}-{}{changed}", checkpoint.name(), recipe.name());
    let out = args.out.clone().unwrap_or_else(|| PathBuf::from(&stem));
    let mode = match (args.overwrite, args.resume) {
        (true, _) => Mode::Overwrite,
        (_, true) => Mode::Resume,
        _ => Mode::Refuse,
    };
    Ok(QuantizeJob {
        checkpoint,
        recipe,
        importance,
        outputs,
        stem,
        out,
        mode,
        license_file: args.license_file.clone(),
        memory: usize::try_from(args.memory).unwrap_or(usize::MAX).saturating_mul(1 << 20),
    })
}

fn recipe(args: &QuantizeArgs) -> Result<Recipe> {
    let mut recipe = match (args.bits, args.recipe.as_deref()) {
        (Some(bits), _) => Recipe::bits(bits),
        (None, Some(name)) if Path::new(name).extension().is_some_and(|e| e == "toml") => {
            let text = std::fs::read_to_string(name)
                .map_err(|e| Fault::new(Kind::Input, format!("cannot read recipe {name}: {e}")))?;
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

fn gguf_options(args: &QuantizeArgs, recipe: &str) -> Result<GgufOptions, Fault> {
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
