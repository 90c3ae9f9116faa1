//! What an importance file knows of a model: how much of it calibration reached, and what it never did.

use crate::printer::Printer;
use lfmq_quant::Coverage;

/// Names that a line spells out.
const NAMED: usize = 4;

/// Notes about `coverage`; the plan's reasons tell the same tensor by tensor.
pub fn show(coverage: &Coverage, printer: &Printer) {
    let Coverage { covered, missing, unreached, least, unknown } = coverage;
    printer.note(&format!("importance: {covered} of {} matrices", covered + missing.len()));
    let named = |what: &str, names: Vec<String>| {
        if !names.is_empty() {
            printer.note(&format!("  {what}: {}", list(&names)));
        }
    };
    named("none, so quantized unweighted", missing.clone());
    let expert = |(name, expert): &(String, u16)| format!("expert {expert} of {name}");
    named("reached by no token, so quantized unweighted", unreached.iter().map(expert).collect());
    if let Some((name, expert, tokens)) = least {
        printer
            .note(&format!("  fewest tokens of all experts that any reached: {tokens:.0}, expert {expert} of {name}"));
    }
    named("entries for nothing that is quantized", unknown.clone());
}

fn list(names: &[String]) -> String {
    let mut text = names.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    if names.len() > NAMED {
        text += &format!(", and {} more", names.len() - NAMED);
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_long_list_is_cut() {
        let names: Vec<String> = (0..6).map(|i| format!("n{i}")).collect();
        assert_eq!(super::list(&names), "n0, n1, n2, n3, and 2 more");
        assert_eq!(super::list(&names[..2]), "n0, n1");
    }
}
