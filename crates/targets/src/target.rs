use crate::{Gates, TargetError};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A device, or a class of devices, and what an artifact for it has to be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// Its name in lower case with hyphens, e.g. `android-arm64`.
    pub name: String,
    /// What it stands for, in a sentence.
    pub about: String,
    /// Operating system or host, e.g. `android`.
    pub os: String,
    /// Instruction set.
    pub arch: Arch,
    /// What to build, the best first.
    #[serde(rename = "build")]
    pub builds: Vec<Build>,
    /// The instructions it can be expected to have.
    pub isa: Isa,
    /// What an artifact may take.
    pub budget: Budget,
    /// What an artifact must keep of its checkpoint.
    pub gates: Gates,
    /// Where continuous integration builds for it.
    pub ci: Ci,
}

/// An instruction set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, non_camel_case_types, reason = "the names say it")]
pub enum Arch {
    X86_64,
    Aarch64,
    Wasm32,
}

/// An artifact format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the names say it")]
pub enum Format {
    Gguf,
    Onnx,
    Tflite,
    Mlx,
}

impl Format {
    /// As typed after `--to`.
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Self::Gguf => "gguf",
            Self::Onnx => "onnx",
            Self::Tflite => "tflite",
            Self::Mlx => "mlx",
        }
    }
}

/// What a runtime does with activations in front of a quantized matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Arithmetic {
    /// Nothing: they stay in float.
    Float,
    /// int8 in blocks of 32 with an f16 scale (ggml, for the legacy types).
    Q8_0Blocks,
    /// int8 in blocks of 256 with an f32 scale (ggml, for the K-quants).
    Q8KBlocks,
    /// int8 in blocks of the weight's block size (MLAS, `accuracy_level` 4).
    MlasBlocks,
    /// int8 with scale and zero point by row (XNNPACK, `DynamicQuantizeMatMul`).
    Int8Rows,
}

/// One way to serve the target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Build {
    /// File format.
    pub format: Format,
    /// Recipe, as typed after `--recipe`.
    pub recipe: String,
    /// What will run the file.
    pub runtime: String,
    /// The oldest version of it that runs every model of the family.
    pub runtime_min: String,
    /// Its arithmetic for these weights.
    pub activations: Arithmetic,
    /// Why this format and these types.
    pub reason: String,
}

/// A kernel rung; the names of `lfmq doctor`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the names say it")]
pub enum Rung {
    Scalar,
    Avx2,
    Avx512,
    Avx512Vnni,
    Neon,
    NeonDotprod,
    NeonI8mm,
    WasmSimd,
    WasmRelaxedSimd,
}

impl fmt::Display for Rung {
    /// As `lfmq doctor` names it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scalar => "scalar",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
            Self::Avx512Vnni => "avx512-vnni",
            Self::Neon => "neon",
            Self::NeonDotprod => "neon-dotprod",
            Self::NeonI8mm => "neon-i8mm",
            Self::WasmSimd => "wasm-simd",
            Self::WasmRelaxedSimd => "wasm-relaxed-simd",
        })
    }
}

impl Rung {
    /// Whether machines of `arch` have it.
    #[must_use]
    pub fn is_of(self, arch: Arch) -> bool {
        match arch {
            Arch::X86_64 => self <= Self::Avx512Vnni,
            Arch::Aarch64 => self == Self::Scalar || (Self::Neon..=Self::NeonI8mm).contains(&self),
            Arch::Wasm32 => self == Self::Scalar || self >= Self::WasmSimd,
        }
    }
}

/// Instructions of the device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Isa {
    /// What every device of the class has.
    pub minimum: Rung,
    /// What the devices in mind have.
    pub expected: Rung,
    /// Why.
    pub reason: String,
}

/// What an artifact may take. Times hold on the device, not on the machine that builds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// Memory for weights, caches and scratch, MiB.
    pub ram_mib: f64,
    /// Files of the artifact, MiB.
    pub storage_mib: f64,
    /// Positions the caches are sized for.
    pub context: usize,
    /// Time to the first token of a prompt of 512 tokens, ms.
    pub first_token_ms: f64,
    /// Mean time of a decoded token, ms.
    pub decode_ms: f64,
    /// Why.
    pub reason: String,
}

/// Machines for continuous integration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ci {
    /// Label of a GitHub runner.
    pub github: String,
    /// Tag of a GitLab runner.
    pub gitlab: String,
    /// Whether that machine is the device, so that its times may be judged.
    #[serde(default)]
    pub is_device: bool,
    /// Why.
    pub reason: String,
}

impl Target {
    /// Reads a target from TOML; `name` is for messages.
    ///
    /// # Errors
    /// Unknown or missing keys, and values that make no sense.
    pub fn parse(name: &str, text: &str) -> Result<Self, TargetError> {
        let malformed = |why: String| TargetError::Malformed { name: format!("`{name}`"), why };
        let target: Self = toml::from_str(text).map_err(|e| malformed(e.to_string().trim_end().to_owned()))?;
        target.check().map_err(malformed)?;
        Ok(target)
    }

    fn check(&self) -> Result<(), String> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if self.name.is_empty() || !self.name.chars().all(plain) {
            return Err(format!("name `{}` is not lower-case letters, digits and hyphens", self.name));
        }
        if self.builds.is_empty() {
            return Err("there is no [[build]]".into());
        }
        self.check_reasons()?;
        for (key, rung) in [("minimum", self.isa.minimum), ("expected", self.isa.expected)] {
            if !rung.is_of(self.arch) {
                return Err(format!("isa.{key} {rung:?} is not a rung of {:?}", self.arch));
            }
        }
        if self.isa.minimum > self.isa.expected {
            return Err("isa.minimum is above isa.expected".into());
        }
        let b = &self.budget;
        let numbers = [
            ("ram_mib", b.ram_mib),
            ("storage_mib", b.storage_mib),
            ("context", b.context as f64),
            ("first_token_ms", b.first_token_ms),
            ("decode_ms", b.decode_ms),
        ];
        let bad = numbers.iter().find(|(_, v)| !v.is_finite() || *v <= 0.0);
        if let Some((key, value)) = bad {
            return Err(format!("budget.{key} is {value}; it must be above 0"));
        }
        self.gates.check()
    }

    /// Every choice says why, in a sentence rather than a word.
    fn check_reasons(&self) -> Result<(), String> {
        let builds = self.builds.iter().enumerate().flat_map(|(i, b)| {
            [
                (format!("build {}: reason", i + 1), b.reason.as_str(), 20),
                (format!("build {}: recipe", i + 1), b.recipe.as_str(), 1),
                (format!("build {}: runtime", i + 1), b.runtime.as_str(), 1),
                (format!("build {}: runtime_min", i + 1), b.runtime_min.as_str(), 1),
            ]
        });
        let others = [
            ("about", self.about.as_str(), 20),
            ("os", &self.os, 1),
            ("isa.reason", &self.isa.reason, 20),
            ("budget.reason", &self.budget.reason, 20),
            ("gates.reason", &self.gates.reason, 20),
            ("ci.reason", &self.ci.reason, 20),
            ("ci.github", &self.ci.github, 1),
            ("ci.gitlab", &self.ci.gitlab, 1),
        ];
        let all = builds.chain(others.map(|(key, text, least)| (key.to_owned(), text, least)));
        let mut short = all.filter(|(_, text, least)| text.trim().chars().count() < *least);
        short.next().map_or(Ok(()), |(key, _, least)| Err(format!("{key} is shorter than {least} characters")))
    }

    /// The best build in one of `formats`, those that can be written today.
    #[must_use]
    pub fn build(&self, formats: &[&str]) -> Option<&Build> {
        self.builds.iter().find(|b| formats.contains(&b.format.id()))
    }

    /// Why an artifact of `bytes` does not fit the device; `None` if it does. Caches and scratch come on top of the
    /// weights, so an artifact that alone fills the memory is too large already.
    #[must_use]
    pub fn too_large(&self, bytes: u64) -> Option<String> {
        let mib = bytes as f64 / f64::from(1 << 20);
        let Budget { ram_mib, storage_mib, .. } = self.budget;
        if mib > storage_mib {
            Some(format!("{mib:.1} MiB are more than the {storage_mib} MiB of storage that {} grants", self.name))
        } else if mib > ram_mib {
            Some(format!("{mib:.1} MiB of weights are more than the {ram_mib} MiB of memory that {} grants", self.name))
        } else {
            None
        }
    }

    /// The target's limits as a gates file (TOML) for `lfmq verify --gate`. Times and memory are judged only where the
    /// machine that measures is the device.
    #[must_use]
    pub fn gate_file(&self, on_device: bool) -> String {
        let mut text = format!("# {}: {}\n[all]\nweights = \"replay\"\n", self.name, self.about.replace('\n', " "));
        let limits = self.gates.limits();
        let budget = [
            ("decode_ms_max", Some(self.budget.decode_ms)),
            ("first_token_ms_max", Some(self.budget.first_token_ms)),
            ("peak_mib_max", Some(self.budget.ram_mib)),
        ];
        let judged = limits.into_iter().chain(budget.into_iter().filter(|_| on_device));
        for (key, limit) in judged.filter_map(|(key, limit)| Some((key, limit?))) {
            // TOML tells floats from integers; `{:?}` always writes a point or an exponent.
            text += &format!("{key} = {limit:?}\n");
        }
        text
    }
}
