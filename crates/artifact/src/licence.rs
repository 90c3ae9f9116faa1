//! What a derivative of a checkpoint has to carry along.

use crate::ArtifactError;
use lfmq_core::TensorSource;
use std::fs;
use std::path::Path;

/// A small file to place beside the weights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SideFile {
    /// Name inside the folder.
    pub name: String,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// The files that the licence asks to hand on with a derivative: `LICENSE`, `NOTICE` if there is one, and
/// `MODIFICATIONS.md`, which says that `recipe` changed the weights. `license_file` goes before the
/// checkpoint's own licence.
///
/// # Errors
/// When the checkpoint brings no licence and `license_file` names none, or that file cannot be read.
pub fn license_files(
    source: &dyn TensorSource,
    recipe: &str,
    license_file: Option<&Path>,
) -> Result<Vec<SideFile>, ArtifactError> {
    let named = |name: &str, bytes: Vec<u8>| SideFile { name: name.to_owned(), bytes };
    let found = |stem: &str| {
        let spellings = [stem.to_owned(), format!("{stem}.txt"), format!("{stem}.md")];
        spellings.iter().find_map(|name| source.sidecar(name)).map(<[u8]>::to_vec)
    };
    let licence = match license_file {
        Some(path) => fs::read(path).map_err(ArtifactError::io("read", path))?,
        None => found("LICENSE").ok_or_else(|| ArtifactError::NoLicence { name: source.name().to_owned() })?,
    };
    let mut files = vec![named("LICENSE", licence)];
    files.extend(found("NOTICE").map(|notice| named("NOTICE", notice)));
    files.push(named("MODIFICATIONS.md", modifications(source.name(), recipe).into_bytes()));
    Ok(files)
}

fn modifications(model: &str, recipe: &str) -> String {
    format!(
        "# Modifications\n\n\
         The weight files in this folder are not the original files of `{model}`. They were made from them with\n\
         lfmq {version}: weights rounded by recipe `{recipe}`, tensors renamed and reordered for the file format.\n\
         No weight was trained. `lfmq.json` lists the originals by digest.\n\n\
         The terms in `LICENSE` apply to these files as they do to the originals.\n",
        version = env!("CARGO_PKG_VERSION"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use lfmq_core::{ModelSpec, SourceError, SourceTensor};
    use std::ops::Range;

    /// A checkpoint of side files only.
    struct Sidecars(&'static [(&'static str, &'static str)]);

    impl TensorSource for Sidecars {
        fn spec(&self) -> &ModelSpec {
            unreachable!("a licence does not depend on the shape")
        }
        fn name(&self) -> &str {
            "LFM2-Tiny"
        }
        fn tensors(&self) -> &[SourceTensor] {
            &[]
        }
        fn read_rows(&self, _: usize, _: Range<usize>, _: &mut [f32]) -> Result<(), SourceError> {
            Ok(())
        }
        fn sidecar(&self, name: &str) -> Option<&[u8]> {
            self.0.iter().find(|(n, _)| *n == name).map(|(_, text)| text.as_bytes())
        }
    }

    fn files(found: &'static [(&str, &str)], file: Option<&Path>) -> Result<Vec<(String, String)>, ArtifactError> {
        let files = license_files(&Sidecars(found), "Q4_K_M", file)?;
        Ok(files.into_iter().map(|f| (f.name, String::from_utf8(f.bytes).unwrap())).collect())
    }

    #[test]
    fn what_is_carried_along() {
        let all = files(&[("LICENSE.txt", "terms"), ("NOTICE", "thanks")], None).unwrap();
        assert_eq!(all[..2], [("LICENSE", "terms"), ("NOTICE", "thanks")].map(|(n, t)| (n.to_owned(), t.to_owned())));
        let (name, text) = &all[2];
        assert_eq!(name, "MODIFICATIONS.md");
        assert!(text.contains("`LFM2-Tiny`") && text.contains("`Q4_K_M`"), "{text}");

        let error = files(&[("README.md", "")], None).unwrap_err();
        assert!(matches!(&error, ArtifactError::NoLicence { name } if name == "LFM2-Tiny"), "{error}");
        let folder = tempfile::tempdir().unwrap();
        let own = folder.path().join("terms.txt");
        assert!(files(&[], Some(&own)).is_err());
        fs::write(&own, "mine").unwrap();
        assert_eq!(files(&[], Some(&own)).unwrap()[0].1, "mine");
    }
}
