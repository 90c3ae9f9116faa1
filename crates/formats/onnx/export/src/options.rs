use crate::OnnxExportError;
use std::str::FromStr;

/// Type of activations, caches and float weights in the graph. Logits are always f32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Float {
    /// binary32
    #[default]
    F32,
    /// binary16
    F16,
}

/// Arithmetic asked of 4-bit matrices; 8-bit ones always take int8, being unusably slow without.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Accuracy {
    /// `accuracy_level` 0: activations stay as they are.
    Float,
    /// `accuracy_level` 4: activations become int8 in blocks.
    #[default]
    Int8,
}

/// How the short convolution is spelled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ConvForm {
    /// Concat, Conv, Slice: runs everywhere.
    #[default]
    Portable,
    /// `CausalConvWithState`, from ONNX Runtime 1.25.
    Fused,
}

/// Columns of a convolution's state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ConvState {
    /// `taps - 1`, all that is needed.
    #[default]
    Narrow,
    /// `taps`, as transformers.js before 4.2 wants it; only with [`ConvForm::Portable`].
    Wide,
}

/// How routed experts are spelled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MoeForm {
    /// Tokens sorted by expert, one feed-forward an expert: exact and fast everywhere.
    #[default]
    Grouped,
    /// One `QMoE` node, from ONNX Runtime 1.25; only symmetric grids.
    Qmoe,
}

/// The oldest ONNX Runtime a file must load in; it decides which operators and attributes may appear.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the versions say it")]
pub enum MinOrt {
    #[default]
    V1_23,
    V1_25,
    V1_28,
    V1_31,
}

impl MinOrt {
    /// As typed, e.g. `1.23`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::V1_23 => "1.23",
            Self::V1_25 => "1.25",
            Self::V1_28 => "1.28",
            Self::V1_31 => "1.31",
        }
    }
}

impl FromStr for MinOrt {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let all = [Self::V1_23, Self::V1_25, Self::V1_28, Self::V1_31];
        all.into_iter()
            .find(|v| v.word() == text)
            .ok_or_else(|| format!("`{text}` is not one of {}", all.map(Self::word).join(", ")))
    }
}

/// How a model is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnnxOptions {
    /// Path of the graph in its folder without the extension: `x/model` makes `x/model.onnx` and
    /// `x/model.onnx_data`. `None`: where transformers.js looks for it, e.g. `onnx/model_q4`.
    pub name: Option<String>,
    /// Type of the activations.
    pub float: Float,
    /// Arithmetic of 4-bit matrices.
    pub accuracy: Accuracy,
    /// The short convolution.
    pub conv: ConvForm,
    /// Its state.
    pub conv_state: ConvState,
    /// The experts.
    pub moe: MoeForm,
    /// The oldest runtime.
    pub min_ort: MinOrt,
    /// Most bytes of one data file; browsers hold no buffer of 2 GB.
    pub chunk: u64,
    /// Adds the input `num_logits_to_keep`, which transformers.js feeds and others do not.
    pub logits_to_keep: bool,
}

impl Default for OnnxOptions {
    fn default() -> Self {
        Self {
            name: None,
            float: Float::default(),
            accuracy: Accuracy::default(),
            conv: ConvForm::default(),
            conv_state: ConvState::default(),
            moe: MoeForm::default(),
            min_ort: MinOrt::default(),
            chunk: 2_000_000_000,
            logits_to_keep: false,
        }
    }
}

impl OnnxOptions {
    /// Columns of the state of a convolution of `taps` taps.
    pub(crate) fn conv_columns(&self, taps: usize) -> usize {
        match self.conv_state {
            ConvState::Narrow => taps.saturating_sub(1),
            ConvState::Wide => taps,
        }
    }

    /// Path of the graph without its extension.
    fn stem(&self) -> &str {
        self.name.as_deref().unwrap_or("model")
    }

    /// Path of the graph's file.
    pub(crate) fn graph_file(&self) -> String {
        format!("{}.onnx", self.stem())
    }

    /// Path of data file `n`, named as transformers.js looks for it.
    pub(crate) fn data_file(&self, n: usize) -> String {
        match n {
            0 => format!("{}.onnx_data", self.stem()),
            _ => format!("{}.onnx_data_{n}", self.stem()),
        }
    }

    /// Refuses what excludes each other.
    pub(crate) fn check(&self) -> Result<(), OnnxExportError> {
        let since = |what: &str, version: MinOrt| match self.min_ort >= version {
            true => Ok(()),
            false => refuse(what, &format!("onnxruntime {}, not {}", version.word(), self.min_ort.word())),
        };
        let stem = self.stem();
        if stem.contains('\\') || stem.split('/').any(|part| part.is_empty() || part == "." || part == "..") {
            return refuse(&format!("the name `{stem}`"), "to be a path inside the folder");
        }
        if self.conv == ConvForm::Fused {
            since("the fused convolution", MinOrt::V1_25)?;
            if self.conv_state == ConvState::Wide {
                return refuse("the fused convolution", "the narrow state");
            }
        }
        if self.moe == MoeForm::Qmoe {
            since("QMoE", MinOrt::V1_25)?;
        }
        Ok(())
    }
}

fn refuse(what: &str, needs: &str) -> Result<(), OnnxExportError> {
    Err(OnnxExportError::Options { what: what.to_owned(), needs: needs.to_owned() })
}
