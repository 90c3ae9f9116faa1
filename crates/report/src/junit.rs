use crate::number::significant;
use crate::view::Gate;
use crate::{Report, Verdict};
use std::fmt::Write as _;

/// JUnit XML: a suite a report, a case a gate. A failed gate is a failure; an inconclusive one is a failure where the
/// gates file says so, else skipped with its reason; what was not measured is skipped.
#[must_use]
pub fn junit(reports: &[Report]) -> String {
    let mut suites = String::new();
    let (mut cases, mut failed, mut skipped) = (0, 0, 0);
    for report in reports {
        let suite = Suite::of(report);
        cases += suite.cases;
        failed += suite.failed;
        skipped += suite.skipped;
        suites += &suite.xml;
    }
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"lfmq\" tests=\"{cases}\" failures=\"{failed}\" \
         errors=\"0\" skipped=\"{skipped}\">\n{suites}</testsuites>\n"
    )
}

struct Suite {
    xml: String,
    cases: usize,
    failed: usize,
    skipped: usize,
}

impl Suite {
    fn of(report: &Report) -> Self {
        let mut suite = Self { xml: String::new(), cases: 0, failed: 0, skipped: 0 };
        let class = escape(&report.artifact.name);
        let mut body = String::new();
        if let Some(gates) = &report.gates {
            // `holds` is false for an inconclusive whole only where the gates file says that this fails.
            let strict = gates.verdict == Verdict::Inconclusive && !gates.holds;
            for gate in &gates.gates {
                suite.case(&mut body, &class, &gate.name, (gate.verdict, strict), &message(gate));
            }
        } else {
            suite.cases = 1;
            suite.skipped = 1;
            let _ = writeln!(
                body,
                "    <testcase classname=\"{class}\" name=\"gates\">\n      <skipped message=\"not judged\"/>\n    \
                 </testcase>"
            );
        }
        for target in &report.targets {
            let message = [target.verdict.word(), &target.trouble.join(", ")].join(" ");
            let name = format!("target {}", target.name);
            suite.case(&mut body, &class, &name, (target.verdict, false), message.trim_end());
        }
        for (name, verdict, message) in report.edge.iter().flat_map(crate::Edge::cases) {
            suite.case(&mut body, &class, &name, (verdict, false), &message);
        }
        // The one time in a report: what decoding and prefill took is not the time of a test, so there is none here.
        let _ = writeln!(
            suite.xml,
            "  <testsuite name=\"{class} against {}\" tests=\"{}\" failures=\"{}\" errors=\"0\" skipped=\"{}\">",
            escape(&report.checkpoint),
            suite.cases,
            suite.failed,
            suite.skipped
        );
        suite.xml += "    <properties>\n";
        let digest = report.artifact.files.first().map_or("", |f| f.sha256.as_str());
        let text = report.text.as_ref().map_or("", |t| t.sha256.as_str());
        let size = report.artifact.bytes.to_string();
        let pairs = [
            ("tool", report.tool.as_str()),
            ("artifact.sha256", digest),
            ("artifact.bytes", &size),
            ("text.sha256", text),
            ("activation", &report.candidate.activation),
            ("rung", &report.candidate.rung),
        ];
        for (name, value) in pairs {
            let _ = writeln!(suite.xml, "      <property name=\"{name}\" value=\"{}\"/>", escape(value));
        }
        suite.xml += "    </properties>\n";
        suite.xml += &body;
        suite.xml += "  </testsuite>\n";
        suite
    }

    /// One case; with `strict`, what is inconclusive fails.
    fn case(&mut self, body: &mut String, class: &str, name: &str, (verdict, strict): (Verdict, bool), message: &str) {
        self.cases += 1;
        let _ = writeln!(body, "    <testcase classname=\"{class}\" name=\"{}\">", escape(name));
        let message = escape(message);
        match verdict {
            Verdict::Pass => {
                let _ = writeln!(body, "      <system-out>{message}</system-out>");
            }
            Verdict::Inconclusive if !strict => {
                self.skipped += 1;
                let _ = writeln!(body, "      <skipped message=\"{message}\"/>");
            }
            Verdict::NotMeasured => {
                self.skipped += 1;
                let _ = writeln!(body, "      <skipped message=\"{message}\"/>");
            }
            Verdict::Fail | Verdict::Inconclusive => {
                self.failed += 1;
                let kind = verdict.word();
                let _ = writeln!(body, "      <failure type=\"{kind}\" message=\"{message}\">{message}</failure>");
            }
        }
        *body += "    </testcase>\n";
    }
}

/// `FAIL: 0.21 (bound 0.25), limit 0.15: note`.
fn message(gate: &Gate) -> String {
    let mut text = gate.verdict.word().to_owned();
    if let Some(value) = gate.value {
        let _ = write!(text, ": {}", significant(value, 5));
    }
    if let Some(bound) = gate.bound {
        let _ = write!(text, ", end of the 95 % interval {}", significant(bound, 5));
    }
    if let Some(limit) = gate.limit {
        let _ = write!(text, ", limit {}", significant(limit, 5));
    }
    if let Some(note) = &gate.note {
        let _ = write!(text, ": {note}");
    }
    text
}

/// Text for an attribute or an element of XML or HTML. Control characters, which XML cannot hold, become `?`.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\'' => out += "&#39;",
            '\n' | '\t' => out.push(c),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('?'),
            c => out.push(c),
        }
    }
    out
}
