//! The `general.*` keys: what the model card, the generation settings, the configuration and the name of the
//! folder say about a model.

use crate::GgufExportError;
use crate::identity::{Identity, title};
use crate::kv::{Kvs, Value};
use crate::sidecar::{json, text};
use crate::sizes::size_label;
use crate::yaml::{self, Yaml};
use lfmq_core::{TensorRole, TensorSource};
use serde_json::Value as Json;

/// Keys of a generation configuration, the kind of their value, and what they are called here.
const SAMPLING: [(&[&str], char, &str); 12] = [
    (&["sequence"], 's', "sequence"),
    (&["top_k"], 'i', "top_k"),
    (&["top_p"], 'f', "top_p"),
    (&["min_p"], 'f', "min_p"),
    (&["xtc_probability"], 'f', "xtc_probability"),
    (&["xtc_threshold"], 'f', "xtc_threshold"),
    (&["temperature"], 'f', "temp"),
    (&["penalty_last_n"], 'i', "penalty_last_n"),
    (&["penalty_repeat", "repetition_penalty"], 'f', "penalty_repeat"),
    (&["mirostat"], 'i', "mirostat"),
    (&["mirostat_tau"], 'f', "mirostat_tau"),
    (&["mirostat_eta"], 'f', "mirostat_eta"),
];

/// Keys of a card that become one string: the key here, then the card's keys in order of preference.
const PLAIN: [(&str, &[&str]); 9] = [
    ("author", &["author", "model_author", "model_creator"]),
    ("description", &["description", "model_description"]),
    ("license.name", &["license_name"]),
    ("license.link", &["license_link"]),
    ("source.url", &["url", "model_url"]),
    ("source.doi", &["doi", "model_doi"]),
    ("source.uuid", &["uuid", "model_uuid"]),
    ("source.repo_url", &["repo_url", "model_repo_url"]),
    ("license", &["license"]),
];

/// Fields of a base model or data set given as a map, in the order of the file. Data sets have them all too.
const ANCESTOR: [&str; 9] =
    ["name", "author", "version", "organization", "description", "url", "doi", "uuid", "repo_url"];

/// Writes all `general.*` keys up to the languages. `model_name` overrides the name.
pub(crate) fn general(
    kvs: &mut Kvs,
    source: &dyn TensorSource,
    architecture: &str,
    model_name: Option<&str>,
) -> Result<(), GgufExportError> {
    kvs.set("general.architecture", architecture.into());
    kvs.set("general.type", "model".into());
    // A broken generation configuration is passed over, as the converter does.
    sampling(kvs, json(source, "generation_config.json").ok().flatten().as_ref());

    let card = front_matter(source)?;
    let parameters = source.spec().parameters();
    let who = who(source, &card, parameters)?;
    let plain = |key: &str| {
        let sources = PLAIN.iter().find(|(k, _)| *k == key).map_or::<&[&str], _>(&[], |(_, s)| s);
        sources.iter().find_map(|s| card.get(s)).map(|found| found.texts().join(",")).unwrap_or_default()
    };
    let mut set = |key: &str, value: String| kvs.set(format!("general.{key}"), Value::Str(value));
    let name = model_name.map(str::to_owned).or(who.name);
    set("name", name.unwrap_or_else(|| source.name().to_owned()));
    set("author", plain("author"));
    set("version", who.version.unwrap_or_default());
    set("organization", who.organization.unwrap_or_default());
    set("finetune", who.finetune.unwrap_or_default());
    set("basename", who.basename.unwrap_or_default());
    set("description", plain("description"));
    set("size_label", who.size_label.unwrap_or_else(|| measured_size(source)));
    for key in ["license", "license.name", "license.link", "source.url", "source.doi", "source.uuid", "source.repo_url"]
    {
        set(key, plain(key));
    }
    ancestors(kvs, "base_model", first(&card, &["base_model", "base_models", "base_model_sources"]), parameters);
    ancestors(kvs, "dataset", first(&card, &["datasets", "dataset", "dataset_sources"]), parameters);
    for (key, sources) in [("tags", ["tags", "pipeline_tag"]), ("languages", ["languages", "language"])] {
        let all = sources.iter().filter_map(|s| card.get(s)).flat_map(Yaml::texts).map(str::to_owned).collect();
        kvs.set(format!("general.{key}"), Value::Strs(all));
    }
    Ok(())
}

fn sampling(kvs: &mut Kvs, generation: Option<&Json>) {
    let Some(generation) = generation else { return };
    for (sources, kind, key) in SAMPLING {
        let Some(found) = sources.iter().find_map(|s| generation.get(s)).filter(|v| !v.is_null()) else { continue };
        let value = match kind {
            's' => found.as_str().map(Value::from),
            'i' => found.as_i64().and_then(|v| i32::try_from(v).ok()).map(Value::I32),
            _ => found.as_f64().map(|v| Value::F32(v as f32)),
        };
        if let Some(value) = value {
            kvs.set(format!("general.sampling.{key}"), value);
        }
    }
}

/// The YAML between the dashes at the top of README.md.
fn front_matter(source: &dyn TensorSource) -> Result<Yaml, GgufExportError> {
    let Some(readme) = text(source, "README.md") else { return Ok(Yaml::Null) };
    let mut lines = readme.lines();
    if lines.next() != Some("---") {
        return Ok(Yaml::Null);
    }
    // Cards in the wild are indented with tabs, which YAML forbids. Scalars stay text here, so the language
    // `no` needs no care.
    let matter: Vec<String> = lines.take_while(|line| *line != "---").map(|l| l.replace('\t', "  ")).collect();
    yaml::parse(&matter.join("\n"))
        .map_err(|why| GgufExportError::Sidecar { file: "README.md", why: format!("its front matter has {why}") })
}

/// Name and its parts: the card's word first, then `_name_or_path`, then the folder's name.
#[derive(Default)]
struct Who {
    name: Option<String>,
    organization: Option<String>,
    basename: Option<String>,
    finetune: Option<String>,
    version: Option<String>,
    size_label: Option<String>,
}

fn who(source: &dyn TensorSource, card: &Yaml, parameters: u64) -> Result<Who, GgufExportError> {
    let said = |keys: &[&str]| keys.iter().find_map(|k| card.get(k)).and_then(Yaml::text).map(str::to_owned);
    let mut who = Who {
        name: said(&["name", "model_name"]),
        organization: said(&["organization", "model_organization"]),
        basename: said(&["basename", "model_basename", "model_type"]),
        finetune: said(&["finetune", "model_finetune"]),
        version: said(&["version", "model_version"]),
        size_label: said(&["size_label", "model_size_label"]),
    };
    let config = json(source, "config.json")?;
    let path = config.as_ref().and_then(|c| c.get("_name_or_path")).and_then(Json::as_str);
    // More slashes than one is somebody's disk.
    let path = path.filter(|p| p.matches('/').count() <= 1);
    let folder = source.name().rsplit('/').next().filter(|name| !name.is_empty());
    for id in path.into_iter().chain(folder) {
        let found = Identity::of(id, parameters);
        who.name.get_or_insert_with(|| title(&found.name));
        let fill = |slot: &mut Option<String>, value: Option<String>| *slot = slot.take().or(value);
        fill(&mut who.organization, found.organization.as_deref().map(title));
        fill(&mut who.basename, found.basename);
        fill(&mut who.finetune, found.finetune);
        fill(&mut who.version, found.version);
        fill(&mut who.size_label, found.size_label);
    }
    Ok(who)
}

fn measured_size(source: &dyn TensorSource) -> String {
    let spec = source.spec();
    let is_expert = |role: TensorRole| role.expert().is_some();
    let weights = spec.tensors().iter().filter(|(id, _)| is_expert(id.role)).map(|(_, (r, c))| (r * c) as u64).sum();
    size_label(spec.parameters(), spec.moe.map_or(0, |moe| moe.experts as u64), weights)
}

fn first<'a>(card: &'a Yaml, keys: &[&str]) -> Option<&'a Yaml> {
    keys.iter().find_map(|key| card.get(key))
}

/// The models or data sets that a model was made from.
fn ancestors(kvs: &mut Kvs, kind: &str, found: Option<&Yaml>, parameters: u64) {
    let Some(found) = found else { return };
    let all = match found {
        Yaml::List(all) => all.as_slice(),
        Yaml::Text(_) => std::slice::from_ref(found),
        Yaml::Null | Yaml::Map(_) => &[],
    };
    kvs.set(format!("general.{kind}.count"), Value::U32(all.len() as u32));
    for (index, ancestor) in all.iter().enumerate() {
        let mut set = |field: &str, value: &str| kvs.set(format!("general.{kind}.{index}.{field}"), value.into());
        match ancestor {
            Yaml::Text(id) => named_ancestor(id, parameters, &mut set),
            map => ANCESTOR.iter().for_each(|field| {
                if let Some(value) = map.get(field).and_then(Yaml::text) {
                    set(field, value);
                }
            }),
        }
    }
}

/// An ancestor told by repository id or URL.
fn named_ancestor(id: &str, parameters: u64, set: &mut dyn FnMut(&str, &str)) {
    let is_url = ["http://", "https://", "ssh://"].iter().any(|scheme| id.starts_with(scheme));
    let hub = id.strip_prefix("https://huggingface.co/").or_else(|| id.strip_prefix("http://huggingface.co/"));
    let hub = hub.filter(|path| path.split('/').count() == 2 && path.split('/').all(|part| !part.is_empty()));
    if let Some(known) = if is_url { hub } else { Some(id) } {
        let it = Identity::of(known, parameters);
        set("name", &title(&it.name));
        if let Some(version) = &it.version {
            set("version", version);
        }
        if let Some(organization) = &it.organization {
            set("organization", &title(organization));
            if !is_url {
                set("repo_url", &format!("https://huggingface.co/{organization}/{}", it.name));
            }
        }
    }
    if is_url {
        set("repo_url", id);
    }
}
