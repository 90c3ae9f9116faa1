//! Pages and tables: well-formed for outsiders' parsers, self-contained, and nothing of a name becomes markup.

mod common;

use common::{dress, read, whole, windows};
use lfmq_report::{Allowed, HtmlOptions, Report, compare, html, junit, markdown};
use quick_xml::Reader;
use quick_xml::events::Event;
use serde_json::{Value, json};

/// One that passes with a histogram, one that fails and has a hostile name, one with nothing measured.
fn three() -> Vec<Report> {
    let mut good = whole("a-Q8_0.gguf", &windows(0.001, 3));
    dress(&mut good, &[1.0, 1.1]);
    good["drift"]["kld"]["histogram"] = json!({ "first": -6.0, "per_decade": 2.0, "counts": [0, 3, 9, 4, 0] });
    let mut bad = whole("<script>alert('x')</script> & | `b`\u{7}.gguf", &windows(0.5, 3));
    dress(&mut bad, &[2.0, 2.2]);
    let mut bare = whole("c.gguf", &windows(0.1, 3));
    for part in ["drift", "text", "spec", "gates", "weights", "tasks", "latency"] {
        bare[part] = Value::Null;
    }
    vec![read("a", &good), read("b", &bad), read("c", &bare)]
}

fn page() -> String {
    let reports = three();
    let comparisons = [compare(&reports[0], &reports[1], &Allowed::default())];
    html(&reports, &HtmlOptions { title: "", comparisons: &comparisons })
}

/// Element names in order, by an independent parser that checks nesting and attributes.
fn elements(xml: &str) -> Vec<String> {
    let mut reader = Reader::from_str(xml);
    reader.config_mut().check_end_names = true;
    let mut names = Vec::new();
    loop {
        match reader.read_event().unwrap_or_else(|e| panic!("{e} at {}", reader.buffer_position())) {
            Event::Start(e) | Event::Empty(e) => {
                for attribute in e.attributes() {
                    attribute.unwrap();
                }
                names.push(String::from_utf8(e.name().as_ref().to_vec()).unwrap());
            }
            Event::Eof => return names,
            _ => {}
        }
    }
}

#[test]
fn the_page_is_well_formed_and_needs_nothing_else() {
    let page = page();
    // The two void elements of HTML that the page uses are all that XML would not take.
    let body = page.replace("<!doctype html>\n", "").replace("<meta charset=\"utf-8\">", "");
    let body = body.replace("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">", "");
    let names = elements(&body);
    for banned in ["script", "link", "img", "iframe", "object"] {
        assert!(!names.iter().any(|n| n == banned), "{banned}");
    }
    for banned in ["http://", "https://", "url(", "@import", "javascript:", "onload", "src="] {
        assert!(!page.contains(banned), "{banned}");
    }
    for wanted in ["svg", "table", "caption", "figcaption", "nav", "h2"] {
        assert!(names.iter().any(|n| n == wanted), "{wanted}");
    }
    assert!(page.contains("prefers-color-scheme: dark"));
    assert!(!page.contains("NaN") && !page.contains("inf"), "a number that is none");
}

#[test]
fn every_plot_of_the_issue_is_there_with_words() {
    let page = page();
    for title in [
        "Size against drift",
        "Drift",
        "Distribution of drift",
        "Tokens by drift",
        "Noise by layer and role",
        "Decode",
        "Prefill of 128 tokens",
    ] {
        assert!(page.contains(&format!("aria-label=\"{title}\"")), "{title}");
    }
    assert_eq!(page.matches("<svg").count(), page.matches("<figcaption>").count());
    for word in ["PASS", "FAIL", "not measured"] {
        assert!(page.contains(&format!("\">{word}</span>")), "{word}");
    }
}

#[test]
fn headers_say_what_cells_mean() {
    let page = page();
    let rows = page.matches("<tr>").count();
    assert_eq!(page.matches("<th scope=\"").count(), page.matches("<th").count() - page.matches("<thead>").count());
    assert!(rows > 40 && page.matches("<th scope=\"row\"").count() + page.matches("<thead>").count() == rows);
}

#[test]
fn the_same_reports_give_the_same_page() {
    assert_eq!(page(), page());
}

#[test]
fn junit_counts_what_it_holds() {
    let reports = three();
    let xml = junit(&reports);
    let names = elements(xml.strip_prefix("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n").unwrap());
    let count = |name: &str| names.iter().filter(|n| *n == name).count();
    let head = xml.lines().nth(1).unwrap();
    for (key, element) in [("tests", "testcase"), ("failures", "failure"), ("skipped", "skipped")] {
        assert!(head.contains(&format!(" {key}=\"{}\"", count(element))), "{key}: {head}");
        assert!(count(element) > 0, "{key}");
    }
    assert_eq!(count("testsuite"), 3);
    assert!(xml.contains("kld_mean_max") && xml.contains("type=\"FAIL\""));
}

#[test]
fn junit_fails_the_inconclusive_where_the_gates_file_says_so() {
    let mut value = whole("a.gguf", &windows(0.001, 3));
    let gate =
        json!({ "name": "g", "limit": 1.0, "value": 0.9, "bound": 1.1, "verdict": "inconclusive", "note": null });
    for (holds, element) in [(true, "skipped"), (false, "failure")] {
        value["gates"] =
            json!({ "class": "bits4", "source": "x", "verdict": "inconclusive", "holds": holds, "gates": [gate] });
        let xml = junit(&[read("a", &value)]);
        assert!(xml.contains(&format!("<{element} ")), "{holds}: {xml}");
    }
}

#[test]
fn one_row_an_artifact() {
    let text = markdown(&three());
    let rows: Vec<&str> = text.lines().filter(|l| l.starts_with("| ")).collect();
    assert_eq!(rows.len(), 4, "{text}");
    let columns = |row: &str| row.replace("\\|", "").matches('|').count();
    assert!(rows.iter().all(|r| columns(r) == 11), "{text}");
    assert!(text.contains("- FAIL `kld_mean_max`") && !text.contains("<script>"), "{text}");
}

#[test]
fn reports_are_found_in_what_the_program_prints() {
    let one = whole("a.gguf", &windows(0.1, 3));
    let answer =
        |result: Value| json!({ "schema_version": 1, "ok": true, "command": "x", "result": result, "error": null });
    for (text, found) in [
        (one.to_string(), 1),
        (json!([one, one]).to_string(), 2),
        (answer(one.clone()).to_string(), 1),
        (answer(json!({ "artifact": {}, "verification": [one, one, one] })).to_string(), 3),
    ] {
        assert_eq!(Report::read("x", &text).unwrap().len(), found);
    }
    let mut newer = one.clone();
    newer["schema_version"] = json!(2);
    let mut broken = one;
    broken["drift"]["kld"]["tokens"] = json!("many");
    for (text, part) in [
        ("{", "EOF"),
        ("[]", "empty"),
        ("{\"schema_version\": 1}", "drift report"),
        (&newer.to_string(), "found 2"),
        (&broken.to_string(), "many"),
    ] {
        let error = Report::read("x.json", text).unwrap_err().to_string();
        assert!(error.contains("x.json") && error.contains(part), "{error}");
    }
}
