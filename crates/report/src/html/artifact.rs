//! One artifact: its gates, its drift, its weights, its tasks, its times, its files.

use super::table::Table;
use crate::Report;
use crate::junit::escape;
use crate::number::{NONE, bytes, interval, maybe, percent, significant};
use crate::svg::{heat, histogram};
use crate::view::{Drift, Gates, Latency, Layer, Task, Timing, Weights};

pub(super) fn section(index: usize, report: &Report) -> String {
    let c = &report.candidate;
    let mut out = format!(
        "<section id=\"a{index}\">\n<h2>{} {}</h2>\n\
         <p class=\"soft\">{}, {}, {} bits a weight; activations {}, rung {}, {} threads{}.</p>\n",
        escape(&report.artifact.name),
        super::badge(report.verdict()),
        escape(&c.what),
        bytes(report.artifact.bytes),
        maybe(report.artifact.bits_per_weight, 4),
        escape(&c.activation),
        escape(&c.rung),
        c.threads,
        if c.experts > 0 { format!(", {} experts a layer", c.experts) } else { String::new() }
    );
    out += &report.gates.as_ref().map(gates).unwrap_or_default();
    out += &report.drift.as_ref().map(|d| drift(index, d)).unwrap_or_default();
    out +=
        &report.weights.as_ref().map(|w| weights(w, report.layers.as_deref().unwrap_or_default())).unwrap_or_default();
    out += &report.tasks.as_deref().filter(|t| !t.is_empty()).map(tasks).unwrap_or_default();
    out += &report.latency.as_ref().map(latency).unwrap_or_default();
    out += &report.edge.as_ref().map(crate::Edge::html).unwrap_or_default();
    out += &report.oracle.as_ref().map(crate::Oracle::html).unwrap_or_default();
    out += &files(report);
    out + "</section>\n"
}

fn gates(gates: &Gates) -> String {
    let caption =
        format!("Limits of {} for {}. A verdict is about the end of the 95 % interval.", gates.source, gates.class);
    let mut table = Table::new(&caption, &["gate", "verdict", "#value", "#bound", "#limit"]);
    for g in &gates.gates {
        let note =
            g.note.as_ref().map(|n| format!("<span class=\"soft note\">{}</span>", escape(n))).unwrap_or_default();
        table.row(&[
            format!("<code>{}</code>", escape(&g.name)),
            format!("{}{note}", super::badge(g.verdict)),
            maybe(g.value, 4),
            maybe(g.bound, 4),
            maybe(g.limit, 4),
        ]);
    }
    format!("<h3>Gates</h3>\n{}", table.finish())
}

fn drift(index: usize, d: &Drift) -> String {
    let mut table = Table::new("", &["figure", "#value", "95 % interval, or what it means"]);
    let k = &d.kld;
    let mut row = |name: &str, value: String, note: String| table.row(&[name.to_owned(), value, escape(&note)]);
    row("KLD mean, nats", maybe(k.mean.value, 4), interval(&k.mean, 4));
    let (low, high) = k.p99_interval;
    row("KLD p99, nats", maybe(k.p99, 4), format!("{} to {}", maybe(low, 4), maybe(high, 4)));
    let quantiles = [("KLD median, nats", k.p50), ("KLD p90, nats", k.p90), ("KLD p95, nats", k.p95)];
    for (name, value) in quantiles {
        row(name, maybe(value, 4), format!("of {} tokens", k.tokens));
    }
    row("KLD p99.9, nats", maybe(k.p999, 4), format!("of {} tokens", k.tokens));
    let place = k.max_at.map_or(String::new(), |at| {
        format!("window {}, position {}, before token {}", at.window, at.position, at.target)
    });
    row("KLD largest, nats", maybe(k.max, 4), place);
    let p = &d.perplexity;
    row("perplexity ratio", maybe(p.ratio.value, 5), interval(&p.ratio, 5));
    row("perplexity", maybe(p.candidate, 5), format!("checkpoint {}", maybe(p.base, 5)));
    let top = &d.agreement.same_top;
    row("same top token", percent(top.value), format!("{} to {}", percent(top.low), percent(top.high)));
    let sure = format!("where the checkpoint leads by 0.1: {} tokens", d.agreement.sure_tokens);
    row("same top token, sure", percent(d.agreement.same_top_sure), sure);
    if let Some(router) = &d.router {
        let o = &router.overlap;
        row("experts in common", percent(o.value), format!("{} to {}", percent(o.low), percent(o.high)));
    }
    if let Some(g) = &d.greedy {
        let note = format!(
            "{} of {} runs of {} tokens the same",
            (g.exact * g.runs.len() as f64).round(),
            g.runs.len(),
            g.tokens
        );
        row("first greedy difference", significant(g.median, 3), format!("median token; {note}"));
    }
    let plot = k.histogram.as_ref().map_or(String::new(), |h| {
        let caption = "Tokens by the size of their divergence.";
        let figure = histogram("Tokens by drift", caption, ("KLD of a token, nats", "tokens"), h, index);
        format!("<div class=\"plots\">{figure}</div>\n")
    });
    format!("<h3>Drift</h3>\n{}{plot}", table.finish())
}

fn weights(w: &Weights, layers: &[Layer]) -> String {
    let mut out = format!(
        "<h3>Weights</h3>\n<p>{} tensors hold exactly what quantizing the checkpoint again gives, {} differ, {} could not \
         be replayed.</p>\n<div class=\"plots\">{}</div>\n",
        w.exact,
        w.differs,
        w.not_replayed,
        noise(w, layers)
    );
    let mut table = Table::new("", &["role", "scheme", "#tensors", "#SQNR, dB", "#lowest, dB", "where"]);
    for r in &w.roles {
        let db = |v: Option<f64>| v.map_or("exact".to_owned(), |v| format!("{v:.1}"));
        let place = r.worst_sqnr_db.map_or(String::new(), |_| format!("<code>{}</code>", escape(&r.worst)));
        let cells =
            [escape(&r.role), escape(&r.scheme), r.tensors.to_string(), db(r.sqnr_db), db(r.worst_sqnr_db), place];
        table.row(&cells);
    }
    out += &format!("<details><summary>Noise by role</summary>\n{}</details>\n", table.finish());
    out
}

/// The lowest signal-to-noise ratio of each role in each layer.
fn noise(w: &Weights, layers_seen: &[Layer]) -> String {
    let noisy = || w.tensors.iter().filter(|t| t.sqnr_db.is_some());
    let layers = w.tensors.iter().filter_map(crate::view::Tensor::layer).max().map_or(0, |l| l + 1);
    let mut rows: Vec<(String, Vec<Option<f64>>)> = Vec::new();
    for tensor in noisy() {
        let (Some(layer), Some(db)) = (tensor.layer(), tensor.sqnr_db) else { continue };
        if !rows.iter().any(|(role, _)| *role == tensor.role) {
            rows.push((tensor.role.clone(), vec![None; layers]));
        }
        let cells = rows.iter_mut().find(|(role, _)| *role == tensor.role);
        if let Some(cell) = cells.and_then(|(_, cells)| cells.get_mut(layer)) {
            *cell = Some(cell.map_or(db, |lowest: f64| lowest.min(db)));
        }
    }
    rows.sort_by(|a, b| a.0.cmp(&b.0));
    // The embedding is before the first layer and has no column.
    let stream: Vec<Option<f64>> = layers_seen.iter().skip(1).take(layers).map(|l| l.sqnr_db).collect();
    let told = if stream.is_empty() {
        ""
    } else {
        " The last row is the residual stream after each layer, all errors before it included."
    };
    if !stream.is_empty() {
        rows.push(("after the layer".into(), stream));
    }
    let whole: Vec<String> =
        noisy().filter(|t| t.layer().is_none()).map(|t| format!("{} {} dB", t.role, maybe(t.sqnr_db, 3))).collect();
    let others = if whole.is_empty() { String::new() } else { format!(" Outside the layers: {}.", whole.join(", ")) };
    let caption = format!(
        "Signal to quantization noise in dB, the lowest tensor of a role, coloured in steps of 10 dB up to 40; higher \
         is better. Roles that are kept in float are absent.{told}{others}"
    );
    heat("Noise by layer and role", &caption, layers, &rows)
}

fn tasks(tasks: &[Task]) -> String {
    let mut table = Table::new(
        "Lost and won: items that only the checkpoint, or the artifact, answers exactly; p by McNemar's exact test.",
        &["task", "#items", "score", "#checkpoint", "#artifact", "#lost", "#won", "#p"],
    );
    for t in tasks {
        let (base, own) = (t.yardstick.main(), t.candidate.main());
        table.row(&[
            escape(&t.task),
            t.tasks.to_string(),
            own.1.to_owned(),
            format!("{:.4}", base.0),
            format!("{:.4}", own.0),
            t.lost.to_string(),
            t.won.to_string(),
            maybe(t.p, 3),
        ]);
    }
    format!("<h3>Tasks</h3>\n{}", table.finish())
}

fn latency(l: &Latency) -> String {
    let caption = format!("{} repetitions on rung {}, {} threads.", l.repetitions, l.rung, l.threads);
    let columns = ["what", "#mean, ms", "#± sd, ms", "#p50, ms", "#p95, ms", "#tokens/s"];
    let mut table = Table::new(&caption, &columns);
    let mut row = |what: String, t: &Timing, (p50, p95): (f64, f64), rate: Option<f64>| {
        let what = if t.noisy { format!("{what} <span class=\"v inconclusive\">noisy</span>") } else { what };
        let ms = |v: f64| significant(v, 4);
        let rate = rate.map_or(NONE.to_owned(), |r| significant(r, 4));
        table.row(&[what, ms(t.mean_ms), ms(t.stddev_ms), ms(p50), ms(p95), rate]);
    };
    for p in &l.prefill {
        row(
            format!("prefill, {} tokens", p.tokens),
            &p.time,
            (p.time.p50_ms, p.time.p95_ms),
            Some(p.tokens_per_second),
        );
        let first = &p.first_token;
        row(format!("first token after {}", p.tokens), first, (first.p50_ms, first.p95_ms), None);
    }
    let d = &l.decode;
    let quantiles = (d.token_p50_ms, d.token_p95_ms);
    row(format!("decode, a token after {}", d.depth), &d.per_token, quantiles, Some(d.tokens_per_second));
    let mut out = format!("<h3>Latency</h3>\n{}", table.finish());
    let load = l.load_ms.map(|ms| format!("Opening took {} ms.", significant(ms, 3)));
    let peak = l.memory.map(|m| format!("Peak resident memory of the process {}.", bytes(m.peak)));
    let said: Vec<String> = [load, peak].into_iter().flatten().collect();
    if !said.is_empty() {
        out += &format!("<p class=\"soft\">{}</p>\n", said.join(" "));
    }
    out
}

fn files(report: &Report) -> String {
    let mut table = Table::new("", &["file", "#bytes", "SHA-256"]);
    for f in &report.artifact.files {
        let digest = if f.sha256.is_empty() { NONE.to_owned() } else { format!("<code>{}</code>", escape(&f.sha256)) };
        table.row(&[escape(&f.name), f.bytes.to_string(), digest]);
    }
    let oracle = report.independent_oracle.as_ref().map_or_else(
        || "No other implementation took part in this run.".to_owned(),
        |o| format!("Held against {} in this run.", escape(o)),
    );
    format!("<h3>Files</h3>\n{}<p class=\"soft\">{oracle}</p>\n", table.finish())
}
