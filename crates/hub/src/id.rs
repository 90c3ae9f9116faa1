use crate::HubError;
use std::fmt;
use std::str::FromStr;

/// A repository of the hub and a revision of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ModelId {
    repo: String,
    revision: String,
}

impl ModelId {
    /// `repo` as `org/name` (or a bare `name`, as the hub's oldest models have), `revision` as a branch, tag,
    /// commit or `refs/pr/N`.
    ///
    /// # Errors
    /// When either could not be one.
    pub fn new(repo: &str, revision: &str) -> Result<Self, HubError> {
        let fault = |why| HubError::Id { text: format!("{repo}@{revision}"), why };
        let word = |w: &str| !w.is_empty() && !w.starts_with(['.', '-']) && !w.ends_with('.') && w.chars().all(plain);
        if repo.len() > 96 || repo.split('/').count() > 2 || !repo.split('/').all(word) {
            return Err(fault("the repository is org/name, of letters, digits, `-`, `_` and `.`"));
        }
        // The cache joins org and name by two dashes.
        if repo.contains("--") || repo.contains("..") {
            return Err(fault("no repository has `--` or `..` in its name"));
        }
        let part = |p: &str| {
            !p.is_empty() && !p.starts_with(['.', '-']) && !p.ends_with('.') && p.chars().all(|c| plain(c) || c == '+')
        };
        if revision.len() > 200 || revision.contains("..") || !revision.split('/').all(part) {
            return Err(fault("the revision is a branch, a tag or a commit"));
        }
        Ok(Self { repo: repo.to_owned(), revision: revision.to_owned() })
    }

    /// The repository, `org/name`.
    #[must_use]
    pub fn repo(&self) -> &str {
        &self.repo
    }

    /// The revision, `main` unless said otherwise.
    #[must_use]
    pub fn revision(&self) -> &str {
        &self.revision
    }

    /// Whether the revision already is a commit, which never changes.
    #[must_use]
    pub fn is_pinned(&self) -> bool {
        is_commit(&self.revision)
    }
}

impl FromStr for ModelId {
    type Err = HubError;

    fn from_str(text: &str) -> Result<Self, HubError> {
        let (repo, revision) = text.split_once('@').unwrap_or((text, "main"));
        Self::new(repo, revision).map_err(|fault| match fault {
            HubError::Id { why, .. } => HubError::Id { text: text.to_owned(), why },
            other => other,
        })
    }
}

impl fmt::Display for ModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.repo, self.revision)
    }
}

fn plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')
}

/// Whether `text` is a full commit hash as git writes it.
pub(crate) fn is_commit(text: &str) -> bool {
    text.len() == 40 && is_lower_hex(text)
}

/// Whether `text` is all lower-case hex.
pub(crate) fn is_lower_hex(text: &str) -> bool {
    text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids() {
        let id: ModelId = "LiquidAI/LFM2-1.2B".parse().unwrap();
        assert_eq!((id.repo(), id.revision(), id.is_pinned()), ("LiquidAI/LFM2-1.2B", "main", false));
        let id: ModelId = "a/b@refs/pr/12".parse().unwrap();
        assert_eq!((id.repo(), id.revision()), ("a/b", "refs/pr/12"));
        assert!(format!("a/b@{}", "0".repeat(40)).parse::<ModelId>().unwrap().is_pinned());
        assert!("gpt2".parse::<ModelId>().is_ok());
    }

    #[test]
    fn what_is_no_id() {
        for bad in [
            "",
            "/",
            "a/",
            "/a",
            "a/b/c",
            "a/..",
            "../b",
            "a/b@",
            "a/b@..",
            "a/b@x/../y",
            "a/b@/x",
            "a/b@x/",
            "a--b/c",
            "a/b c",
            "a/b\n",
            "a\\b",
            "C:/b",
            "a/b@x\\y",
            "a/b@x:y",
            "a/b@x?y",
            ".a/b",
            "a/b@.x",
            "-a/b",
            "ä/b",
        ] {
            let fault = bad.parse::<ModelId>().expect_err(bad);
            assert!(matches!(fault, HubError::Id { text, .. } if text == bad), "{bad}");
        }
    }
}
