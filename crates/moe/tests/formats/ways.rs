use lfmq_core::{Activation, Executor, Exporter};
use lfmq_gguf_export::GgufExporter;
use lfmq_gguf_run::Gguf;
use lfmq_kernels::Kernels;
use lfmq_onnx_export::{MinOrt, MoeForm, OnnxExporter, OnnxOptions};
use lfmq_onnx_run::Onnx;
use lfmq_tflite_export::{Files, TfliteExporter, TfliteOptions};
use lfmq_tflite_run::Tflite;
use std::path::Path;

/// How experts lie in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// A stack of each matrix.
    Gguf,
    /// Each by itself, tokens sorted by expert.
    Grouped,
    /// Two stacks, gate and up row by row.
    Qmoe,
    /// Each by itself, in a branch.
    Tflite,
}

impl Way {
    pub const ALL: [Self; 4] = [Self::Gguf, Self::Grouped, Self::Qmoe, Self::Tflite];

    pub fn exporter(self) -> Box<dyn Exporter> {
        let onnx = OnnxOptions { name: Some("x".to_owned()), ..OnnxOptions::default() };
        match self {
            Self::Gguf => Box::new(GgufExporter::default()),
            Self::Grouped => Box::new(OnnxExporter { options: onnx }),
            Self::Qmoe => {
                let options = OnnxOptions { moe: MoeForm::Qmoe, min_ort: MinOrt::V1_28, ..onnx };
                Box::new(OnnxExporter { options })
            }
            Self::Tflite => {
                let (files, prefill) = (Files::Tflite, vec![4]);
                let options = TfliteOptions { files, prefill, context: Some(32), ..TfliteOptions::default() };
                Box::new(TfliteExporter { options })
            }
        }
    }

    /// Schemes whose grids it holds.
    pub fn schemes(self) -> &'static [&'static str] {
        match self {
            Self::Gguf => &[
                "f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "q5_0", "q5_1", "iq4_nl", "mxfp4", "q4_k", "q6_k",
                "iq4_xs",
            ],
            Self::Grouped => &["f32", "int4-g32", "int4-g32-zp", "int8-g32", "int8-row", "q4_0", "q8_0"],
            Self::Qmoe => &["int4-g32", "int8-g32", "q4_0", "q8_0"],
            Self::Tflite => &["f32", "f16", "int8-row", "int4-row", "int4-b32", "int4-b64"],
        }
    }

    /// The file `x` in `folder`.
    pub fn open(self, folder: &Path) -> Box<dyn Executor> {
        let (activation, kernels) = (Activation::F32, Kernels::best());
        match self {
            Self::Gguf => {
                let options = lfmq_gguf_run::Options { activation, kernels };
                Box::new(Gguf::open(&folder.join("x.gguf"), options).unwrap())
            }
            Self::Grouped | Self::Qmoe => {
                let options = lfmq_onnx_run::Options { activation, kernels };
                Box::new(Onnx::open(&folder.join("x.onnx"), options).unwrap())
            }
            Self::Tflite => {
                let options = lfmq_tflite_run::Options { activation, kernels };
                Box::new(Tflite::open(&folder.join("x.tflite"), options).unwrap())
            }
        }
    }
}
