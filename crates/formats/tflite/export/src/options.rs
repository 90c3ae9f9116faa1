use crate::TfliteExportError;
use lfmq_core::ModelSpec;

/// Which files are written. The model inside a bundle is, byte for byte, the one beside it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Files {
    /// `.tflite` for LiteRT and `.litertlm` for LiteRT-LM.
    #[default]
    Both,
    /// `.tflite` only, with the tokenizer's files beside it.
    Tflite,
    /// `.litertlm` only.
    Litertlm,
}

/// How a model is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TfliteOptions {
    /// Which files.
    pub files: Files,
    /// Positions a sequence may have; the caches are of this size. `None`: 4096, or fewer if the model has fewer.
    pub context: Option<usize>,
    /// Tokens of each prefill signature. Empty: 128, or 32 for a mixture of experts.
    pub prefill: Vec<usize>,
    /// Keeps the weights inside the flatbuffer, for runtimes before 2.18; at most 2 GB then.
    pub inline_weights: bool,
}

/// Positions of a sequence unless asked for otherwise: what the community's files have and phones hold.
const CONTEXT: usize = 4096;
/// Tokens of a prefill step. A second size would make the plain interpreter keep a second packed copy of all weights.
const CHUNK: usize = 128;
/// The same for a mixture: nearly every expert is hit anyway, and each of them computes the whole step.
const MIXTURE_CHUNK: usize = 32;
/// Steps beyond this are a typing error, and their masks would not fit anywhere.
const LONGEST_CHUNK: usize = 4096;

impl TfliteOptions {
    /// Positions for a model of `spec`.
    pub(crate) fn context(&self, spec: &ModelSpec) -> usize {
        self.context.unwrap_or(CONTEXT.min(spec.max_positions.max(1)))
    }

    /// Prefill steps for a model of `spec`, in ascending order.
    pub(crate) fn chunks(&self, spec: &ModelSpec) -> Vec<usize> {
        if !self.prefill.is_empty() {
            let mut chunks = self.prefill.clone();
            chunks.sort_unstable();
            return chunks;
        }
        let usual = if spec.moe.is_some() { MIXTURE_CHUNK } else { CHUNK };
        vec![usual.min(self.context(spec))]
    }

    /// Positions of the caches. A step that is not full writes all its rows all the same; without room for them behind
    /// the last position they would be moved onto valid ones.
    pub(crate) fn room(&self, spec: &ModelSpec) -> usize {
        self.context(spec) + self.chunks(spec).last().copied().unwrap_or_default()
    }

    /// Refuses numbers that make no model.
    pub(crate) fn check(&self, spec: &ModelSpec) -> Result<(), TfliteExportError> {
        let refuse = |what: String, needs: String| Err(TfliteExportError::Options { what, needs });
        let (context, chunks) = (self.context(spec), self.chunks(spec));
        if context == 0 || context > spec.max_positions.max(1) {
            return refuse(format!("a context of {context}"), format!("1 to {} positions", spec.max_positions));
        }
        if let Some(bad) = chunks.iter().find(|n| **n == 0 || **n > context.min(LONGEST_CHUNK)) {
            return refuse(format!("a prefill step of {bad}"), format!("1 to {} tokens", context.min(LONGEST_CHUNK)));
        }
        match chunks.windows(2).find(|pair| pair.first() == pair.last()) {
            Some(pair) => refuse(format!("the prefill steps {pair:?}"), "sizes that differ".to_owned()),
            None => Ok(()),
        }
    }
}
