//! Which golden file is made how.

use lfmq_gguf_export::{GgufOptions, Profile, Split, SplitLimit};
use lfmq_gguf_wire::{Container, Tensor};
use lfmq_testkit::kit::{self, Kind};

/// One run of the exporter.
#[derive(Clone)]
pub struct Case {
    /// The golden without shard number, e.g. `conv/dense-bf16.gguf`.
    pub path: String,
    /// The checkpoint.
    pub kind: Kind,
    /// Name of the preset.
    pub recipe: &'static str,
    /// How it is written.
    pub options: GgufOptions,
    /// Overrides by role.
    pub set: &'static [&'static str],
    /// Whether importance weights are used, and a part of the names of those kept or left out.
    pub weighted: Weighted,
    /// Shards the outsider wrote; 1 for a whole file.
    pub shards: usize,
}

/// Which importance weights are used.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Weighted {
    No,
    All,
    /// Those whose name holds this.
    Only(&'static str),
    /// Those whose name does not hold this.
    Without(&'static str),
}

impl Case {
    /// The importance file, as the outsider's run was given it.
    pub fn importance_path(&self) -> String {
        let moe = self.kind != Kind::Dense && self.kind != Kind::Nasty;
        format!("im/{}.gguf", if moe { "moe" } else { "dense" })
    }

    /// The importance weights in use, as a file.
    pub fn importance(&self) -> Option<Vec<u8>> {
        let moe = self.importance_path().contains("moe");
        let all = || kit::importance(if moe { Kind::Moe } else { Kind::Dense });
        match self.weighted {
            Weighted::No => None,
            Weighted::All => Some(all()),
            Weighted::Only(part) => Some(filtered(&all(), &|name| name.contains(part))),
            Weighted::Without(part) => Some(filtered(&all(), &|name| !name.contains(part))),
        }
    }

    /// The goldens it makes.
    pub fn paths(&self) -> Vec<String> {
        match self.shards {
            1 => vec![self.path.clone()],
            n => (1..=n).map(|i| self.path.replace(".gguf", &format!("-{i:05}-of-{n:05}.gguf"))).collect(),
        }
    }
}

fn case(path: String, kind: Kind, recipe: &'static str) -> Case {
    let options = GgufOptions::default();
    Case { path, kind, recipe, options, set: &[], weighted: Weighted::No, shards: 1 }
}

fn convert(path: String, kind: Kind, recipe: &'static str) -> Case {
    let options = GgufOptions { profile: Profile::Convert, ..GgufOptions::default() };
    Case { options, ..case(path, kind, recipe) }
}

pub fn converter() -> Vec<Case> {
    let mut all = Vec::new();
    let mut put = |kind: Kind, recipe: &'static str| {
        all.push(convert(format!("conv/{}-{}.gguf", kind.word(), recipe.to_lowercase()), kind, recipe));
    };
    for kind in [Kind::Dense, Kind::Moe, Kind::Untied] {
        ["F32", "F16", "BF16", "Q8_0"].into_iter().for_each(|recipe| put(kind, recipe));
    }
    for (kind, recipe) in [(Kind::Shards, "BF16"), (Kind::Moe8, "BF16"), (Kind::Nasty, "F32"), (Kind::NastyMoe, "F32")]
    {
        put(kind, recipe);
    }
    let mut named = convert("conv/dense-named.gguf".to_owned(), Kind::Dense, "BF16");
    named.options.model_name = Some("My Model".to_owned());
    all.push(named);
    all
}

pub fn split() -> Vec<Case> {
    let tensors = SplitLimit::Tensors(50);
    let of = |name: &str, limit, no_tensor_first, shards| {
        let mut case = convert(format!("split/{name}.gguf"), Kind::Moe, "BF16");
        case.options.split = Some(Split { limit, no_tensor_first });
        Case { shards, ..case }
    };
    vec![
        of("tmp", tensors, false, 3),
        of("size", SplitLimit::Bytes(12_000_000), false, 3),
        of("first", tensors, true, 4),
    ]
}

/// The presets, coarse to fine. `Q2_K_S` is refused without full importance weights.
pub const PRESETS: [&str; 22] = [
    "F32",
    "F16",
    "BF16",
    "Q8_0",
    "Q4_0",
    "Q4_1",
    "Q5_0",
    "Q5_1",
    "Q2_K",
    "Q3_K_S",
    "Q3_K_M",
    "Q3_K_L",
    "Q4_K_S",
    "Q4_K_M",
    "Q5_K_S",
    "Q5_K_M",
    "Q6_K",
    "IQ4_NL",
    "IQ4_XS",
    "MXFP4_MOE",
    "TQ1_0",
    "TQ2_0",
];

/// All presets of one checkpoint.
pub fn quantizer(kind: Kind) -> Vec<Case> {
    let word = kind.word();
    let float = |preset: &str| matches!(preset, "F32" | "F16" | "BF16");
    let plain = PRESETS.iter().map(|preset| case(format!("quant/{word}-{preset}.gguf"), kind, preset));
    let weighted = PRESETS
        .iter()
        .filter(|preset| kind != Kind::Untied && !float(preset))
        .map(|preset| Case { weighted: Weighted::All, ..case(format!("quant/{word}-{preset}.im.gguf"), kind, preset) });
    let own = if matches!(kind, Kind::Nasty | Kind::NastyMoe) { "F32" } else { "BF16" };
    // A copy keeps the type of the source.
    let copy = case(format!("quant/{word}-COPY.gguf"), kind, own);
    plain.chain(weighted).chain([copy]).collect()
}

/// Runs with options. See [`NOT_OURS`] for the others.
pub fn options() -> Vec<Case> {
    let of = |name: &str, recipe, set| Case { set, ..case(format!("opt/{name}.gguf"), Kind::Dense, recipe) };
    let every_role: &[&str] = &[
        "embedding=q4_k",
        "conv_in=q4_k",
        "conv_out=q4_k",
        "attn_q=q4_k",
        "attn_k=q4_k",
        "attn_v=q4_k",
        "attn_out=q4_k",
        "ffn_gate=q4_k",
        "ffn_up=q4_k",
        "ffn_down=q4_k",
    ];
    let mut all = vec![
        of("pure", "Q4_K_M", every_role),
        // There is no separate head to leave out of a tied model.
        of("leave", "Q4_K_M", &[]),
        Case { kind: Kind::Untied, ..of("leave-untied", "Q4_K_M", &["head=bf16"]) },
        of("out8", "Q4_K_M", &["embedding=q8_0"]),
        of("embd8", "Q4_K_M", &["embedding=q8_0"]),
        of("both", "Q4_K_M", &["embedding=q4_0"]),
        // The outsider ignores types by name in float presets.
        of("tt-f16", "F16", &[]),
        Case { kind: Kind::Moe, ..of("tt-moe", "Q4_K_M", &["attn_v=q8_0", "conv_in=q6_k", "conv_out=q6_k"]) },
        Case { weighted: Weighted::Only("ffn_down"), ..of("inc", "Q4_0", &[]) },
        Case { weighted: Weighted::Without("ffn_down"), ..of("exc", "Q4_0", &[]) },
    ];
    all.extend(
        ["Q4_K_M", "Q3_K_M", "IQ4_XS"]
            .map(|recipe| Case { kind: Kind::Moe8, ..of(&format!("moe8-{recipe}"), recipe, &[]) }),
    );
    let mut kv = of("kv", "Q4_0", &[]);
    kv.options.override_kv =
        ["lfm2.context_length=int:4096", "general.name=str:x"].map(|text| text.parse().unwrap()).to_vec();
    all.push(kv);
    all
}

/// Goldens that are deliberately not reproduced, and why.
pub const NOT_OURS: [(&str, &str); 6] = [
    ("opt/tt-down0.gguf", "a type for one layer's ffn_down shifts the promotions of all later layers (a counter)"),
    ("opt/keep-00001-of-00003.gguf", "quantizing shard by shard counts layers in the order of names"),
    ("opt/keep-00002-of-00003.gguf", "the same"),
    ("opt/keep-00003-of-00003.gguf", "the same"),
    ("opt/prune.gguf", "the file is broken: 10 layers beside 12 entries of head_count_kv"),
    ("opt/requant.gguf", "quantized files are no input of ours"),
];

pub fn all() -> Vec<Case> {
    let kinds = [Kind::Dense, Kind::Moe, Kind::Untied, Kind::Nasty, Kind::NastyMoe];
    [converter(), split(), options()].into_iter().flatten().chain(kinds.into_iter().flat_map(quantizer)).collect()
}

/// An importance file with the entries whose weight's name is `wanted`.
fn filtered(file: &[u8], wanted: &dyn Fn(&str) -> bool) -> Vec<u8> {
    let container = Container::parse(file).unwrap();
    let weight = |t: &Tensor| t.name().trim_end_matches(".in_sum2").trim_end_matches(".counts").to_owned();
    let kept: Vec<_> = container.tensors().iter().filter(|t| wanted(&weight(t))).collect();
    let text = |out: &mut Vec<u8>, text: &str| {
        out.extend((text.len() as u64).to_le_bytes());
        out.extend(text.as_bytes());
    };
    // The keys stay as they are: they end where the first tensor's info begins.
    let mut first = Vec::new();
    text(&mut first, container.tensors()[0].name());
    let keys = file.windows(first.len()).position(|w| w == first).unwrap();
    let mut out = [&file[..8], &(kept.len() as u64).to_le_bytes(), &file[16..keys]].concat();
    let mut data = Vec::new();
    for tensor in kept {
        text(&mut out, tensor.name());
        out.extend((tensor.dims().len() as u32).to_le_bytes());
        tensor.dims().iter().for_each(|n| out.extend(n.to_le_bytes()));
        out.extend(tensor.ty().id().to_le_bytes());
        out.extend((data.len() as u64).to_le_bytes());
        data.extend(tensor.data());
        data.resize(data.len().next_multiple_of(32), 0);
    }
    out.resize(out.len().next_multiple_of(32), 0);
    out.extend(data);
    out
}
