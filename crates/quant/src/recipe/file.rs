use super::{Preset, Recipe, presets};
use crate::QuantError;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Name and text of the recipes that come with the program.
pub(super) static BUILT_IN: [(&str, &str); 13] = [
    ("lfm2-4bit", include_str!("../../../../configs/recipes/lfm2-4bit.toml")),
    ("onnx-fp16", include_str!("../../../../configs/recipes/onnx-fp16.toml")),
    ("onnx-fp32", include_str!("../../../../configs/recipes/onnx-fp32.toml")),
    ("onnx-q4", include_str!("../../../../configs/recipes/onnx-q4.toml")),
    ("onnx-q4f16", include_str!("../../../../configs/recipes/onnx-q4f16.toml")),
    ("onnx-q8", include_str!("../../../../configs/recipes/onnx-q8.toml")),
    ("onnx-quantized", include_str!("../../../../configs/recipes/onnx-quantized.toml")),
    ("phone-4bit", include_str!("../../../../configs/recipes/phone-4bit.toml")),
    ("tflite-fp16", include_str!("../../../../configs/recipes/tflite-fp16.toml")),
    ("tflite-fp32", include_str!("../../../../configs/recipes/tflite-fp32.toml")),
    ("tflite-q4", include_str!("../../../../configs/recipes/tflite-q4.toml")),
    ("tflite-q4-mixed", include_str!("../../../../configs/recipes/tflite-q4-mixed.toml")),
    ("tflite-q8", include_str!("../../../../configs/recipes/tflite-q8.toml")),
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: String,
    base: String,
    reason: String,
    #[serde(default)]
    set: BTreeMap<String, String>,
}

pub(super) fn read(text: &str) -> Result<Recipe, QuantError> {
    let file: File = toml::from_str(text)
        .map_err(|e| QuantError::RecipeFile { name: "file".to_owned(), why: e.to_string().trim_end().to_owned() })?;
    let named = |why: QuantError| QuantError::RecipeFile { name: format!("`{}`", file.name), why: why.to_string() };
    if file.name.is_empty() || Preset::find(&file.name).is_some() {
        let why = "a recipe needs a name of its own, not a preset's".to_owned();
        return Err(QuantError::RecipeFile { name: format!("`{}`", file.name), why });
    }
    let preset = Preset::find(&file.base).ok_or_else(|| {
        let allowed = presets::ALL.map(|p| p.name).join(" ");
        named(QuantError::UnknownPreset { found: file.base.clone(), allowed })
    })?;
    let mut recipe = Recipe::of(preset);
    for (role, scheme) in &file.set {
        recipe.put(role, scheme, false).map_err(named)?;
    }
    (recipe.name, recipe.reason) = (file.name.clone(), Some(file.reason));
    Ok(recipe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_files_read_and_are_called_as_listed() {
        for (name, text) in BUILT_IN {
            let recipe = read(text).unwrap();
            assert_eq!(recipe.name(), name);
            assert!(recipe.reason().is_some_and(|r| r.len() > 20));
        }
    }

    #[test]
    fn mistakes_are_named() {
        let head = "name = \"x\"\nreason = \"r\"\n";
        for (text, part) in [
            ("base = 'Q4_0'\nbits = 4", "bits"),
            ("base = 'Q4_9'", "Q4_K_M"),
            ("base = 'Q4_0'\n[set]\nrouter = 'q8_0'", "attn_v"),
            ("base = 'Q4_0'\n[set]\nattn_v = 'q9'", "q8_0"),
        ] {
            let why = read(&format!("{head}{text}")).unwrap_err().to_string();
            assert!(why.contains(part), "{why}");
        }
        assert!(read("name = 'Q4_0'\nbase = 'Q4_0'\nreason = ''").is_err());
    }
}
