//! Sealed folders: what is in them, who opens them, and that no damage ever gives a plaintext.
#![cfg(feature = "seal")]
#![allow(clippy::print_stderr, reason = "a skipped test says so")]

use age::secrecy::ExposeSecret;
use lfmq_artifact::{ArtifactError, Identities, Mode, Recipients, SUMS, SideFile, Staging, check, unseal};
use lfmq_core::{Classify, Kind, PlannedFile, Silent, Sink};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// More than three of age's chunks of 64 KiB.
const LONG: u64 = 200_000;

struct Bench {
    folder: tempfile::TempDir,
}

/// A key pair: the recipient, and the file of its identity.
type Key = (String, PathBuf);

impl Bench {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn key(&self, name: &str) -> Key {
        let secret = age::x25519::Identity::generate();
        let path = self.at(name);
        fs::write(&path, format!("# {name}\n{}\n", secret.to_string().expose_secret())).unwrap();
        (secret.to_public().to_string(), path)
    }

    /// The same artifact every time, sealed or not.
    fn make(&self, name: &str, recipients: &[&str]) -> PathBuf {
        let out = self.at(name);
        let mut staging = Staging::create(&out, Mode::Refuse, "f").unwrap();
        let planned = |name: &str, bytes| PlannedFile { name: name.to_owned(), bytes };
        staging.add(&[planned("a.gguf", LONG), planned("onnx/b.onnx", 5), planned("empty", 0)]).unwrap();
        let weights: Vec<u8> = (0..LONG).map(|i| (i * i / 7) as u8).collect();
        staging.write_at(0, 0, &weights).unwrap();
        staging.write_at(1, 0, b"graph").unwrap();
        for (name, text) in [("LICENSE", "terms"), ("leap/Q4_0.json", "{}")] {
            staging.place(&SideFile { name: name.into(), bytes: text.into() }).unwrap();
        }
        if !recipients.is_empty() {
            let keys: Vec<String> = recipients.iter().map(|k| (*k).to_owned()).collect();
            staging.seal(&Recipients::parse(&keys).unwrap(), &Silent).unwrap();
        }
        staging.publish(&json!({ "drift": 0.1, "ratio": 1.000_000_000_000_000_2 })).unwrap();
        out
    }

    fn open(&self, sealed: &Path, key: &Key) -> Result<PathBuf, ArtifactError> {
        let out = self.at("opened");
        let identities = Identities::read(&[&key.1])?;
        unseal(sealed, &out, Mode::Refuse, &identities, &Silent).map(|_| out)
    }

    fn nothing_is_left(&self) {
        for name in ["opened", "opened.partial", "opened.partial.lock"] {
            assert!(!self.at(name).exists(), "{name} is left");
        }
    }
}

/// Every file below `folder`, by its path.
fn tree(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
                found.insert(name, fs::read(path).unwrap());
            }
        }
    }
    found
}

/// `SHA256SUMS` of what is there now: whoever changes a file can change the list.
fn sums_again(folder: &Path) {
    let files = tree(folder).into_iter().filter(|(name, _)| name != SUMS);
    let hex = |bytes: &[u8]| Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect::<String>();
    let list: String = files.map(|(name, bytes)| format!("{}  {name}\n", hex(&bytes))).collect();
    fs::write(folder.join(SUMS), list).unwrap();
}

#[test]
fn what_comes_out_is_what_was_never_sealed() {
    let bench = Bench::new();
    let (anna, ben, eve) = (bench.key("anna"), bench.key("ben"), bench.key("eve"));
    let plain = bench.make("plain", &[]);
    let sealed = bench.make("sealed", &[&anna.0, &ben.0]);
    let names: Vec<String> = tree(&sealed).into_keys().collect();
    let expected =
        ["LICENSE", "SHA256SUMS", "a.gguf.age", "empty.age", "leap/Q4_0.json", "lfmq.json", "onnx/b.onnx.age"];
    assert_eq!(names, expected);
    assert!(check(&sealed).unwrap().is_sound());
    assert_eq!(tree(&sealed)["lfmq.json"], tree(&plain)["lfmq.json"]);
    for key in [&anna, &ben] {
        let opened = bench.open(&sealed, key).unwrap();
        assert_eq!(tree(&opened), tree(&plain));
        fs::remove_dir_all(opened).unwrap();
    }
    let error = bench.open(&sealed, &eve).unwrap_err();
    assert!(matches!(error, ArtifactError::Closed { .. }) && error.kind() == Kind::Authentication, "{error}");
    bench.nothing_is_left();
    assert!(matches!(bench.open(&plain, &anna), Err(ArtifactError::NotSealed { .. })));
    bench.nothing_is_left();
}

#[test]
fn damage_never_gives_a_plaintext() {
    let bench = Bench::new();
    let key = bench.key("key");
    let sealed = bench.make("sealed", &[&key.0]);
    let weights = sealed.join("a.gguf.age");
    let whole = fs::read(&weights).unwrap();
    let n = whole.len();
    let cut = [0, 1, 21, 100, 200, n / 3, n / 2, n - 65_000, n - 17, n - 1].map(|at| whole[..at].to_vec());
    let flipped = (0..n).step_by(n / 23).chain([n - 1]).map(|at| {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        bytes
    });
    // Chunks in another order, a chunk left out, more behind the end, another file of the same key.
    let body = n - 2 * 65_552;
    let swapped = [&whole[..body], &whole[body + 65_552..], &whole[body..body + 65_552]].concat();
    let longer = [&whole[..], b"x"].concat();
    let other = fs::read(sealed.join("onnx/b.onnx.age")).unwrap();
    for (i, bytes) in cut.into_iter().chain(flipped).chain([swapped, longer, other, vec![b'a'; 300_000]]).enumerate() {
        fs::write(&weights, &bytes).unwrap();
        let error = bench.open(&sealed, &key).unwrap_err();
        assert!(error.to_string().contains("SHA256SUMS"), "{i}: {error}");
        sums_again(&sealed);
        assert!(check(&sealed).unwrap().is_sound());
        let error = bench.open(&sealed, &key).unwrap_err();
        let known =
            matches!(&error, ArtifactError::Damaged { path, .. } | ArtifactError::Closed { path } if *path == weights);
        assert!(known, "{i}: {error}");
        bench.nothing_is_left();
    }
    fs::write(&weights, &whole).unwrap();
    fs::remove_file(sealed.join("empty.age")).unwrap();
    sums_again(&sealed);
    assert!(matches!(bench.open(&sealed, &key), Err(ArtifactError::Damaged { .. })), "a file is gone");
    bench.nothing_is_left();
}

#[test]
fn a_taken_name_is_not_replaced_unless_asked() {
    let bench = Bench::new();
    let key = bench.key("key");
    let sealed = bench.make("sealed", &[&key.0]);
    let out = bench.at("opened");
    fs::create_dir(&out).unwrap();
    assert!(matches!(bench.open(&sealed, &key), Err(ArtifactError::Exists { .. })));
    let identities = Identities::read(&[&key.1]).unwrap();
    unseal(&sealed, &out, Mode::Overwrite, &identities, &Silent).unwrap();
    assert!(check(&out).unwrap().is_sound());
}

#[test]
fn keys_that_are_none_are_told_without_their_text() {
    let bench = Bench::new();
    let parse = |key: &str| Recipients::parse(&[key.to_owned()]).unwrap_err();
    assert!(parse("age1xyz").to_string().contains("age1xyz"));
    let (_, path) = bench.key("key");
    let secret = fs::read_to_string(&path).unwrap().lines().last().unwrap().to_owned();
    assert!(!parse(&secret).to_string().contains(&secret), "a secret key is not repeated");
    assert!(Recipients::parse(&[]).is_err());
    fs::write(&path, "# only words\nhush\n").unwrap();
    let error = Identities::read(&[&path]).err().unwrap().to_string();
    assert!(error.contains("line 2") && !error.contains("hush"), "{error}");
    fs::write(&path, "# nobody\n").unwrap();
    assert!(matches!(Identities::read(&[&path]), Err(ArtifactError::Identity { .. })));
}

/// The program that the format comes from reads ours, and we read its own.
#[test]
fn the_reference_program_agrees() {
    let bench = Bench::new();
    let age = |args: &[&str]| Command::new("age").args(args).current_dir(bench.folder.path()).output();
    if age(&["--version"]).is_err() {
        eprintln!("SKIPPED the_reference_program_agrees: there is no program `age` (Debian's package `age`)");
        return;
    }
    let (anna, ben) = (bench.key("anna"), bench.key("ben"));
    let plain = bench.make("plain", &[]);
    let sealed = bench.make("sealed", &[&anna.0, &ben.0]);
    for name in ["a.gguf", "onnx/b.onnx", "empty"] {
        for key in ["anna", "ben"] {
            let out = age(&["-d", "-i", key, &format!("sealed/{name}.age")]).unwrap();
            assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
            assert_eq!(out.stdout, fs::read(plain.join(name)).unwrap(), "{name}");
        }
        let made = age(&["-r", &ben.0, "-o", &format!("sealed/{name}.age"), &format!("plain/{name}")]).unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }
    sums_again(&sealed);
    let opened = bench.open(&sealed, &ben).unwrap();
    assert_eq!(tree(&opened)["a.gguf"], tree(&plain)["a.gguf"]);
    assert!(check(&opened).unwrap().is_sound());
}
