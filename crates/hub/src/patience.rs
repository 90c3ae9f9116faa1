//! Which failures are worth another attempt, and how long to wait for it.

use crate::HubError;
use crate::settings::Pace;
use crate::wire::header;
use lfmq_core::Observer;
use std::time::Duration;
use ureq::http::HeaderMap;

/// Whether it is worth another attempt.
pub(crate) enum Failure {
    /// Yes, after as long as the server asked for.
    Again(HubError, Option<Duration>),
    /// No.
    Last(HubError),
}

impl From<HubError> for Failure {
    fn from(error: HubError) -> Self {
        Self::Last(error)
    }
}

/// Counts failures in a row and waits between them.
pub(crate) struct Patience {
    pace: Pace,
    failures: u32,
}

impl Patience {
    pub(crate) fn new(pace: Pace) -> Self {
        Self { pace, failures: 0 }
    }

    /// There was progress.
    pub(crate) fn renew(&mut self) {
        self.failures = 0;
    }

    /// Waits, or gives up with the failure's error.
    pub(crate) fn after(&mut self, failure: Failure, observer: &dyn Observer) -> Result<(), HubError> {
        let (error, asked) = match failure {
            Failure::Last(error) => return Err(error),
            Failure::Again(error, asked) => (error, asked),
        };
        self.failures += 1;
        let own = self.pace.first_wait.saturating_mul(1 << (self.failures - 1).min(16)).min(self.pace.longest_wait);
        let wait = asked.unwrap_or(own);
        if self.failures >= self.pace.attempts.max(1) || wait > self.pace.longest_wait {
            return Err(match error {
                HubError::Unreachable { host, what, why, .. } => {
                    HubError::Unreachable { host, what, why, attempts: self.failures }
                }
                other => other,
            });
        }
        observer.note(&format!("{error}; trying again in {:.1} s", wait.as_secs_f64()));
        std::thread::sleep(wait);
        Ok(())
    }
}

/// Seconds to wait: `Retry-After: 12`, or the hub's own `RateLimit: "api";r=0;t=12`.
pub(crate) fn wait_of(headers: &HeaderMap) -> Option<u64> {
    let plain = header(headers, "retry-after").and_then(|text| text.trim().parse().ok());
    plain.or_else(|| {
        header(headers, "ratelimit")?.split(';').find_map(|part| part.trim().strip_prefix("t=")?.parse().ok())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits() {
        let read = |name: &'static str, value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            wait_of(&headers)
        };
        assert_eq!(read("retry-after", "12"), Some(12));
        assert_eq!(read("ratelimit", "\"api\";r=0;t=55"), Some(55));
        for (name, value) in [("retry-after", "soon"), ("ratelimit", "r=0"), ("retry-after", "-3"), ("x-other", "12")] {
            assert_eq!(read(name, value), None, "{name}: {value}");
        }
    }
}
