//! Requests: redirects followed by hand so that the token stays home, answers judged, failures retried.

use crate::patience::{Failure, Patience, wait_of};
use crate::place::Place;
use crate::settings::{Pace, Settings, Token};
use crate::{HubError, api};
use lfmq_core::Observer;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use ureq::http::{HeaderMap, Method, Request, Response};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body};

/// Longest chain of redirects.
const HOPS: usize = 8;

/// A request.
pub(crate) struct Ask<'a> {
    /// Path and query below the endpoint.
    pub(crate) path: &'a str,
    /// For messages.
    pub(crate) what: &'a str,
    /// The repository, for messages.
    pub(crate) repo: &'a str,
    /// Whether a redirect to another host is followed.
    pub(crate) elsewhere: bool,
    /// First and last byte.
    pub(crate) range: Option<(u64, u64)>,
    /// Only sent to the endpoint: the storage behind it has ETags of its own.
    pub(crate) etag: Option<&'a str>,
}

/// What the endpoint's own headers say of a file, however far the redirects go.
#[derive(Clone, Debug, Default)]
pub(crate) struct Said {
    pub(crate) commit: Option<String>,
    pub(crate) linked_etag: Option<String>,
    pub(crate) linked_size: Option<u64>,
    /// Of the last answer from home.
    pub(crate) etag: Option<String>,
    pub(crate) length: Option<u64>,
    /// Whether the bytes are on another host.
    pub(crate) moved: bool,
}

/// An answer: 200, 206, 416, or a redirect to another host that was not to be followed.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) host: String,
    pub(crate) said: Said,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Body,
}

/// A connection to one endpoint.
pub(crate) struct Client {
    agent: Agent,
    endpoint: Place,
    token: Option<Token>,
    pub(crate) pace: Pace,
}

impl Client {
    pub(crate) fn new(settings: &Settings) -> Result<Self, HubError> {
        let endpoint = Place::endpoint(&settings.endpoint)?;
        let pace = settings.pace;
        let roots = settings.roots.as_deref().map(certificates).transpose()?;
        let tls = TlsConfig::builder().root_certs(roots.unwrap_or(RootCerts::WebPki)).build();
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .tls_config(tls)
            .user_agent(concat!("lfmq/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(pace.silence))
            .timeout_recv_response(Some(pace.silence))
            .timeout_per_read(Some(pace.silence))
            .timeout_recv_body(Some(pace.answer))
            .build();
        // In the clear it may only go to this machine.
        let private = endpoint.is_secure() || endpoint.is_loopback();
        let token = settings.token.clone().filter(|_| private);
        Ok(Self { agent: config.new_agent(), endpoint, token, pace })
    }

    /// GET, redirects followed as far as `ask` allows.
    pub(crate) fn get(&self, ask: &Ask) -> Result<Reply, Failure> {
        self.follow(&Method::GET, ask)
    }

    /// HEAD, redirects followed on the endpoint's own host.
    pub(crate) fn head(&self, ask: &Ask) -> Result<Said, Failure> {
        self.follow(&Method::HEAD, ask).map(|reply| reply.said)
    }

    fn follow(&self, method: &Method, ask: &Ask) -> Result<Reply, Failure> {
        let unusable = || self.nonsense(ask.what, "an address that cannot be used".to_owned());
        let mut place = self.endpoint.below(ask.path).ok_or_else(unusable)?;
        let mut said = Said::default();
        // Once away from home, never at home again: the token does not come back either.
        let mut home = true;
        for _ in 0..HOPS {
            let response = self.hop(method, &place, home, ask)?;
            let status = response.status().as_u16();
            if home {
                said.add(response.headers());
            }
            if !matches!(status, 301 | 302 | 303 | 307 | 308) {
                return self.judge(response, said, &place, home, ask);
            }
            let next = header(response.headers(), "location").and_then(|to| place.join(to)).ok_or_else(unusable)?;
            if !place.may_lead_to(&next) {
                return Err(self.nonsense(ask.what, format!("a redirect to plain http on {}", next.host())).into());
            }
            if home && !next.same_origin(&self.endpoint) {
                home = false;
                said.moved = true;
                if method == Method::HEAD {
                    let (parts, body) = response.into_parts();
                    return Ok(Reply { status, host: place.host(), said, headers: parts.headers, body });
                }
                if !ask.elsewhere {
                    return Err(self.nonsense(ask.what, format!("a redirect to {}", next.host())).into());
                }
            }
            place = next;
        }
        Err(self.nonsense(ask.what, "a chain of redirects without end".to_owned()).into())
    }

    /// One request to one place.
    fn hop(&self, method: &Method, place: &Place, home: bool, ask: &Ask) -> Result<Response<Body>, Failure> {
        let mut request = Request::builder().method(method).uri(place.uri());
        // A length on the wire has to be a length of the file.
        request = request.header("accept-encoding", "identity");
        if let Some((first, last)) = ask.range {
            request = request.header("range", format!("bytes={first}-{last}"));
        }
        if home {
            if let Some(token) = &self.token {
                request = request.header("authorization", token.bearer());
            }
            if let (Some(etag), Some(_)) = (ask.etag, ask.range) {
                request = request.header("if-range", etag);
            }
        }
        let request =
            request.body(()).map_err(|_| self.nonsense(ask.what, "an address that cannot be used".to_owned()))?;
        let mut config = self.agent.configure_request(request);
        if ask.range.is_some() {
            // A long range over a slow line is fine; what is too slow is told where the bytes are counted.
            config = config.timeout_recv_body(None);
        }
        if place.is_loopback() {
            // A proxy cannot know what this machine calls itself.
            config = config.proxy(None);
        }
        let answer = self.agent.run(config.build());
        answer.map_err(|fault| self.unreachable(place, ask.what, &fault))
    }

    fn judge(
        &self,
        response: Response<Body>,
        said: Said,
        place: &Place,
        home: bool,
        ask: &Ask,
    ) -> Result<Reply, Failure> {
        let status = response.status().as_u16();
        if matches!(status, 200 | 206 | 416) {
            let (parts, body) = response.into_parts();
            return Ok(Reply { status, host: place.host(), said, headers: parts.headers, body });
        }
        let (host, what, repo) = (place.host(), ask.what.to_owned(), ask.repo.to_owned());
        let code = header(response.headers(), "x-error-code").unwrap_or_default();
        let signed_in = self.token.is_some();
        Err(match status {
            429 => {
                let wait = wait_of(response.headers());
                Failure::Again(HubError::RateLimited { host, wait }, wait.map(Duration::from_secs))
            }
            500 | 502 | 503 | 504 | 408 => {
                let wait = wait_of(response.headers()).map(Duration::from_secs);
                Failure::Again(HubError::Server { host, what, status }, wait)
            }
            // A signed address that ran out; asking the hub again gives a new one.
            _ if !home => Failure::Again(HubError::Server { host, what, status }, None),
            401 | 403 if code == "GatedRepo" => Failure::Last(HubError::Gated { repo, status, signed_in }),
            401 | 403 => Failure::Last(HubError::Denied { host, what, status, signed_in }),
            404 | 410 => Failure::Last(HubError::NotFound {
                what: match code {
                    "RepoNotFound" => format!("model {repo}"),
                    "RevisionNotFound" => format!("such revision for {what}"),
                    _ => what,
                },
                host,
            }),
            _ => Failure::Last(HubError::Server { host, what, status }),
        })
    }

    /// Repeats `attempt` while it is worth it.
    pub(crate) fn patiently<T>(
        &self,
        observer: &dyn Observer,
        mut attempt: impl FnMut() -> Result<T, Failure>,
    ) -> Result<T, HubError> {
        let mut patience = Patience::new(self.pace);
        loop {
            match attempt() {
                Ok(value) => return Ok(value),
                Err(failure) => patience.after(failure, observer)?,
            }
        }
    }

    /// A server that makes no sense.
    pub(crate) fn nonsense(&self, what: &str, why: String) -> HubError {
        HubError::Protocol { host: self.endpoint.host(), what: what.to_owned(), why }
    }

    /// A body that ended in an error.
    pub(crate) fn cut_off(&self, what: &str, fault: &io::Error) -> Failure {
        let why = fault.to_string();
        let error = HubError::Unreachable { host: self.endpoint.host(), what: what.to_owned(), attempts: 1, why };
        Failure::Again(error, None)
    }

    fn unreachable(&self, place: &Place, what: &str, fault: &ureq::Error) -> Failure {
        // Others are told by kind: their text may hold an address with a signature in it.
        let (why, again) = match fault {
            ureq::Error::Io(_)
            | ureq::Error::Timeout(_)
            | ureq::Error::Protocol(_)
            | ureq::Error::HostNotFound
            | ureq::Error::ConnectionFailed => (fault.to_string(), true),
            ureq::Error::Tls(why) => (format!("TLS: {why}"), false),
            ureq::Error::Rustls(why) => (format!("TLS: {why}"), false),
            ureq::Error::InvalidProxyUrl => ("the proxy's address cannot be used".to_owned(), false),
            _ => ("the request could not be made".to_owned(), false),
        };
        let error = HubError::Unreachable { host: place.host(), what: what.to_owned(), attempts: 1, why };
        if again { Failure::Again(error, None) } else { Failure::Last(error) }
    }
}

impl Said {
    /// Takes over what an answer from home says; what was said first about the file stays.
    fn add(&mut self, headers: &HeaderMap) {
        let text = |name| header(headers, name).map(str::to_owned);
        let number = |name| header(headers, name).and_then(|n| n.trim().parse().ok());
        self.commit = self.commit.take().or_else(|| text("x-repo-commit"));
        self.linked_etag = self.linked_etag.take().or_else(|| text("x-linked-etag"));
        self.linked_size = self.linked_size.or_else(|| number("x-linked-size"));
        self.etag = text("etag");
        self.length = number("content-length");
    }

    /// Whether it still speaks of the same content as `blob`.
    pub(crate) fn agrees(&self, blob: &str) -> bool {
        self.linked_etag.as_deref().is_none_or(|tag| api::name_of(tag) == blob)
    }
}

/// A header as text.
pub(crate) fn header<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

/// The certificates of a PEM file.
fn certificates(path: &std::path::Path) -> Result<RootCerts, HubError> {
    let text = std::fs::read(path).map_err(HubError::io(path))?;
    let found: Vec<Certificate<'static>> = parse_pem(&text)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    if found.is_empty() {
        return Err(HubError::Setting { name: "SSL_CERT_FILE", why: format!("no certificate in {}", path.display()) });
    }
    Ok(RootCerts::Specific(Arc::new(found)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_not_sent_in_the_clear_to_another_machine() {
        for (endpoint, sent) in [
            ("https://hub.example", true),
            ("http://127.0.0.1:8080", true),
            ("http://localhost", true),
            ("http://hub.example", false),
            ("http://10.0.0.7:8080", false),
        ] {
            let settings = Settings {
                endpoint: endpoint.to_owned(),
                token: Token::new("hf_x", "the test").ok(),
                cache: "unused".into(),
                offline: false,
                roots: None,
                pace: Pace::default(),
            };
            assert_eq!(Client::new(&settings).unwrap().token.is_some(), sent, "{endpoint}");
        }
    }
}
