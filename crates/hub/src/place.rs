//! Addresses: where the endpoint is, and whether a redirect leaves it.

use crate::HubError;
use std::net::IpAddr;
use ureq::http::Uri;

/// An http or https address without credentials in it.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    uri: Uri,
    secure: bool,
    host: String,
    port: u16,
}

impl Place {
    /// `None` for what is no such address.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let uri: Uri = text.parse().ok()?;
        let secure = match uri.scheme_str()? {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        if uri.authority()?.as_str().contains('@') {
            return None;
        }
        let host = uri.host().filter(|host| !host.is_empty())?.to_ascii_lowercase();
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        Some(Self { uri, secure, host, port })
    }

    /// The endpoint's address; what is wrong with it is the user's to know, its credentials are not.
    pub(crate) fn endpoint(text: &str) -> Result<Self, HubError> {
        let why = || "not an address such as https://hub.example, without credentials or a query".to_owned();
        Self::parse(text.trim_end_matches('/'))
            .filter(|place| place.uri.query().is_none())
            .ok_or_else(|| HubError::Setting { name: "HF_ENDPOINT", why: why() })
    }

    /// The address below this one.
    pub(crate) fn below(&self, path: &str) -> Option<Self> {
        Self::parse(&format!("{}/{path}", self.uri.to_string().trim_end_matches('/')))
    }

    /// Where a `Location` header points from here.
    pub(crate) fn join(&self, location: &str) -> Option<Self> {
        let lower = location.get(..8).unwrap_or(location).to_ascii_lowercase();
        if lower.starts_with("http://") || lower.starts_with("https://") {
            return Self::parse(location);
        }
        let scheme = if self.secure { "https" } else { "http" };
        if let Some(rest) = location.strip_prefix("//") {
            return Self::parse(&format!("{scheme}://{rest}"));
        }
        let origin = format!("{scheme}://{}", self.uri.authority()?);
        if location.starts_with('/') {
            return Self::parse(&format!("{origin}{location}"));
        }
        let folder = self.uri.path().rsplit_once('/').map_or("", |(folder, _)| folder);
        Self::parse(&format!("{origin}{folder}/{location}"))
    }

    /// Whether scheme, host and port are the same.
    pub(crate) fn same_origin(&self, other: &Self) -> bool {
        (self.secure, &self.host, self.port) == (other.secure, &other.host, other.port)
    }

    /// Whether a redirect may go there: never from an encrypted connection to a plain one.
    pub(crate) fn may_lead_to(&self, next: &Self) -> bool {
        next.secure || !self.secure
    }

    /// Whether the connection is encrypted.
    pub(crate) fn is_secure(&self) -> bool {
        self.secure
    }

    /// Whether it is this machine.
    pub(crate) fn is_loopback(&self) -> bool {
        let bare = self.host.trim_start_matches('[').trim_end_matches(']');
        bare == "localhost" || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }

    /// For the wire.
    pub(crate) fn uri(&self) -> &Uri {
        &self.uri
    }

    /// For messages: no path and no query, which may be signed.
    pub(crate) fn host(&self) -> String {
        match self.uri.port() {
            Some(port) => format!("{}:{port}", self.host),
            None => self.host.clone(),
        }
    }
}

/// `text` with everything escaped that is not plain in a path; `/` stays where `keep_slash`.
pub(crate) fn escaped(text: &str, keep_slash: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            b'/' if keep_slash => out.push('/'),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Place {
        Place::parse(text).unwrap()
    }

    #[test]
    fn redirects_are_resolved() {
        let from = at("https://hub.example:444/a/b/c?q=1");
        for (location, to) in [
            ("/x?y=1", "https://hub.example:444/x?y=1"),
            ("x", "https://hub.example:444/a/b/x"),
            ("//cdn.example/z", "https://cdn.example/z"),
            ("HTTP://cdn.example/z", "http://cdn.example/z"),
        ] {
            assert_eq!(from.join(location).unwrap().uri().to_string(), to, "{location}");
        }
        for bad in ["https://u:p@x/", "https://", "https://a b/", "/\u{1}", "https:///x"] {
            assert!(from.join(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn only_the_same_origin_is_home() {
        let home = at("https://hub.example/p");
        for same in ["https://hub.example:443/x", "https://HUB.example"] {
            assert!(home.same_origin(&at(same)), "{same}");
        }
        for other in
            ["http://hub.example", "https://hub.example:8443", "https://hub.example.evil", "https://evil/hub.example"]
        {
            assert!(!home.same_origin(&at(other)), "{other}");
        }
        assert!(!at("http://127.0.0.1:1").same_origin(&at("http://localhost:1")));
    }

    #[test]
    fn redirects_do_not_lay_encryption_off() {
        let (safe, plain) = (at("https://hub.example"), at("http://hub.example"));
        assert!(safe.may_lead_to(&safe) && plain.may_lead_to(&safe) && plain.may_lead_to(&plain));
        assert!(!safe.may_lead_to(&plain));
    }

    #[test]
    fn this_machine() {
        for here in ["http://localhost", "http://127.0.0.1:9", "http://127.8.8.8", "http://[::1]:9"] {
            assert!(at(here).is_loopback(), "{here}");
        }
        for there in ["http://localhost.evil", "http://10.0.0.1", "http://127.0.0.1.evil"] {
            assert!(!at(there).is_loopback(), "{there}");
        }
    }

    #[test]
    fn escaping() {
        assert_eq!(escaped("refs/pr/1", false), "refs%2Fpr%2F1");
        assert_eq!(escaped("a b/c#?%ä", true), "a%20b/c%23%3F%25%C3%A4");
    }
}
