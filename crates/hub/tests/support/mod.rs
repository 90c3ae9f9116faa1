//! A hub on 127.0.0.1: real HTTP/1.1 over real sockets, honest unless a test makes it misbehave.
#![allow(dead_code)]

use lfmq_core::{Observer, Unit};
use lfmq_hub::{Hub, HubError, ModelId, Pace, Settings, Snapshot, Token};
use sha1::Digest;
use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
pub const TOKEN: &str = "hf_theSecretOfTheTests";
pub const REPO: &str = "Org/Tiny";

/// What came over the wire.
#[derive(Clone, Debug)]
pub struct Asked {
    pub method: String,
    pub path: String,
    pub headers: HashMap<String, String>,
    /// How often the same method and path came before.
    pub before: usize,
}

impl Asked {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// First and last byte of the range.
    pub fn range(&self) -> Option<(usize, usize)> {
        let (first, last) = self.header("range")?.strip_prefix("bytes=")?.split_once('-')?;
        Some((first.parse().unwrap(), last.parse().unwrap()))
    }

    pub fn is_get_of(&self, file: &str) -> bool {
        self.method == "GET" && self.path.contains("/resolve/") && self.path.ends_with(file)
    }
}

/// How the body goes out.
#[derive(Clone, Debug)]
pub enum How {
    Whole,
    /// The connection ends after so many bytes.
    Cut(usize),
    /// So many bytes at a time, with a pause between.
    Drip(usize, Duration),
    /// In chunks; `false` leaves the end away.
    Chunked(bool),
    /// Nothing for a while, then the end.
    Hang(Duration),
}

#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub how: How,
    /// Announced instead of the body's length.
    pub length: Option<usize>,
}

impl Answer {
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), body: body.into(), how: How::Whole, length: None }
    }

    pub fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.headers.retain(|(other, _)| !other.eq_ignore_ascii_case(name));
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }

    pub fn how(mut self, how: How) -> Self {
        self.how = how;
        self
    }

    fn send(&self, to: &mut TcpStream, head_only: bool) -> std::io::Result<()> {
        let mut head = format!("HTTP/1.1 {} X\r\n", self.status);
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        match self.how {
            How::Chunked(_) => head.push_str("transfer-encoding: chunked\r\n"),
            _ => head.push_str(&format!("content-length: {}\r\n", self.length.unwrap_or(self.body.len()))),
        }
        head.push_str("connection: close\r\n\r\n");
        to.write_all(head.as_bytes())?;
        if head_only {
            return Ok(());
        }
        match self.how {
            How::Whole => to.write_all(&self.body),
            How::Cut(at) => to.write_all(&self.body[..at.min(self.body.len())]),
            How::Drip(bytes, pause) => self.body.chunks(bytes).try_for_each(|part| {
                to.write_all(part)?;
                std::thread::sleep(pause);
                Ok(())
            }),
            How::Chunked(end) => {
                for part in self.body.chunks(1000) {
                    to.write_all(format!("{:x}\r\n", part.len()).as_bytes())?;
                    to.write_all(part)?;
                    to.write_all(b"\r\n")?;
                }
                if end { to.write_all(b"0\r\n\r\n") } else { Ok(()) }
            }
            How::Hang(time) => {
                std::thread::sleep(time);
                Ok(())
            }
        }
    }
}

type Handler = dyn Fn(&Asked) -> Answer + Send + Sync;

/// A server that lives as long as the test's process.
#[derive(Clone)]
pub struct Server {
    pub address: String,
    log: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    pub fn start(handler: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self {
            address: format!("http://{}", listener.local_addr().unwrap()),
            log: Arc::new(Mutex::new(Vec::new())),
        };
        let (log, handler): (_, Arc<Handler>) = (server.log.clone(), Arc::new(handler));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (log, handler) = (log.clone(), handler.clone());
                // A client that goes away is part of the play.
                std::thread::spawn(move || serve(stream, &log, &*handler).ok());
            }
        });
        server
    }

    pub fn log(&self) -> Vec<Asked> {
        self.log.lock().unwrap().clone()
    }

    /// First bytes of the ranges asked of `file`, in order.
    pub fn starts(&self, file: &str) -> Vec<usize> {
        self.log().iter().filter(|asked| asked.is_get_of(file)).map(|asked| asked.range().map_or(0, |r| r.0)).collect()
    }
}

fn serve(mut stream: TcpStream, log: &Mutex<Vec<Asked>>, handler: &Handler) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    stream.set_write_timeout(Some(Duration::from_secs(20)))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split_whitespace();
    let (method, path) = (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or_default().to_owned());
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let asked = {
        let mut log = log.lock().unwrap();
        let before = log.iter().filter(|other| other.method == method && other.path == path).count();
        let asked = Asked { method, path, headers, before };
        log.push(asked.clone());
        asked
    };
    handler(&asked).send(&mut stream, asked.method == "HEAD")
}

/// A repository as the hub would serve it.
#[derive(Clone)]
pub struct Model {
    pub commit: String,
    /// Name -> content, and whether it is an LFS file.
    pub files: BTreeMap<String, (Vec<u8>, bool)>,
    /// Where LFS files lie, if not on the hub itself.
    pub storage: Option<String>,
}

pub fn sha256(content: &[u8]) -> String {
    sha2::Sha256::digest(content).iter().map(|b| format!("{b:02x}")).collect()
}

pub fn git_oid(content: &[u8]) -> String {
    let mut state = sha1::Sha1::new_with_prefix(format!("blob {}\0", content.len()));
    state.update(content);
    state.finalize().iter().map(|b| format!("{b:02x}")).collect()
}

/// Bytes that repeat nowhere soon.
pub fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    (0..length.div_ceil(8)).flat_map(|_| next()).take(length).collect()
}

impl Model {
    /// A configuration, a licence, weights of 300 000 bytes and files that nobody wants.
    pub fn tiny() -> Self {
        let mut files = BTreeMap::new();
        files.insert("config.json".to_owned(), (br#"{"model_type":"lfm2"}"#.to_vec(), false));
        files.insert("LICENSE".to_owned(), (b"free\n".to_vec(), false));
        files.insert("model.safetensors".to_owned(), (noise(300_000, 7), true));
        files.insert(".gitattributes".to_owned(), (b"x".to_vec(), false));
        files.insert("onnx/model.onnx".to_owned(), (noise(5000, 9), true));
        Self { commit: COMMIT.to_owned(), files, storage: None }
    }

    pub fn content(&self, name: &str) -> &[u8] {
        &self.files[name].0
    }

    pub fn oid(&self, name: &str) -> String {
        let (content, lfs) = &self.files[name];
        if *lfs { sha256(content) } else { git_oid(content) }
    }

    pub fn listing(&self) -> Answer {
        let siblings: Vec<serde_json::Value> = self
            .files
            .iter()
            .map(|(name, (content, lfs))| match lfs {
                true => serde_json::json!({"rfilename": name, "size": content.len(), "blobId": "5".repeat(40),
                    "lfs": {"sha256": sha256(content), "size": content.len(), "pointerSize": 134}}),
                false => serde_json::json!({"rfilename": name, "size": content.len(), "blobId": git_oid(content)}),
            })
            .collect();
        let text =
            serde_json::json!({"_id": "1", "id": REPO, "sha": self.commit, "private": false, "siblings": siblings});
        Answer::new(200, text.to_string()).with("content-type", "application/json")
    }

    /// The newer list that Python's tools ask for.
    fn tree(&self) -> Answer {
        let entries: Vec<serde_json::Value> = self
            .files
            .iter()
            .map(|(name, (content, lfs))| {
                let mut entry =
                    serde_json::json!({"type": "file", "path": name, "size": content.len(), "oid": self.oid(name)});
                if *lfs {
                    entry["oid"] = "5".repeat(40).into();
                    entry["lfs"] =
                        serde_json::json!({"oid": self.oid(name), "size": content.len(), "pointerSize": 134});
                }
                entry
            })
            .collect();
        Answer::new(200, serde_json::Value::from(entries).to_string())
    }

    /// What an honest hub answers.
    pub fn answer(&self, asked: &Asked) -> Answer {
        if asked.path.starts_with("/api/models/Org/Tiny/tree/") {
            return self.tree();
        }
        if asked.path.starts_with("/api/models/") {
            return self.listing();
        }
        if let Some(oid) = asked.path.strip_prefix("/storage/") {
            let oid = oid.split('?').next().unwrap();
            let found = self.files.keys().find(|name| self.oid(name) == oid).expect("an object of this model");
            return ranged(self.content(found), asked).with("etag", "\"of-the-storage\"");
        }
        let Some((_, name)) = asked.path.split_once(&format!("/resolve/{}/", self.commit)) else {
            return Answer::new(404, "").with("x-error-code", "RevisionNotFound");
        };
        let Some((content, lfs)) = self.files.get(name) else {
            return Answer::new(404, "").with("x-error-code", "EntryNotFound");
        };
        let oid = self.oid(name);
        match (&self.storage, lfs) {
            (Some(storage), true) => Answer::new(302, "elsewhere")
                .with("location", format!("{storage}/storage/{oid}?X-Signature=signed-away"))
                .with("x-linked-etag", format!("\"{oid}\""))
                .with("x-linked-size", content.len())
                .with("etag", "\"of-the-redirect\""),
            _ => ranged(content, asked).with("etag", format!("\"{oid}\"")),
        }
        .with("x-repo-commit", &self.commit)
    }

    /// The tiny model's wanted files as a snapshot should have them.
    pub fn check(&self, snapshot: &Snapshot) {
        assert_eq!(snapshot.files, ["LICENSE", "config.json", "model.safetensors"]);
        for name in &snapshot.files {
            assert!(std::fs::read(snapshot.folder.join(name)).unwrap() == self.content(name), "{name} differs");
        }
    }
}

/// Heeds a range as servers do.
pub fn ranged(content: &[u8], asked: &Asked) -> Answer {
    match asked.range() {
        None => Answer::new(200, content).with("accept-ranges", "bytes"),
        Some((first, _)) if first >= content.len() => {
            Answer::new(416, "").with("content-range", format!("bytes */{}", content.len()))
        }
        Some((first, last)) => {
            let last = last.min(content.len() - 1);
            Answer::new(206, &content[first..=last])
                .with("content-range", format!("bytes {first}-{last}/{}", content.len()))
        }
    }
}

/// Short waits, short ranges.
pub fn pace() -> Pace {
    Pace {
        range: 64 << 10,
        attempts: 4,
        first_wait: Duration::from_millis(5),
        longest_wait: Duration::from_secs(2),
        silence: Duration::from_secs(2),
        answer: Duration::from_secs(2),
    }
}

pub fn settings(endpoint: &str, cache: &Path) -> Settings {
    Settings {
        endpoint: endpoint.to_owned(),
        token: Some(Token::new(TOKEN, "the test").unwrap()),
        cache: cache.to_owned(),
        offline: false,
        roots: None,
        pace: pace(),
    }
}

pub fn id() -> ModelId {
    REPO.parse().unwrap()
}

/// Remembers what was reported.
#[derive(Default)]
pub struct Witness {
    pub notes: Mutex<Vec<String>>,
    pub totals: Mutex<Vec<u64>>,
    pub done: Mutex<u64>,
    pub ends: Mutex<usize>,
}

impl Witness {
    pub fn noted(&self, part: &str) -> bool {
        self.notes.lock().unwrap().iter().any(|note| note.contains(part))
    }
}

impl Observer for Witness {
    fn begin(&self, _: &str, total: u64, unit: Unit) {
        assert_eq!(unit, Unit::Bytes);
        self.totals.lock().unwrap().push(total);
    }
    fn advance(&self, units: u64) {
        *self.done.lock().unwrap() += units;
    }
    fn end(&self) {
        *self.ends.lock().unwrap() += 1;
    }
    fn note(&self, line: &str) {
        self.notes.lock().unwrap().push(line.to_owned());
    }
}

/// A fetch of the tiny model's checkpoint files. Whatever comes of it must not tell the token.
pub fn fetch(settings: Settings) -> (Result<Snapshot, HubError>, Witness) {
    fetch_of(settings, &id(), &lfmq_hub::checkpoint_files)
}

pub fn fetch_of(
    settings: Settings,
    id: &ModelId,
    wanted: &dyn Fn(&str) -> bool,
) -> (Result<Snapshot, HubError>, Witness) {
    let witness = Witness::default();
    let hub = Hub::new(settings);
    let result = hub.fetch(id, wanted, &witness);
    let mut said = format!("{hub:?}\n{}", witness.notes.lock().unwrap().join("\n"));
    if let Err(error) = &result {
        let hint = lfmq_core::Classify::hint(error);
        said.push_str(&format!("\n{error}\n{error:?}\n{hint:?}"));
    }
    for secret in ["theSecret", "X-Signature", "signed-away"] {
        assert!(!said.contains(secret), "told a secret: {said}");
    }
    assert_eq!(witness.totals.lock().unwrap().len(), *witness.ends.lock().unwrap(), "a stage without an end");
    (result, witness)
}

pub fn root(cache: &Path) -> PathBuf {
    cache.join("models--Org--Tiny")
}

/// Everything in the cache that claims to be whole must be what its name says; returns the blobs' names.
pub fn sound(cache: &Path) -> Vec<String> {
    let mut names = Vec::new();
    let Ok(entries) = std::fs::read_dir(root(cache).join("blobs")) else { return names };
    for entry in entries {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if name.ends_with(".incomplete") {
            continue;
        }
        let content = std::fs::read(&path).unwrap();
        match name.len() {
            64 => assert_eq!(sha256(&content), name),
            40 => assert_eq!(git_oid(&content), name),
            _ => panic!("a blob named {name}"),
        }
        names.push(name);
    }
    names.sort();
    names
}

/// Files that a user of the cache would see, dangling links included.
pub fn visible(cache: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![root(cache).join("snapshots")];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                open.push(entry.path());
            } else {
                found.push(entry.file_name().into_string().unwrap());
            }
        }
    }
    found.sort();
    found
}
