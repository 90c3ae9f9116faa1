//! Files at rest under the age format (<https://age-encryption.org/v1>): only who holds a key they were sealed for reads
//! them. Weights and tokenizer are sealed; licence, model card and manifest stay readable.

use crate::digest;
use crate::{ArtifactError, Staging};
use age::Encryptor;
use lfmq_core::{ArtifactFile, Observer, Unit};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// Ending of a sealed file.
pub(crate) const ENDING: &str = ".age";

/// For whom files are sealed; any one of their keys opens them.
#[derive(Clone, Debug)]
pub struct Recipients(Vec<age::x25519::Recipient>);

impl Recipients {
    /// Public keys as `age-keygen` prints them, `age1…`.
    ///
    /// # Errors
    /// There is none, or one is no such key.
    pub fn parse(keys: &[String]) -> Result<Self, ArtifactError> {
        let one = |key: &String| {
            key.trim().parse().map_err(|why| ArtifactError::Recipient {
                // A secret key typed by mistake must not end up in a log.
                found: if key.to_ascii_uppercase().contains("SECRET") { "(a secret key)".into() } else { key.clone() },
                why,
            })
        };
        let keys = keys.iter().map(one).collect::<Result<Vec<_>, _>>()?;
        if keys.is_empty() {
            return Err(ArtifactError::Recipient { found: String::new(), why: "there is none" });
        }
        Ok(Self(keys))
    }
}

impl Staging {
    /// Seals the files that were added, each as `NAME.age`; only these are published in their place. One pass of bounded
    /// memory over each file; both are on the disk until publication.
    ///
    /// # Errors
    /// The file system refuses.
    pub fn seal(&mut self, recipients: &Recipients, observer: &dyn Observer) -> Result<(), ArtifactError> {
        let plain = self.settle()?;
        observer.begin("seal", plain.iter().map(|f| f.bytes).sum(), Unit::Bytes);
        let folder = self.folder();
        let sealed = plain.iter().map(|f| seal(folder, &f.name, recipients, observer)).collect::<Result<_, _>>();
        observer.end();
        self.sealed = Some(sealed?);
        Ok(())
    }
}

fn seal(
    folder: &Path,
    name: &str,
    recipients: &Recipients,
    observer: &dyn Observer,
) -> Result<ArtifactFile, ArtifactError> {
    let (from, name) = (folder.join(name), format!("{name}{ENDING}"));
    let to = folder.join(&name);
    let mut plain = File::open(&from).map_err(ArtifactError::io("open", &from))?;
    let mut write = || -> io::Result<()> {
        let keys = recipients.0.iter().map(|key| key as &dyn age::Recipient);
        let encryptor = Encryptor::with_recipients(keys).map_err(io::Error::other)?;
        let mut sealer = encryptor.wrap_output(BufWriter::with_capacity(1 << 20, File::create(&to)?))?;
        digest::copy(&mut plain, |piece| {
            observer.advance(piece.len() as u64);
            sealer.write_all(piece)
        })?;
        let file = sealer.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()
    };
    write().and_then(|()| digest::of_file(folder, &name)).map_err(ArtifactError::io("seal", &to))
}
