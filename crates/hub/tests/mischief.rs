//! A hub that misbehaves on purpose. Whatever it does: what is visible is what it should be, and it ends.

mod support;

use lfmq_core::{Classify, Kind};
use lfmq_hub::{HubError, Snapshot};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};
use support::*;

const WEIGHTS: &str = "model.safetensors";

/// Fetches from a hub that is honest but for the weights, where `twist` may change the answer.
fn twisted(
    cache: &Path,
    twist: impl Fn(&Asked, Answer) -> Answer + Send + Sync + 'static,
) -> (Result<Snapshot, HubError>, Witness, Server) {
    let model = Model::tiny();
    let server = Server::start(move |asked| {
        let honest = model.answer(asked);
        if asked.is_get_of(WEIGHTS) { twist(asked, honest) } else { honest }
    });
    let (result, witness) = fetch(settings(&server.address, cache));
    sound(cache);
    (result, witness, server)
}

/// The weights came after all.
fn recovers(twist: impl Fn(&Asked, Answer) -> Answer + Send + Sync + 'static) -> (Witness, Server) {
    let cache = tempfile::tempdir().unwrap();
    let (result, witness, server) = twisted(cache.path(), twist);
    Model::tiny().check(&result.unwrap());
    assert_eq!(sound(cache.path()).len(), 3);
    (witness, server)
}

/// They did not, and nothing of them shows.
fn refuses(twist: impl Fn(&Asked, Answer) -> Answer + Send + Sync + 'static) -> (HubError, Server) {
    let cache = tempfile::tempdir().unwrap();
    let (result, _, server) = twisted(cache.path(), twist);
    let error = result.unwrap_err();
    assert_eq!(error.kind(), Kind::Environment, "{error}");
    assert_eq!(visible(cache.path()), ["LICENSE", "config.json"], "{error}");
    assert_eq!(sound(cache.path()).len(), 2);
    assert!(!root(cache.path()).join("refs/main").exists(), "an incomplete snapshot has a name");
    // An honest hub heals it, whatever was left.
    let model = Model::tiny();
    let honest = Server::start(move |asked| model.answer(asked));
    Model::tiny().check(&fetch(settings(&honest.address, cache.path())).0.unwrap());
    (error, server)
}

#[test]
fn connections_that_break_off_mid_range_again_and_again() {
    let (witness, server) = recovers(|_, honest| honest.how(How::Cut(20_000)));
    let starts = server.starts(WEIGHTS);
    assert!(starts.len() >= 15 && starts.windows(2).all(|pair| pair[0] < pair[1]), "{starts:?}");
    assert_eq!(starts[1], 20_000, "what came was not kept");
    assert!(witness.noted("trying again"));
    assert_eq!(*witness.done.lock().unwrap(), witness.totals.lock().unwrap()[0]);
}

#[test]
fn one_broken_connection() {
    for at in [0, 1, 65_535] {
        recovers(move |asked, honest| if asked.before == 0 { honest.how(How::Cut(at)) } else { honest });
    }
}

#[test]
fn connections_that_bring_nothing_or_next_to_nothing_end() {
    for bytes in [0, 1, 100] {
        let (error, server) = refuses(move |_, honest| honest.how(How::Cut(bytes)));
        assert!(matches!(error, HubError::Unreachable { attempts: 4, .. } | HubError::Length { .. }), "{error}");
        assert!(server.starts(WEIGHTS).len() < 60);
    }
}

#[test]
fn a_chunked_body_without_its_end() {
    recovers(|_, honest| honest.how(How::Chunked(true)));
    recovers(|asked, honest| honest.how(How::Chunked(asked.before % 2 == 1)));
    recovers(|_, mut honest| {
        honest.body.truncate(30_000);
        honest.how(How::Chunked(true))
    });
    let (error, _) = refuses(|_, mut honest| {
        honest.body.extend(b"and more");
        honest.how(How::Chunked(true))
    });
    assert!(matches!(error, HubError::Length { .. }), "{error}");
}

#[test]
fn a_range_that_is_not_heeded() {
    let whole = || Answer::new(200, Model::tiny().content(WEIGHTS));
    let (_, server) = recovers(move |_, _| whole());
    assert_eq!(server.starts(WEIGHTS), [0]);
    // Only later: all of it comes again, and is not appended.
    let (_, server) = recovers(move |asked, honest| if asked.range().unwrap().0 == 131_072 { whole() } else { honest });
    assert_eq!(server.starts(WEIGHTS), [0, 65536, 131_072]);
    // Whole answers that break off at changing places do not go on for ever.
    let (_, server) = refuses(move |asked, _| whole().how(How::Cut(150_000 + 20_000 * (asked.before % 3))));
    assert!(server.starts(WEIGHTS).len() < 12);
}

#[test]
fn another_range_than_asked_for() {
    for lie in [
        "bytes 0-9/300000",
        "bytes 65536-131071/999",
        "bytes 1-0/300000",
        "bytes x-y/z",
        "bytes */300000",
        "nonsense",
        "",
    ] {
        let (error, _) = refuses(move |asked, honest| match asked.range().unwrap().0 {
            65_536 => honest.with("content-range", lie),
            _ => honest,
        });
        assert!(error.to_string().contains("another range"), "{lie}: {error}");
    }
    // The right label on other bytes: the digest tells.
    let (error, _) = refuses(|asked, mut honest| {
        if asked.range().unwrap().0 == 65_536 {
            honest.body = Model::tiny().content(WEIGHTS)[..65_536].to_vec();
        }
        honest
    });
    assert!(matches!(error, HubError::Digest { .. }), "{error}");
    let (error, _) = refuses(|asked, honest| match asked.range().unwrap().0 {
        65_536 => Answer::new(416, "").with("content-range", "bytes */65536"),
        _ => honest,
    });
    assert!(error.to_string().contains("no such range"), "{error}");
    // Shorter ranges than asked for are allowed.
    recovers(|asked, _| {
        let (first, last) = asked.range().unwrap();
        let (content, last) = (Model::tiny(), last.min(first + 40_000).min(299_999));
        Answer::new(206, &content.content(WEIGHTS)[first..=last])
            .with("content-range", format!("bytes {first}-{last}/*"))
    });
}

#[test]
fn lengths_that_lie() {
    let (error, _) = refuses(|_, mut honest| {
        honest.length = Some(honest.body.len() - 1);
        honest
    });
    assert!(matches!(error, HubError::Length { .. }), "{error}");
    let (error, _) = refuses(|_, mut honest| {
        honest.length = Some(usize::MAX / 2);
        honest
    });
    assert!(matches!(error, HubError::Length { .. }), "{error}");
    recovers(|asked, mut honest| {
        honest.length = (asked.before == 0).then_some(honest.body.len() + 1);
        honest
    });
}

#[test]
fn a_wrong_digest_leaves_nothing() {
    let cache = tempfile::tempdir().unwrap();
    let (result, ..) = twisted(cache.path(), |asked, mut honest| {
        if asked.range().unwrap().0 == 196_608 {
            honest.body[77] ^= 1;
        }
        honest
    });
    let error = result.unwrap_err();
    let right = Model::tiny().oid(WEIGHTS);
    assert!(matches!(&error, HubError::Digest { expected, algorithm: "SHA-256", .. } if *expected == right), "{error}");
    assert_eq!(visible(cache.path()), ["LICENSE", "config.json"]);
    assert!(!root(cache.path()).join("blobs").join(&right).exists());
    assert!(!root(cache.path()).join("blobs").join(format!("{right}.incomplete")).exists());
}

/// Small files have no SHA-256 at the hub, but git's digest.
#[test]
fn a_wrong_small_file() {
    let model = Model::tiny();
    let server = Server::start(move |asked| {
        let mut answer = model.answer(asked);
        if asked.is_get_of("config.json") {
            answer.body[3] ^= 1;
        }
        answer
    });
    let cache = tempfile::tempdir().unwrap();
    let error = fetch(settings(&server.address, cache.path())).0.unwrap_err();
    assert!(matches!(error, HubError::Digest { algorithm: "git object id", .. }), "{error}");
    assert_eq!(visible(cache.path()), ["LICENSE"]);
    sound(cache.path());
}

/// A damaged partial file from an earlier run costs one more download, not the model.
#[test]
fn damaged_and_oversized_leftovers() {
    for left in [noise(100_000, 3), noise(300_000, 3), noise(400_000, 3)] {
        let cache = tempfile::tempdir().unwrap();
        let blobs = root(cache.path()).join("blobs");
        fs::create_dir_all(&blobs).unwrap();
        fs::write(blobs.join(format!("{}.incomplete", Model::tiny().oid(WEIGHTS))), &left).unwrap();
        let (result, witness, server) = twisted(cache.path(), |_, honest| honest);
        Model::tiny().check(&result.unwrap());
        assert_eq!(witness.noted("damaged"), left.len() <= 300_000);
        assert_eq!(server.starts(WEIGHTS).iter().filter(|start| **start == 0).count(), 1);
    }
}

#[test]
fn a_blob_of_the_wrong_length_is_replaced() {
    let cache = tempfile::tempdir().unwrap();
    let blobs = root(cache.path()).join("blobs");
    fs::create_dir_all(&blobs).unwrap();
    fs::write(blobs.join(Model::tiny().oid(WEIGHTS)), "short").unwrap();
    let (result, ..) = {
        let model = Model::tiny();
        let server = Server::start(move |asked| model.answer(asked));
        fetch(settings(&server.address, cache.path()))
    };
    Model::tiny().check(&result.unwrap());
    sound(cache.path());
}

#[test]
fn content_that_changes_between_ranges() {
    // The storage's tag changes once: start over.
    let (witness, server) = recovers(|asked, honest| match asked.range().unwrap().0 {
        0 if asked.before == 0 => honest.with("etag", "\"old\""),
        _ => honest,
    });
    assert!(witness.noted("another content"));
    assert_eq!(server.starts(WEIGHTS).iter().filter(|start| **start == 0).count(), 2);
    // It changes every time.
    let (error, server) = refuses(|asked, honest| honest.with("etag", format!("\"{}\"", asked.before)));
    assert!(error.to_string().contains("another content"), "{error}");
    assert!(server.starts(WEIGHTS).len() < 40);
    // The hub itself says that it now is another file.
    let (error, _) = refuses(|asked, honest| match asked.range().unwrap().0 {
        0 => honest,
        _ => honest.with("x-linked-etag", format!("\"{}\"", "a".repeat(64))),
    });
    assert!(error.to_string().contains("another content"), "{error}");
}

#[test]
fn silence_and_drips() {
    let begun = Instant::now();
    recovers(|asked, honest| if asked.before == 0 { honest.how(How::Hang(Duration::from_secs(5))) } else { honest });
    // Slow, but it comes.
    recovers(|asked, honest| match asked.range().unwrap().0 {
        0 => honest.how(How::Drip(4096, Duration::from_millis(20))),
        _ => honest,
    });
    // A byte now and then is not progress.
    let model = Model::tiny();
    let server = Server::start(move |asked| match asked.is_get_of(WEIGHTS) {
        true => model.answer(asked).how(How::Drip(1, Duration::from_millis(50))),
        false => model.answer(asked),
    });
    let cache = tempfile::tempdir().unwrap();
    let mut settings = settings(&server.address, cache.path());
    settings.pace.answer = Duration::from_millis(300);
    settings.pace.attempts = 2;
    let error = fetch(settings).0.unwrap_err();
    assert!(error.to_string().contains("hardly any bytes"), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(20));
}

#[test]
fn server_errors_pass_or_end() {
    for status in [429, 500, 502, 503, 504] {
        let (_, server) =
            recovers(move |asked, honest| if asked.before < 2 { Answer::new(status, "") } else { honest });
        assert_eq!(server.starts(WEIGHTS)[..3], [0, 0, 0]);
        let (error, server) = refuses(move |_, _| Answer::new(status, "<html>"));
        assert!(matches!(error, HubError::Server { .. } | HubError::RateLimited { .. }), "{error}");
        assert_eq!(server.starts(WEIGHTS).len(), 4);
    }
}

#[test]
fn retry_after_is_heeded_within_reason() {
    for header in [("retry-after", "1"), ("ratelimit", "\"resolvers\";r=0;t=1")] {
        let begun = Instant::now();
        recovers(move |asked, honest| match asked.before {
            0 if asked.range().unwrap().0 == 0 => Answer::new(429, "").with(header.0, header.1),
            _ => honest,
        });
        assert!(begun.elapsed() >= Duration::from_secs(1));
    }
    let begun = Instant::now();
    let (error, server) = refuses(|_, _| Answer::new(429, "").with("retry-after", "86400"));
    assert!(matches!(error, HubError::RateLimited { wait: Some(86_400), .. }), "{error}");
    assert!(error.hint().unwrap().contains("86400 s"));
    assert_eq!(server.starts(WEIGHTS).len(), 1);
    assert!(begun.elapsed() < Duration::from_secs(5));
    for nonsense in ["-1", "99999999999999999999999", "Wed, 21 Oct 2026 07:28:00 GMT", ""] {
        recovers(move |asked, honest| match asked.before {
            0 => Answer::new(503, "").with("retry-after", nonsense),
            _ => honest,
        });
    }
}

/// A signed address that ran out is no matter of the user's token.
#[test]
fn the_storage_refuses_once() {
    let mut model = Model::tiny();
    let stored = model.clone();
    let storage =
        Server::start(move |asked| if asked.before == 0 { Answer::new(403, "expired") } else { stored.answer(asked) });
    model.storage = Some(storage.address.clone());
    let answering = model.clone();
    let server = Server::start(move |asked| answering.answer(asked));
    let cache = tempfile::tempdir().unwrap();
    model.check(&fetch(settings(&server.address, cache.path())).0.unwrap());
}

#[test]
fn nobody_there() {
    let cache = tempfile::tempdir().unwrap();
    let error = fetch(settings("http://127.0.0.1:1", cache.path())).0.unwrap_err();
    assert!(matches!(error, HubError::Unreachable { attempts: 4, .. }), "{error}");
    assert!(error.hint().unwrap().contains("--offline"));
}

#[test]
fn listings_that_are_none() {
    let sibling = |name: &str| serde_json::json!({"sha": COMMIT, "siblings": [{"rfilename": name}]}).to_string();
    let mut cases: Vec<(Vec<u8>, &str)> = vec![
        (b"".to_vec(), "nonsense"),
        (b"<html>log in</html>".to_vec(), "nonsense"),
        (b"{\"sha\":".to_vec(), "nonsense"),
        (b"\xff\xfe\x00".to_vec(), "nonsense"),
        (b"[]".to_vec(), "nonsense"),
        (b"{\"sha\":\"main\",\"siblings\":[]}".to_vec(), "names no commit"),
        (b"{\"sha\":\"../../../etc\",\"siblings\":[]}".to_vec(), "names no commit"),
        (format!("{{\"sha\":\"{COMMIT}\",\"siblings\":[]}}").into_bytes(), "none of the files"),
        ("[".repeat(1 << 20).into_bytes(), "nonsense"),
        (vec![b' '; (32 << 20) + 10], "more than 32 MiB"),
    ];
    for name in
        ["../x.txt", "/etc/cron.d/x", "a/../../x", "a\\..\\x", "C:\\x", "a\u{1b}[2Jb", "x\u{202e}y", "a\0b", "", "."]
    {
        cases.push((sibling(name).into_bytes(), "lists a file named"));
    }
    for (body, says) in cases {
        let shown = String::from_utf8_lossy(&body[..body.len().min(80)]).into_owned();
        let server = Server::start(move |_| Answer::new(200, body.clone()));
        let folder = tempfile::tempdir().unwrap();
        let cache = folder.path().join("deep/er/cache");
        let error = fetch_of(settings(&server.address, &cache), &id(), &|_| true).0.unwrap_err();
        assert!(error.to_string().contains(says), "{shown}: {error}");
        assert!(!error.to_string().contains(['\u{1b}', '\u{202e}', '\0']), "{error:?}");
        assert_eq!(server.log().len(), 1, "{shown}");
        assert!(!cache.exists(), "{shown} left something");
    }
}

#[test]
fn a_huge_list_of_files() {
    let mut model = Model::tiny();
    for n in 0..50_000 {
        model.files.insert(format!("shards/{n}.bin"), (Vec::new(), false));
    }
    let answering = model.listing();
    let small = Model::tiny();
    let server = Server::start(move |asked| match asked.path.starts_with("/api/") {
        true => answering.clone(),
        false => small.answer(asked),
    });
    let cache = tempfile::tempdir().unwrap();
    Model::tiny().check(&fetch(settings(&server.address, cache.path())).0.unwrap());
    assert!(server.log().len() < 12);
}

#[test]
fn descriptions_that_lie() {
    let describe = |change: fn(Answer) -> Answer| {
        let model = Model::tiny();
        let server = Server::start(move |asked| match asked.method == "HEAD" && asked.path.ends_with(WEIGHTS) {
            true => change(model.answer(asked)),
            false => model.answer(asked),
        });
        let cache = tempfile::tempdir().unwrap();
        let error = fetch(settings(&server.address, cache.path())).0.unwrap_err();
        assert!(visible(cache.path()).is_empty() && sound(cache.path()).is_empty());
        error.to_string()
    };
    assert!(describe(|a| a.with("x-repo-commit", "f".repeat(40))).contains("another commit"));
    assert!(describe(|a| a.with("x-linked-etag", format!("\"{}\"", "a".repeat(64)))).contains("digest is not the one"));
    assert!(describe(|a| a.with("x-linked-etag", "\"../../../evil\"")).contains("digest is not the one"));
    assert!(describe(|a| a.with("x-linked-size", 7)).contains("size is not the one"));
}

/// Without digests in the list, the ETag alone names the blob.
#[test]
fn tags_that_can_name_no_file() {
    let with_tag = |tag: &'static str| {
        let model = Model::tiny();
        let server = Server::start(move |asked| match asked.path.starts_with("/api/") {
            true => Answer::new(
                200,
                serde_json::json!({"sha": COMMIT, "siblings": [{"rfilename": "config.json"}]}).to_string(),
            ),
            false if tag.is_empty() => {
                let mut answer = model.answer(asked);
                answer.headers.retain(|(name, _)| name != "etag");
                answer
            }
            false => model.answer(asked).with("etag", tag),
        });
        let cache = tempfile::tempdir().unwrap();
        let result = fetch(settings(&server.address, cache.path())).0;
        (result, cache)
    };
    for tag in ["\"../../x\"", "\"a/b\"", "\"..\"", "\"\"", "\"x.incomplete\"", "\"a b\"", ""] {
        let (result, cache) = with_tag(tag);
        assert!(matches!(result, Err(HubError::Protocol { .. })), "{tag}");
        assert!(visible(cache.path()).is_empty(), "{tag}");
    }
    // A mirror's own tag is a name without a digest; it is said so.
    assert!(with_tag("W/\"12-ab\"").0.is_ok());
    // A digest in capitals is checked like any other.
    let capitals: &'static str = Box::leak(format!("\"{}\"", "AB".repeat(32)).into_boxed_str());
    assert!(matches!(with_tag(capitals).0, Err(HubError::Digest { .. })));
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk() {
    let cache = tempfile::tempdir().unwrap();
    let blobs = root(cache.path()).join("blobs");
    fs::create_dir_all(&blobs).unwrap();
    let partial = blobs.join(format!("{}.incomplete", Model::tiny().oid(WEIGHTS)));
    std::os::unix::fs::symlink("/dev/full", &partial).unwrap();
    let (result, _, server) = twisted(cache.path(), |_, honest| honest);
    let error = result.unwrap_err();
    assert!(matches!(error, HubError::DiskFull { bytes: 300_000, .. }), "{error}");
    assert_eq!(error.kind(), Kind::Environment);
    assert!(error.hint().unwrap().contains("HF_HUB_CACHE"));
    assert_eq!(server.starts(WEIGHTS).len(), 1, "a full disk is not tried again");
    assert_eq!(visible(cache.path()), ["LICENSE", "config.json"]);
}

#[cfg(unix)]
#[test]
fn a_cache_that_cannot_be_written() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("file");
    fs::write(&cache, "not a folder").unwrap();
    let model = Model::tiny();
    let server = Server::start(move |asked| model.answer(asked));
    let error = fetch(settings(&server.address, &cache)).0.unwrap_err();
    assert!(matches!(error, HubError::Io { .. }) && error.kind() == Kind::Environment, "{error}");
}
