//! What only one format understands, each under its own heading in `--help`.

use clap::{Args, ValueEnum};

#[derive(Args, Debug, Clone)]
pub struct GgufArgs {
    /// File layout: as llama-quantize writes it, or as convert_hf_to_gguf.py does. Default: convert for the float
    /// recipes, quantize for the others.
    #[arg(long, value_enum, help_heading = "GGUF")]
    pub profile: Option<ProfileArg>,
    /// Split into files of at most this many tensors.
    #[arg(long, value_name = "N", conflicts_with = "split_max_size", help_heading = "GGUF")]
    pub split_max_tensors: Option<usize>,
    /// Split into files of at most this size, e.g. 500M or 2G (powers of 1000).
    #[arg(long, value_name = "SIZE", help_heading = "GGUF")]
    pub split_max_size: Option<String>,
    /// Leave the first file of a split without tensors.
    #[arg(long, help_heading = "GGUF")]
    pub no_tensor_first_split: bool,
    /// Set a metadata key of the file, with int, float, bool or str as type; may be repeated.
    #[arg(long = "override-kv", value_name = "KEY=TYPE:VALUE", help_heading = "GGUF")]
    pub override_kv: Vec<String>,
    /// Name to write into the file's metadata.
    #[arg(long, value_name = "NAME", help_heading = "GGUF")]
    pub model_name: Option<String>,
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProfileArg {
    Convert,
    Quantize,
}

#[derive(Args, Debug, Clone)]
pub struct OnnxArgs {
    /// Oldest ONNX Runtime that must load the file: 1.23, 1.25, 1.28 or 1.31.
    #[arg(long, value_name = "VERSION", default_value = "1.23", help_heading = "ONNX")]
    pub onnx_min_ort: String,
    /// How routed experts are spelled.
    #[arg(long, value_enum, default_value_t = OnnxMoe::Grouped, help_heading = "ONNX")]
    pub onnx_moe: OnnxMoe,
    /// How the short convolution is spelled; fused needs ONNX Runtime 1.25.
    #[arg(long, value_enum, default_value_t = OnnxConv::Portable, help_heading = "ONNX")]
    pub onnx_conv: OnnxConv,
    /// For whom: genai, or transformers.js with its input `num_logits_to_keep`.
    #[arg(long, value_enum, default_value_t = OnnxFlavor::Genai, help_heading = "ONNX")]
    pub onnx_flavor: OnnxFlavor,
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnnxMoe {
    Grouped,
    Qmoe,
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnnxConv {
    Portable,
    Fused,
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnnxFlavor {
    Genai,
    TransformersJs,
}

#[derive(Args, Debug, Clone)]
pub struct TfliteArgs {
    /// Which files to write: a `.tflite` for LiteRT, a `.litertlm` with tokenizer and chat template for LiteRT-LM.
    #[arg(long, value_enum, default_value_t = TfliteFiles::Both, help_heading = "TFLite")]
    pub tflite_files: TfliteFiles,
    /// Positions a sequence may have; the caches are made for them. Default: 4096, or what the model has.
    #[arg(long, value_name = "N", help_heading = "TFLite")]
    pub tflite_context: Option<usize>,
    /// Tokens of each prefill step. Default: 128, or 32 for a mixture of experts.
    #[arg(long, value_name = "N,...", value_delimiter = ',', help_heading = "TFLite")]
    pub tflite_prefill: Vec<usize>,
    /// Keep the weights inside the flatbuffer, for runtimes before 2.18; at most 2 GB then.
    #[arg(long, help_heading = "TFLite")]
    pub tflite_inline_weights: bool,
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum TfliteFiles {
    Both,
    Tflite,
    Litertlm,
}
