//! The small files that the runtimes read beside the graph.

use crate::options::{Float, OnnxOptions};
use crate::{OnnxExportError, flavour};
use lfmq_core::{ExportJob, Mixer, ModelSpec};
use serde_json::{Map, Value as Json, json};

/// Files that are copied as they are, if the checkpoint has them.
const COPIED: [&str; 6] = [
    "chat_template.jinja",
    "chat_template.json",
    "generation_config.json",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
];

/// Name and content of every companion; `chunks` data files of `dtype` lie beside the graph.
pub(crate) fn all(
    job: &ExportJob<'_>,
    options: &OnnxOptions,
    dtype: &str,
    chunks: usize,
) -> Result<Vec<(String, Vec<u8>)>, OnnxExportError> {
    let mut files = vec![
        ("config.json".to_owned(), pretty(&config(job, options, dtype, chunks)?)),
        ("genai_config.json".to_owned(), pretty(&genai(job.source.spec(), options))),
    ];
    let copied = COPIED.iter().filter_map(|name| Some(((*name).to_owned(), job.source.sidecar(name)?.to_vec())));
    files.extend(copied);
    Ok(files)
}

fn pretty(value: &Json) -> Vec<u8> {
    format!("{value:#}\n").into_bytes()
}

fn layer_types(spec: &ModelSpec) -> Vec<&'static str> {
    let word = |mixer| match mixer {
        Mixer::Conv => "conv",
        Mixer::Attention => "full_attention",
    };
    spec.layers.iter().map(|l| word(l.mixer)).collect()
}

/// The checkpoint's configuration with what transformers.js looks for.
fn config(job: &ExportJob<'_>, options: &OnnxOptions, dtype: &str, chunks: usize) -> Result<Json, OnnxExportError> {
    const FILE: &str = "config.json";
    let refuse = |why: String| OnnxExportError::Sidecar { file: FILE, why };
    let mut config: Map<String, Json> = match job.source.sidecar(FILE) {
        Some(bytes) => serde_json::from_slice(bytes).map_err(|e| refuse(e.to_string()))?,
        None => Map::new(),
    };
    config.insert("layer_types".to_owned(), json!(layer_types(job.source.spec())));
    let graph = options.graph_file();
    let mut web = json!({ "dtype": dtype, "use_external_data_format": { flavour::file_name(&graph): chunks } });
    if let (Float::F16, Some(web)) = (options.float, web.as_object_mut()) {
        web.insert("kv_cache_dtype".to_owned(), json!({ dtype: "float16" }));
    }
    config.insert("transformers.js_config".to_owned(), web);
    Ok(Json::Object(config))
}

/// What onnxruntime-genai reads; the names of caches are those of the graph.
fn genai(spec: &ModelSpec, options: &OnnxOptions) -> Json {
    let eos = match spec.tokens.eos.as_slice() {
        [one] => json!(one),
        all => json!(all),
    };
    let kind = if spec.moe.is_some() { "lfm2_moe" } else { "lfm2" };
    json!({
        "model": {
            "type": kind,
            "bos_token_id": spec.tokens.bos,
            "eos_token_id": eos,
            "pad_token_id": spec.tokens.pad.or(spec.tokens.eos.first().copied()),
            "vocab_size": spec.vocab,
            "context_length": spec.max_positions,
            "decoder": {
                "session_options": { "log_id": "onnxruntime-genai", "provider_options": [] },
                "filename": options.graph_file(),
                "head_size": spec.head_dim,
                "hidden_size": spec.hidden,
                "num_attention_heads": spec.heads,
                "num_key_value_heads": spec.kv_heads,
                "num_hidden_layers": spec.layers.len(),
                "layer_types": layer_types(spec),
                "conv_cache_size": options.conv_columns(spec.conv_taps),
                "inputs": {
                    "input_ids": "input_ids",
                    "attention_mask": "attention_mask",
                    "past_key_names": "past_key_values.%d.key",
                    "past_value_names": "past_key_values.%d.value",
                    "past_conv_names": "past_conv.%d",
                },
                "outputs": {
                    "logits": "logits",
                    "present_key_names": "present.%d.key",
                    "present_value_names": "present.%d.value",
                    "present_conv_names": "present_conv.%d",
                },
            },
        },
        "search": {
            "do_sample": false,
            "max_length": spec.max_positions,
            "min_length": 0,
            "num_beams": 1,
            "num_return_sequences": 1,
            "past_present_share_buffer": true,
            "repetition_penalty": 1.0,
            "temperature": 1.0,
            "top_k": 1,
            "top_p": 1.0,
        },
    })
}
