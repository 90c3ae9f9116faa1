//! Several jobs on one cache, and jobs that die.

mod support;

use lfmq_core::Observer;
use lfmq_hub::{Hub, checkpoint_files};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, thread};
use support::*;

const WEIGHTS: &str = "model.safetensors";

/// Not a test: what [`child`] runs in a process of its own.
#[test]
#[ignore = "the other tests run it in processes of their own"]
fn in_a_process_of_its_own() {
    let (Some(endpoint), Some(cache)) = (env::var_os("TEST_ENDPOINT"), env::var_os("TEST_CACHE")) else { return };
    let (result, witness) = fetch(settings(endpoint.to_str().unwrap(), Path::new(&cache)));
    Model::tiny().check(&result.unwrap());
    if witness.noted("waiting for process") {
        fs::write(Path::new(&cache).join("waited"), "").unwrap();
    }
}

fn child(endpoint: &str, cache: &Path) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", "in_a_process_of_its_own", "--ignored"])
        .env("TEST_ENDPOINT", endpoint)
        .env("TEST_CACHE", cache)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// Waits until `done`, at most ten seconds.
fn until(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < Duration::from_secs(10), "{what} did not happen");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Serves the weights slowly enough that others have to wait.
fn slow() -> Server {
    let model = Model::tiny();
    Server::start(move |asked| match asked.is_get_of(WEIGHTS) {
        true => model.answer(asked).how(How::Drip(8192, Duration::from_millis(10))),
        false => model.answer(asked),
    })
}

#[test]
fn threads_share_one_download() {
    let server = slow();
    let cache = tempfile::tempdir().unwrap();
    let noted: Vec<bool> = thread::scope(|scope| {
        let jobs: Vec<_> = (0..6)
            .map(|_| {
                scope.spawn(|| {
                    let (result, witness) = fetch(settings(&server.address, cache.path()));
                    Model::tiny().check(&result.unwrap());
                    assert_eq!(*witness.done.lock().unwrap(), witness.totals.lock().unwrap()[0]);
                    witness.noted("waiting for process")
                })
            })
            .collect();
        jobs.into_iter().map(|job| job.join().unwrap()).collect()
    });
    assert_eq!(server.starts(WEIGHTS), [0, 65536, 131_072, 196_608, 262_144], "each byte is fetched once");
    assert!(noted.contains(&true), "nobody said that it waits");
    assert_eq!(sound(cache.path()).len(), 3);
}

#[test]
fn processes_share_one_download() {
    let server = slow();
    let cache = tempfile::tempdir().unwrap();
    let mut first = child(&server.address, cache.path());
    until("the first download", || server.starts(WEIGHTS).len() > 1);
    let mut second = child(&server.address, cache.path());
    assert!(first.wait().unwrap().success() && second.wait().unwrap().success());
    assert_eq!(server.starts(WEIGHTS), [0, 65536, 131_072, 196_608, 262_144], "each byte is fetched once");
    assert!(cache.path().join("waited").exists(), "the second did not say that it waits");
    assert_eq!(sound(cache.path()).len(), 3);
}

#[test]
fn a_killed_process_is_continued() {
    let model = Model::tiny();
    // The third range stands still half-way, until the process is gone.
    let server = Server::start(move |asked| match asked.is_get_of(WEIGHTS) && asked.range().unwrap().0 == 131_072 {
        true => {
            let mut answer = model.answer(asked);
            answer.length = Some(answer.body.len());
            let half = answer.body.len() / 2;
            answer.body.truncate(half);
            answer.how(How::Drip(half, Duration::from_secs(8)))
        }
        false => model.answer(asked),
    });
    let cache = tempfile::tempdir().unwrap();
    let model = Model::tiny();
    let partial = root(cache.path()).join("blobs").join(format!("{}.incomplete", model.oid(WEIGHTS)));
    let mut job = child(&server.address, cache.path());
    let there = 131_072 + 32_768;
    until("half the download", || fs::metadata(&partial).is_ok_and(|found| found.len() == there));
    job.kill().unwrap();
    assert!(!job.wait().unwrap().success());
    assert_eq!(visible(cache.path()), ["LICENSE", "config.json"], "a half file is visible");

    let answering = model.clone();
    let honest = Server::start(move |asked| answering.answer(asked));
    let (result, witness) = fetch(settings(&honest.address, cache.path()));
    model.check(&result.unwrap());
    assert_eq!(honest.starts(WEIGHTS)[0] as u64, there, "it did not continue");
    assert!(witness.noted(&format!("continuing at byte {there} of 300000")));
    assert_eq!((witness.totals.lock().unwrap()[0], *witness.done.lock().unwrap()), (300_000 - there, 300_000 - there));
    sound(cache.path());
}

/// Killed at many moments, again and again, on one cache: it gets there, and never shows anything wrong.
#[test]
fn killed_again_and_again() {
    let server = slow();
    let cache = tempfile::tempdir().unwrap();
    for round in 0..8 {
        let mut job = child(&server.address, cache.path());
        thread::sleep(Duration::from_millis(40 + 23 * round));
        job.kill().unwrap();
        job.wait().unwrap();
        sound(cache.path());
    }
    Model::tiny().check(&fetch(settings(&server.address, cache.path())).0.unwrap());
    assert_eq!(sound(cache.path()).len(), 3);
}

/// A failed fetch gives its lock back.
#[test]
fn a_failure_does_not_keep_the_lock() {
    struct Mute;
    impl Observer for Mute {
        fn begin(&self, _: &str, _: u64, _: lfmq_core::Unit) {}
        fn advance(&self, _: u64) {}
        fn end(&self) {}
    }
    let model = Model::tiny();
    let broken = Server::start(move |asked| match asked.is_get_of(WEIGHTS) {
        true => Answer::new(500, ""),
        false => model.answer(asked),
    });
    let cache = tempfile::tempdir().unwrap();
    let hub = Hub::new(settings(&broken.address, cache.path()));
    hub.fetch(&id(), &checkpoint_files, &Mute).unwrap_err();
    let model = Model::tiny();
    let honest = Server::start(move |asked| model.answer(asked));
    let (result, witness) = fetch(settings(&honest.address, cache.path()));
    Model::tiny().check(&result.unwrap());
    assert!(!witness.noted("waiting"));
}
