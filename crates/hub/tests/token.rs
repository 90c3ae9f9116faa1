//! The token goes to the endpoint and nowhere else. That it is in no message is checked by every fetch of all tests.

mod support;

use lfmq_core::{Classify, Kind};
use lfmq_hub::HubError;
use support::*;

fn bearer() -> String {
    format!("Bearer {TOKEN}")
}

#[test]
fn a_redirect_to_another_host_goes_without_the_token() {
    let mut model = Model::tiny();
    let stored = model.clone();
    let storage = Server::start(move |asked| stored.answer(asked));
    model.storage = Some(storage.address.clone());
    let answering = model.clone();
    let server = Server::start(move |asked| answering.answer(asked));
    let cache = tempfile::tempdir().unwrap();
    model.check(&fetch(settings(&server.address, cache.path())).0.unwrap());
    assert!(!storage.log().is_empty());
    for asked in storage.log() {
        assert_eq!(asked.header("authorization"), None);
        assert!(!format!("{asked:?}").contains("theSecret"));
    }
    assert!(server.log().iter().all(|asked| asked.header("authorization") == Some(&bearer())));
}

/// Another port and another name of the same machine are other hosts.
#[test]
fn every_kind_of_redirect_away_drops_it_for_good() {
    for status in [301, 302, 303, 307, 308] {
        for by_name in [false, true] {
            let model = Model::tiny();
            let cache = tempfile::tempdir().unwrap();
            // The other host sends everything straight back home.
            let back = std::sync::Arc::new(std::sync::Mutex::new(String::new()));
            let to = back.clone();
            let away = Server::start(move |asked| {
                Answer::new(status, "").with("location", format!("{}{}?again", to.lock().unwrap(), asked.path))
            });
            let other = if by_name { away.address.replace("127.0.0.1", "localhost") } else { away.address.clone() };
            let answering = model.clone();
            let server = Server::start(move |asked| match asked.path.strip_suffix("?again") {
                Some(path) => {
                    let mut asked = asked.clone();
                    asked.path = path.to_owned();
                    answering.answer(&asked)
                }
                None if asked.is_get_of("model.safetensors") => {
                    Answer::new(status, "").with("location", format!("{other}{}", asked.path))
                }
                None => answering.answer(asked),
            });
            *back.lock().unwrap() = server.address.clone();
            model.check(&fetch(settings(&server.address, cache.path())).0.unwrap());
            assert!(!away.log().is_empty());
            for asked in away.log().iter().chain(server.log().iter().filter(|asked| asked.path.ends_with("?again"))) {
                assert_eq!(asked.header("authorization"), None, "{status} {}", asked.path);
            }
        }
    }
}

/// The list of files and the description of a file never come from another host.
#[test]
fn the_api_does_not_follow_away() {
    let stranger =
        Server::start(|_| Answer::new(200, r#"{"sha":"0123456789abcdef0123456789abcdef01234567","siblings":[]}"#));
    let to = stranger.address.clone();
    let server = Server::start(move |asked| Answer::new(302, "").with("location", format!("{to}{}", asked.path)));
    let cache = tempfile::tempdir().unwrap();
    let error = fetch(settings(&server.address, cache.path())).0.unwrap_err();
    assert!(matches!(error, HubError::Protocol { .. }), "{error}");
    assert!(stranger.log().is_empty());
    assert!(sound(cache.path()).is_empty() && visible(cache.path()).is_empty());
}

#[test]
fn addresses_that_no_redirect_may_have() {
    for location in
        ["", "http://u:p@127.0.0.1:1/x", "ftp://127.0.0.1/x", "file:///etc/passwd", "http://", "\\\\host\\x y"]
    {
        let model = Model::tiny();
        let server = Server::start(move |asked| match asked.is_get_of("model.safetensors") {
            true => Answer::new(302, "").with("location", location),
            false => model.answer(asked),
        });
        let cache = tempfile::tempdir().unwrap();
        let error = fetch(settings(&server.address, cache.path())).0.unwrap_err();
        // A relative one leads to a place that is not there.
        let judged = matches!(error, HubError::Protocol { .. } | HubError::NotFound { .. });
        assert!(judged, "{location}: {error}");
        assert_eq!(sound(cache.path()).len(), 2, "{location}");
    }
}

#[test]
fn a_circle_of_redirects_ends() {
    let server = Server::start(|asked| Answer::new(302, "").with("location", &asked.path));
    let cache = tempfile::tempdir().unwrap();
    let error = fetch(settings(&server.address, cache.path())).0.unwrap_err();
    assert!(error.to_string().contains("without end"), "{error}");
    assert!(server.log().len() < 20);
}

#[test]
fn refusals_are_told_apart() {
    let gated = |s: u16| {
        Answer::new(s, format!("you sent {TOKEN}")).with("x-error-code", "GatedRepo").with("x-error-message", TOKEN)
    };
    let plain = |s: u16| Answer::new(s, format!("you sent {TOKEN}"));
    let coded = |s: u16, code: &str| Answer::new(s, "").with("x-error-code", code);
    let cases: Vec<(Answer, bool, Kind, &str, &str)> = vec![
        (gated(403), true, Kind::Authentication, "Org/Tiny is gated", "accept the terms"),
        (gated(401), false, Kind::Authentication, "Org/Tiny is gated", "HF_TOKEN"),
        (plain(401), true, Kind::Authentication, "refuses", "wrong, expired"),
        (plain(401), false, Kind::Authentication, "no token was sent", "HF_TOKEN"),
        (plain(403), true, Kind::Authentication, "refuses", "without access"),
        (coded(401, "RepoNotFound"), false, Kind::Authentication, "refuses", "does not exist or is private"),
        (coded(404, "RepoNotFound"), true, Kind::Input, "has no model Org/Tiny", "spelling"),
        (coded(404, "RevisionNotFound"), true, Kind::Input, "has no such revision", "revision"),
        (plain(404), true, Kind::Input, "has no model Org/Tiny@main", "spelling"),
        (plain(418), true, Kind::Environment, "status 418", "fault"),
    ];
    for (answer, signed_in, kind, says, hint) in cases {
        let status = answer.status;
        let server = Server::start(move |_| answer.clone());
        let cache = tempfile::tempdir().unwrap();
        let mut settings = settings(&server.address, cache.path());
        settings.token = settings.token.filter(|_| signed_in);
        let error = fetch(settings).0.unwrap_err();
        assert_eq!(error.kind(), kind, "{status}: {error}");
        assert!(error.to_string().contains(says), "{status}: {error}");
        assert!(error.hint().unwrap().contains(hint), "{status}: {:?}", error.hint());
        assert_eq!(server.log().len(), 1, "{status} is not worth another attempt");
    }
}

/// The hub shows a gated model's list to everybody, but not its files.
#[test]
fn gated_at_the_file() {
    let model = Model::tiny();
    let server = Server::start(move |asked| match asked.path.contains("/resolve/") {
        true => Answer::new(403, "").with("x-error-code", "GatedRepo"),
        false => model.answer(asked),
    });
    let cache = tempfile::tempdir().unwrap();
    let error = fetch(settings(&server.address, cache.path())).0.unwrap_err();
    assert!(matches!(error, HubError::Gated { status: 403, signed_in: true, .. }), "{error}");
    assert!(sound(cache.path()).is_empty() && visible(cache.path()).is_empty());
}
