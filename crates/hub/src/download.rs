//! One blob from the first missing byte to its final name.

use crate::HubError;
use crate::api::{Remote, name_of};
use crate::cache::Repo;
use crate::digest::Expected;
use crate::partial::Partial;
use crate::patience::{Failure, Patience};
use crate::settings::Pace;
use crate::wire::{Ask, Client, Reply, header};
use lfmq_core::Observer;
use std::io::{self, Read};
use std::time::{Duration, Instant};

/// Bytes shown as done; what is fetched twice counts once.
pub(crate) struct Tally<'o> {
    observer: &'o dyn Observer,
    /// Bytes of this file already told.
    told: u64,
}

impl<'o> Tally<'o> {
    /// For a file of which `told` bytes were there from the start.
    pub(crate) fn new(observer: &'o dyn Observer, told: u64) -> Self {
        Self { observer, told }
    }

    fn reached(&mut self, length: u64) {
        if length > self.told {
            self.observer.advance(length - self.told);
            self.told = length;
        }
    }
}

/// Fetches `remote` into the cache, unless it is there or another process brings it.
pub(crate) fn fetch(
    client: &Client,
    repo: &Repo,
    id: &str,
    remote: &Remote,
    tally: &mut Tally,
) -> Result<(), HubError> {
    let _lock = repo.lock(&remote.blob, &remote.name, tally.observer)?;
    if repo.has_blob(&remote.blob, remote.size) {
        tally.reached(remote.size);
        return Ok(());
    }
    let path = repo.partial(&remote.blob);
    loop {
        let mut partial = Partial::open(&path, &remote.expected, remote.size)?;
        if partial.inherited {
            let (there, size) = (partial.length(), remote.size);
            tally.observer.note(&format!("{}: continuing at byte {there} of {size}", remote.name));
        }
        fill(client, id, remote, &mut partial, tally)?;
        if remote.expected == Expected::Unknown {
            tally.observer.note(&format!("{}: the hub names no digest, only its length was checked", remote.name));
        }
        let inherited = partial.inherited;
        match partial.publish(&repo.blob(&remote.blob), &remote.name) {
            // The fault may lie in what an earlier run left; it is gone now.
            Err(HubError::Digest { .. }) if inherited => {
                tally
                    .observer
                    .note(&format!("{}: what an earlier run left is damaged, fetching all of it", remote.name));
            }
            done => return done,
        }
    }
}

/// Range after range until nothing is missing.
fn fill(client: &Client, id: &str, remote: &Remote, partial: &mut Partial, tally: &mut Tally) -> Result<(), HubError> {
    let mut patience = Patience::new(client.pace);
    // The farthest it ever was: what is fetched again after a restart is no progress.
    let mut mark = partial.length();
    // The storage's ETag of the first range; another one later is another content.
    let mut tag: Option<String> = None;
    while partial.length() < remote.size {
        let outcome = next_range(client, id, remote, partial, tally, &mut tag);
        if partial.length() >= mark.saturating_add(client.pace.step()) {
            patience.renew();
            mark = partial.length();
        }
        if let Err(failure) = outcome {
            patience.after(failure, tally.observer)?;
        }
    }
    Ok(())
}

fn next_range(
    client: &Client,
    id: &str,
    remote: &Remote,
    partial: &mut Partial,
    tally: &mut Tally,
    tag: &mut Option<String>,
) -> Result<(), Failure> {
    let first = partial.length();
    let last = first.saturating_add(client.pace.range.max(1)).min(remote.size) - 1;
    let what = format!("{} of {id}", remote.name);
    let ask = Ask {
        path: &remote.path,
        what: &what,
        repo: id,
        elsewhere: true,
        range: Some((first, last)),
        etag: remote.etag.as_deref(),
    };
    let reply = client.get(&ask)?;
    let other = |why: String| HubError::Protocol { host: reply.host.clone(), what: what.clone(), why };
    let found = header(&reply.headers, "etag").map(name_of);
    let changed = matches!((tag.as_ref(), found.as_ref()), (Some(old), Some(new)) if old != new);
    if changed || !reply.said.agrees(&remote.blob) {
        partial.restart()?;
        *tag = None;
        return Err(Failure::Again(other("another content than before".to_owned()), None));
    }
    if found.is_some() {
        *tag = found;
    }
    let bytes = match reply.status {
        206 => match content_range(&reply) {
            Some((from, to, total))
                if from == first && (from..=last).contains(&to) && total.is_none_or(|n| n == remote.size) =>
            {
                to - from + 1
            }
            _ => return Err(Failure::Again(other("another range than asked for".to_owned()), None)),
        },
        200 => {
            // The range was not heeded: everything comes again.
            partial.restart()?;
            remote.size
        }
        _ => {
            partial.restart()?;
            return Err(Failure::Again(other("no such range".to_owned()), None));
        }
    };
    let announced = header(&reply.headers, "content-length").and_then(|text| text.trim().parse::<u64>().ok());
    if let Some(found) = announced.filter(|found| *found != bytes) {
        return Err(Failure::Again(HubError::Length { file: remote.name.clone(), expected: bytes, found }, None));
    }
    take(client, &what, remote, reply, bytes, partial, tally)
}

/// Appends exactly `bytes` of a body; what came before it broke off stays.
fn take(
    client: &Client,
    what: &str,
    remote: &Remote,
    reply: Reply,
    bytes: u64,
    partial: &mut Partial,
    tally: &mut Tally,
) -> Result<(), Failure> {
    let mut body = reply.body.into_reader();
    let mut buffer = vec![0u8; 1 << 17];
    let mut left = bytes;
    let mut pulse = Pulse::new(&client.pace);
    loop {
        let read = body.read(&mut buffer).map_err(|fault| client.cut_off(what, &fault))?;
        let came = buffer.get(..read).unwrap_or_default();
        if read == 0 && left == 0 {
            return Ok(());
        }
        if read == 0 || read as u64 > left {
            let found = if read == 0 { bytes - left } else { bytes - left + read as u64 };
            let error = HubError::Length { file: remote.name.clone(), expected: bytes, found };
            if read > 0 {
                // More than there is: none of it can be trusted.
                partial.restart()?;
            }
            return Err(Failure::Again(error, None));
        }
        partial.append(came)?;
        left -= read as u64;
        tally.reached(partial.length());
        if left > 0 && !pulse.beats(read as u64) {
            return Err(client.cut_off(what, &io::Error::new(io::ErrorKind::TimedOut, "hardly any bytes come")));
        }
    }
}

/// Tells a slow line from one that is only kept open.
struct Pulse {
    since: Instant,
    bytes: u64,
    every: Duration,
    least: u64,
}

impl Pulse {
    fn new(pace: &Pace) -> Self {
        Self { since: Instant::now(), bytes: 0, every: pace.answer, least: pace.step() }
    }

    /// Whether enough came lately.
    fn beats(&mut self, bytes: u64) -> bool {
        self.bytes += bytes;
        if self.since.elapsed() < self.every {
            return true;
        }
        let enough = self.bytes >= self.least;
        (self.since, self.bytes) = (Instant::now(), 0);
        enough
    }
}

/// `bytes first-last/total` or `bytes first-last/*`.
fn content_range(reply: &Reply) -> Option<(u64, u64, Option<u64>)> {
    let text = header(&reply.headers, "content-range")?.trim().strip_prefix("bytes ")?;
    let (span, total) = text.split_once('/')?;
    let (first, last) = span.split_once('-')?;
    let total = if total == "*" { None } else { Some(total.parse().ok()?) };
    Some((first.parse().ok()?, last.parse().ok()?, total))
}
