use crate::HubError;
use crate::place::Place;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The hub that is asked when nobody says otherwise.
const ENDPOINT: &str = "https://huggingface.co";

/// What was typed; it wins over the environment.
#[derive(Clone, Default)]
pub struct Overrides {
    /// Use the cache alone.
    pub offline: bool,
    /// The hub's address.
    pub endpoint: Option<String>,
    /// The token.
    pub token: Option<String>,
    /// The cache folder.
    pub cache_dir: Option<PathBuf>,
}

impl fmt::Debug for Overrides {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Overrides")
            .field("offline", &self.offline)
            .field("endpoint", &self.endpoint)
            .field("token", &self.token.as_ref().map(|_| "hidden"))
            .field("cache_dir", &self.cache_dir)
            .finish()
    }
}

/// An access token. It can be sent, not shown.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// # Errors
    /// When `text`, read from `place`, has characters that could break out of a header line.
    pub fn new(text: &str, place: &str) -> Result<Self, HubError> {
        let text = text.trim();
        if text.is_empty() || !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(HubError::Token { place: place.to_owned() });
        }
        Ok(Self(text.to_owned()))
    }

    /// The header's value.
    pub(crate) fn bearer(&self) -> String {
        format!("Bearer {}", self.0)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(hidden)")
    }
}

/// How patient and how greedy a download is.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Bytes asked for at once.
    pub range: u64,
    /// Failures in a row, with no [`Pace::step`] of progress between them, that end the attempt.
    pub attempts: u32,
    /// Wait after the first failure; it doubles.
    pub first_wait: Duration,
    /// Longest wait, also the longest that a server may ask for.
    pub longest_wait: Duration,
    /// Longest silence on a connection.
    pub silence: Duration,
    /// Longest time for a short answer; of a file, a 64th of [`Pace::range`] has to come in this time.
    pub answer: Duration,
}

impl Pace {
    /// Bytes that count as progress.
    pub(crate) fn step(&self) -> u64 {
        (self.range / 64).max(1)
    }
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            range: 64 << 20,
            attempts: 5,
            first_wait: Duration::from_millis(500),
            longest_wait: Duration::from_secs(90),
            silence: Duration::from_secs(30),
            answer: Duration::from_secs(120),
        }
    }
}

/// Everything a [`crate::Hub`] needs to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The hub's address, `https://host[:port][/prefix]`.
    pub endpoint: String,
    /// Sent to the endpoint's host only, and only over https or to this machine.
    pub token: Option<Token>,
    /// The cache folder; it is made when needed.
    pub cache: PathBuf,
    /// Use the cache alone.
    pub offline: bool,
    /// Root certificates (PEM) instead of the built-in ones.
    pub roots: Option<PathBuf>,
    /// Patience.
    pub pace: Pace,
}

impl Settings {
    /// What the environment says, as Python's tools read it: `HF_ENDPOINT`; `HF_TOKEN`, else the file `HF_TOKEN_PATH`,
    /// else `HF_HOME/token`; `HF_HUB_CACHE`, else `HF_HOME/hub`; `HF_HUB_OFFLINE`; `SSL_CERT_FILE`. `HF_HOME` is
    /// `$XDG_CACHE_HOME/huggingface`, else `~/.cache/huggingface`.
    ///
    /// # Errors
    /// When a value cannot be used.
    pub fn from_env(overrides: Overrides) -> Result<Self, HubError> {
        Self::from_vars(&|name| std::env::var_os(name), overrides)
    }

    /// The same from any source of variables.
    ///
    /// # Errors
    /// When a value cannot be used.
    pub fn from_vars(var: &dyn Fn(&str) -> Option<OsString>, overrides: Overrides) -> Result<Self, HubError> {
        let set = |name: &str| var(name).filter(|value| !value.is_empty());
        let path = |name: &str| set(name).map(PathBuf::from);
        let text = |name: &'static str| match set(name).map(OsString::into_string) {
            None => Ok(None),
            Some(Ok(text)) => Ok(Some(text)),
            Some(Err(_)) => Err(HubError::Setting { name, why: "not UTF-8".to_owned() }),
        };
        let home = path("HF_HOME")
            .or_else(|| path("XDG_CACHE_HOME").map(|cache| cache.join("huggingface")))
            .or_else(|| path("HOME").or_else(|| path("USERPROFILE")).map(|home| home.join(".cache/huggingface")));
        let below_home = |name: &str| home.as_ref().map(|home| home.join(name));

        let endpoint = match overrides.endpoint {
            Some(endpoint) => endpoint,
            None => text("HF_ENDPOINT")?.unwrap_or_else(|| ENDPOINT.to_owned()),
        };
        Place::endpoint(&endpoint)?;
        let token = match (overrides.token, text("HF_TOKEN")?) {
            (Some(token), _) => Some(Token::new(&token, "the command line")?),
            (None, Some(token)) => Some(Token::new(&token, "HF_TOKEN")?),
            (None, None) => match path("HF_TOKEN_PATH").or_else(|| below_home("token")) {
                Some(path) => token_file(&path)?,
                None => None,
            },
        };
        let cache = overrides.cache_dir.or_else(|| path("HF_HUB_CACHE")).or_else(|| below_home("hub"));
        let cache =
            cache.ok_or_else(|| HubError::Setting { name: "HF_HOME", why: "neither it nor HOME is set".to_owned() })?;
        let offline = overrides.offline || text("HF_HUB_OFFLINE")?.is_some_and(|value| is_yes(&value));
        Ok(Self { endpoint, token, cache, offline, roots: path("SSL_CERT_FILE"), pace: Pace::default() })
    }
}

/// Spellings that Python's tools take for yes.
fn is_yes(value: &str) -> bool {
    matches!(value.to_ascii_uppercase().as_str(), "1" | "ON" | "YES" | "TRUE")
}

/// The token in a file that need not be there.
fn token_file(path: &Path) -> Result<Option<Token>, HubError> {
    match std::fs::read_to_string(path) {
        Ok(text) if text.trim().is_empty() => Ok(None),
        Ok(text) => Token::new(&text, &path.display().to_string()).map(Some),
        Err(source) if source.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(HubError::Io { path: path.to_owned(), source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    fn read(vars: &[(&str, &str)], overrides: Overrides) -> Result<Settings, HubError> {
        let vars: HashMap<&str, &str> = vars.iter().copied().collect();
        Settings::from_vars(&|name| vars.get(name).map(OsString::from), overrides)
    }

    fn bearer(settings: &Settings) -> Option<String> {
        settings.token.as_ref().map(Token::bearer)
    }

    #[test]
    fn defaults() {
        let settings = read(&[("HOME", "/nowhere/u")], Overrides::default()).unwrap();
        assert_eq!(settings.endpoint, ENDPOINT);
        assert_eq!(settings.cache, Path::new("/nowhere/u/.cache/huggingface/hub"));
        assert!(settings.token.is_none() && !settings.offline);
        assert!(matches!(read(&[], Overrides::default()), Err(HubError::Setting { name: "HF_HOME", .. })));
    }

    #[test]
    fn environment_and_what_wins_over_it() {
        let vars = [
            ("HF_HOME", "/h"),
            ("HF_HUB_CACHE", "/c"),
            ("HF_ENDPOINT", "http://127.0.0.1:1/x/"),
            ("HF_TOKEN", " hf_env\n"),
            ("HF_HUB_OFFLINE", "true"),
        ];
        let settings = read(&vars, Overrides::default()).unwrap();
        assert_eq!((settings.cache.as_path(), settings.offline), (Path::new("/c"), true));
        assert_eq!(bearer(&settings).unwrap(), "Bearer hf_env");
        let typed = Overrides {
            offline: false,
            endpoint: Some("https://hub.example".to_owned()),
            token: Some("hf_typed".to_owned()),
            cache_dir: Some("/d".into()),
        };
        let settings = read(&vars[..4], typed).unwrap();
        assert_eq!((settings.endpoint.as_str(), settings.offline), ("https://hub.example", false));
        assert_eq!(
            (bearer(&settings).unwrap().as_str(), settings.cache.as_path()),
            ("Bearer hf_typed", Path::new("/d"))
        );
        assert!(!read(&[("HF_HOME", "/h"), ("HF_HUB_OFFLINE", "0")], Overrides::default()).unwrap().offline);
    }

    #[test]
    fn token_files() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().to_str().unwrap();
        let own = folder.path().join("own");
        assert!(read(&[("HF_HOME", home)], Overrides::default()).unwrap().token.is_none());
        std::fs::write(folder.path().join("token"), "hf_home\n").unwrap();
        assert_eq!(bearer(&read(&[("HF_HOME", home)], Overrides::default()).unwrap()).unwrap(), "Bearer hf_home");
        std::fs::write(&own, "hf_own").unwrap();
        let vars = [("HF_HOME", home), ("HF_TOKEN_PATH", own.to_str().unwrap())];
        assert_eq!(bearer(&read(&vars, Overrides::default()).unwrap()).unwrap(), "Bearer hf_own");
    }

    #[test]
    fn a_token_never_shows() {
        for bad in ["hf_a b", "hf_a\r\nHost: x", "", "hf_ä"] {
            let fault = Token::new(bad, "HF_TOKEN").unwrap_err();
            assert!(!fault.to_string().contains("hf_"), "{fault}");
        }
        let overrides = Overrides { token: Some("hf_secret".to_owned()), ..Overrides::default() };
        assert!(!format!("{overrides:?}").contains("secret"));
        let settings = read(&[("HOME", "/h")], overrides).unwrap();
        assert!(!format!("{settings:?}").contains("secret"));
    }

    #[test]
    fn endpoints_that_cannot_be() {
        for bad in ["huggingface.co", "ftp://x", "https://", "https://user:pw@x", "https://x y", "file:///etc"] {
            let fault = read(&[("HOME", "/h"), ("HF_ENDPOINT", bad)], Overrides::default()).unwrap_err();
            assert!(matches!(fault, HubError::Setting { name: "HF_ENDPOINT", .. }), "{bad}: {fault}");
            assert!(!fault.to_string().contains("pw"), "{fault}");
        }
    }
}
