//! Finds, maps and checks the weight files of a folder.

use crate::CheckpointError;
use crate::header::{Header, StoredTensor};
use crate::sidecars::read_limited;
use lfmq_core::Mapped;
use serde::Deserialize;
use serde::de::{MapAccess, Visitor};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;
use std::sync::Arc;

const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";
/// Largest index that is read.
const INDEX_LIMIT: u64 = 64 << 20;

/// A mapped weight file.
#[derive(Debug)]
pub struct Shard {
    /// Its name in the folder.
    pub name: String,
    /// Its bytes.
    pub file: Arc<Mapped>,
}

/// The weight files, sorted by name.
#[derive(Debug)]
pub struct Shards {
    pub files: Vec<Shard>,
    /// Every tensor by name with the position of its file.
    pub tensors: BTreeMap<String, (usize, StoredTensor)>,
}

impl Shards {
    /// Opens `model.safetensors` or, where there is none, the files that the index names.
    pub fn open(folder: &Path) -> Result<Self, CheckpointError> {
        if folder.join(SINGLE).exists() {
            return Self::read(folder, [SINGLE.to_owned()]);
        }
        let path = folder.join(INDEX);
        if !path.exists() {
            return Err(CheckpointError::NoWeights { path: folder.to_owned() });
        }
        let index = Index::read(&path)?;
        let names: BTreeSet<String> = index.files.values().cloned().collect();
        if let Some(missing) = names.iter().map(|name| folder.join(name)).find(|path| !path.exists()) {
            return Err(CheckpointError::MissingShard { path: missing });
        }
        let shards = Self::read(folder, names)?;
        shards.check_against(&index)?;
        Ok(shards)
    }

    fn read(folder: &Path, names: impl IntoIterator<Item = String>) -> Result<Self, CheckpointError> {
        let mut shards = Self { files: Vec::new(), tensors: BTreeMap::new() };
        for name in names {
            let path = folder.join(&name);
            let file = Mapped::open(&path).map_err(CheckpointError::io(&path))?;
            for tensor in Header::parse(&path, &file)?.tensors {
                let position = shards.files.len();
                if let Some((other, tensor)) = shards.tensors.insert(tensor.name.clone(), (position, tensor)) {
                    let other = shards.files.get(other).map_or_else(String::new, |shard| shard.name.clone());
                    let found = format!("{other} and {name}");
                    return Err(CheckpointError::Misplaced { tensor: tensor.name, expected: "one file".into(), found });
                }
            }
            shards.files.push(Shard { name, file: Arc::new(file) });
        }
        Ok(shards)
    }

    /// Every tensor must lie where the index says.
    fn check_against(&self, index: &Index) -> Result<(), CheckpointError> {
        const NOWHERE: &str = "no file";
        for tensor in self.tensors.keys().chain(index.files.keys()) {
            let shard = self.tensors.get(tensor).and_then(|(position, _)| self.files.get(*position));
            let found = shard.map_or(NOWHERE, |shard| shard.name.as_str());
            let expected = index.files.get(tensor).map_or(NOWHERE, String::as_str);
            if found != expected {
                let (expected, found) = (expected.to_owned(), found.to_owned());
                return Err(CheckpointError::Misplaced { tensor: tensor.clone(), expected, found });
            }
        }
        Ok(())
    }
}

/// Which file each tensor lies in.
struct Index {
    files: BTreeMap<String, String>,
}

impl Index {
    fn read(path: &Path) -> Result<Self, CheckpointError> {
        #[derive(Deserialize)]
        struct Document {
            weight_map: WeightMap,
        }
        let bad = |why: String| CheckpointError::Index { path: path.to_owned(), why };
        let document: Document =
            serde_json::from_slice(&read_limited(path, INDEX_LIMIT)?).map_err(|e| bad(e.to_string()))?;
        let files = document.weight_map.0;
        if files.is_empty() {
            return Err(bad("weight_map is empty".into()));
        }
        match files.values().find(|name| !is_plain(name)) {
            Some(name) => Err(bad(format!("`{name}` is not the name of a safetensors file in this folder"))),
            None => Ok(Self { files }),
        }
    }
}

/// A file name that stays inside the folder.
fn is_plain(name: &str) -> bool {
    name.ends_with(".safetensors") && !name.contains(['/', '\\', '\0', ':'])
}

/// The map of the index; a name that occurs twice is an error rather than silently the last.
struct WeightMap(BTreeMap<String, String>);

impl<'de> Deserialize<'de> for WeightMap {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = WeightMap;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of file names by tensor name")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<WeightMap, A::Error> {
                let mut files = BTreeMap::new();
                while let Some((tensor, file)) = map.next_entry::<String, String>()? {
                    if files.contains_key(&tensor) {
                        return Err(serde::de::Error::custom(format_args!("tensor `{tensor}` is there twice")));
                    }
                    files.insert(tensor, file);
                }
                Ok(WeightMap(files))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}
